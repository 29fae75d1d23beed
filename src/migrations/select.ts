import { EduschemaError } from '../errors.ts';
import type { MigrationFile } from './folder.ts';
import { compareVersions } from './version.ts';

/** How far to go. `to` is the version that is current afterwards. */
export interface Selection {
  readonly to?: string | undefined;
  readonly steps?: number | undefined;
  /** On the way down: everything. */
  readonly all?: boolean | undefined;
}

/** Throws when a selection says two things. */
export function forbidTwoSelections({ to, steps, all }: Selection): void {
  const given = [to !== undefined && 'to', steps !== undefined && 'steps', all && 'all'].filter(Boolean);
  if (given.length < 2) return;
  throw new EduschemaError('usage', `${given.join(' and ')} cannot be used together`, { hint: 'choose one' });
}

/**
 * The migrations to apply, in order: those of `files` that `applied` does not hold, whatever their place, as far as
 * `to` or `steps` says. `files` are in the order of their versions.
 */
export async function selectPending(
  files: readonly MigrationFile[],
  applied: ReadonlySet<string>,
  { to, steps }: Selection,
): Promise<MigrationFile[]> {
  const selected: MigrationFile[] = [];
  const within = to === undefined ? files : files.filter(({ version }) => compareVersions(version, to) <= 0);
  if (within.every(({ canonical }) => applied.has(canonical))) return [];
  // Mostly nothing is pending, and umzug is half of what a run would load.
  const { createUmzug } = await import('./migrator.ts');
  const umzug = createUmzug(within, applied, (file) => selected.push(file));
  await (steps === undefined ? umzug.up() : umzug.up({ step: steps }));
  return selected;
}

/** The migrations to undo, newest first: down to `to`, which stays, or `steps` of them, or one. */
export async function selectApplied(
  files: readonly MigrationFile[],
  applied: ReadonlySet<string>,
  { to, steps, all }: Selection,
): Promise<MigrationFile[]> {
  const selected: MigrationFile[] = [];
  const above = to === undefined ? files : files.filter(({ version }) => compareVersions(version, to) > 0);
  const { createUmzug } = await import('./migrator.ts');
  const umzug = createUmzug(above, applied, (file) => selected.push(file));
  await (to !== undefined || all ? umzug.down({ to: 0 }) : umzug.down({ step: steps ?? 1 }));
  return selected;
}
