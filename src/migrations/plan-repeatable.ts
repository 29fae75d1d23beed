import { EduschemaError } from '../errors.ts';
import { type Prepared, prepareRepeatable } from './prepare.ts';
import type { SchemaState } from './state.ts';
import { canonicalVersion } from './version.ts';

/** What becomes of repeatable migrations: what is run, and whose row goes. */
export interface RepeatablePlan {
  readonly steps: readonly Prepared[];
  readonly forgotten: readonly string[];
}

/**
 * Those whose text changed and whose required version is among `after`; without one they need all versions to be
 * applied (`complete`). A row whose file is gone goes; what it made stays.
 */
export function planRepeatableUp(
  { repeatable, entries }: SchemaState,
  after: ReadonlySet<string>,
  complete: boolean,
): RepeatablePlan {
  const steps: Prepared[] = [];
  const known = new Set(entries.map(({ version }) => canonicalVersion(version)));
  for (const { state, file } of repeatable) {
    if (state !== 'pending' || !file) continue;
    const { up, requires } = prepareRepeatable(file);
    if (requires !== undefined && !known.has(canonicalVersion(requires))) {
      throw new EduschemaError('version-unknown', `${file.file} requires ${requires}, which there is not`, {
        hint: 'name the version of a migration that it needs',
      });
    }
    if (requires === undefined ? complete : after.has(canonicalVersion(requires))) steps.push(up);
  }
  const forgotten = repeatable.filter(({ state }) => state === 'missing').map(({ name }) => name);
  return { steps, forgotten };
}

/**
 * Those that require a version of `gone` are undone before it goes. One that requires none needs all versions:
 * what it made stays as far as it can, and it is applied again the next time.
 */
export function planRepeatableDown({ repeatable }: SchemaState, gone: ReadonlySet<string>): RepeatablePlan {
  const steps: Prepared[] = [];
  const forgotten: string[] = [];
  for (const { file, appliedAt } of [...repeatable].reverse()) {
    if (!file || appliedAt === undefined) continue;
    const { down, requires } = prepareRepeatable(file);
    if (requires === undefined) forgotten.push(file.name);
    else if (!gone.has(canonicalVersion(requires))) continue;
    else if (down) steps.push(down);
    else {
      throw new EduschemaError(
        'migration-irreversible',
        `${file.file} needs ${requires} and has no statement below -- migrate:down: nothing was rolled back`,
        { hint: 'write what undoes it' },
      );
    }
  }
  return { steps, forgotten };
}
