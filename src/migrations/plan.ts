import { EduschemaError } from '../errors.ts';
import type { MigrationFolder } from './folder.ts';
import type { Journal } from './journal.ts';
import {
  isTransactional,
  nameOfUnit,
  type Prepared,
  prepareDown,
  prepareRepeatable,
  prepareUp,
} from './prepare.ts';
import { type Selection, selectApplied, selectPending } from './select.ts';
import {
  compareState,
  forbidEdited,
  forbidMissing,
  forbidOutOfOrder,
  requireVersion,
  type SchemaState,
} from './state.ts';
import { canonicalVersion, compareVersions } from './version.ts';

/** What will be run, in order, and what was true before. */
export interface MigrationPlan {
  readonly state: SchemaState;
  readonly steps: readonly Prepared[];
}

export interface MigratePlanOptions extends Selection {
  readonly outOfOrder?: boolean | undefined;
  readonly singleTransaction?: boolean | undefined;
}

/** Plans the way up. Throws, before anything runs, for whatever would go wrong by its files alone. */
export async function planMigrate(
  folder: MigrationFolder,
  journal: Journal,
  options: MigratePlanOptions,
): Promise<MigrationPlan> {
  const state = compareState(folder, journal);
  if (options.to !== undefined) requireVersion(state, options.to);
  forbidEdited(state);
  forbidMissing(state);
  const selected = await selectPending(folder.versioned, state.applied, options);
  if (!options.outOfOrder) forbidOutOfOrder(state, selected);
  const steps: Prepared[] = [];
  for (const file of selected) steps.push(await prepareUp(file));
  const after = new Set([...state.applied, ...selected.map(({ canonical }) => canonical)]);
  const complete = folder.versioned.every(({ canonical }) => after.has(canonical));
  for (const { state: is, file } of state.repeatable) {
    if (is !== 'pending' || !file) continue;
    const { up, requires } = prepareRepeatable(file);
    if (requires === undefined ? complete : after.has(canonicalVersion(requires))) steps.push(up);
  }
  if (options.singleTransaction) forbidNonTransactional(steps);
  return { state, steps };
}

/**
 * Plans the way down: newest first, each by its down section, and before them the repeatable migrations that need
 * a version which goes. Throws, before anything runs, when one of them cannot be undone.
 */
export async function planRollback(
  folder: MigrationFolder,
  journal: Journal,
  selection: Selection,
): Promise<MigrationPlan> {
  const state = compareState(folder, journal);
  const { to } = selection;
  if (to !== undefined && to !== '0' && requireVersion(state, to).state === 'pending') {
    throw new EduschemaError('version-unknown', `version ${to} is not applied`, {
      hint: `the current version is ${state.current ?? 'none'}`,
    });
  }
  forbidEdited(state);
  forbidMissing(state);
  const selected = await selectApplied(folder.versioned, state.applied, selection);
  const steps: Prepared[] = [];
  for (const file of selected) steps.push(await prepareDown(file));
  const gone = new Set(selected.map(({ canonical }) => canonical));
  return { state, steps: [...planRepeatableDown(state, gone), ...steps] };
}

function planRepeatableDown(state: SchemaState, gone: ReadonlySet<string>): Prepared[] {
  const steps: Prepared[] = [];
  for (const { file, appliedAt } of [...state.repeatable].reverse()) {
    if (!file || appliedAt === undefined) continue;
    const { down, requires } = prepareRepeatable(file);
    if (requires === undefined || !gone.has(canonicalVersion(requires))) continue;
    if (!down) {
      throw new EduschemaError(
        'migration-irreversible',
        `${file.file} needs ${requires} and has no statement below -- migrate:down: nothing was rolled back`,
        {
          hint: 'write what undoes it',
        },
      );
    }
    steps.push(down);
  }
  return steps;
}

function forbidNonTransactional(steps: readonly Prepared[]): void {
  const step = steps.find((prepared) => !isTransactional(prepared));
  if (!step) return;
  throw new EduschemaError(
    'migration-invalid',
    `${nameOfUnit(step.unit)} says transaction:false and cannot be part of --single-transaction`,
    {
      hint: 'run without --single-transaction',
    },
  );
}

/** The newest version that is applied once `steps` have run. */
export function currentAfter(state: SchemaState, steps: readonly Prepared[]): string | undefined {
  const versions = new Map(
    state.entries.filter(({ row }) => row).map(({ version }) => [canonicalVersion(version), version]),
  );
  for (const { unit, direction } of steps) {
    if (unit.type !== 'versioned') continue;
    if (direction === 'up') versions.set(canonicalVersion(unit.file.version), unit.file.version);
    else versions.delete(canonicalVersion(unit.file.version));
  }
  return [...versions.values()].sort(compareVersions).at(-1);
}
