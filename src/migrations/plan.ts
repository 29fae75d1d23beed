import { EduschemaError } from '../errors.ts';
import type { MigrationFile, MigrationFolder } from './folder.ts';
import { noHooks, type PlannedHooks, planHooks, type ReadHooks } from './hooks.ts';
import type { Journal } from './journal.ts';
import { planRepeatableDown, planRepeatableUp } from './plan-repeatable.ts';
import { isTransactional, nameOfUnit, type Prepared, prepareDown, prepareUp } from './prepare.ts';
import { forbidTwoSelections, type Selection, selectApplied, selectPending } from './select.ts';
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
  /** Repeatable migrations whose row goes, by name: the file is gone, or it has to be applied again. */
  readonly forgotten: readonly string[];
  /** What runs around the steps, and is none itself. */
  readonly hooks: PlannedHooks;
}

export interface MigratePlanOptions extends Selection {
  readonly hooks?: ReadHooks | undefined;
  readonly outOfOrder?: boolean | undefined;
  readonly singleTransaction?: boolean | undefined;
}

/** Plans the way up. Throws, before anything runs, for whatever would go wrong by its files alone. */
export async function planMigrate(
  folder: MigrationFolder,
  journal: Journal,
  options: MigratePlanOptions,
): Promise<MigrationPlan> {
  forbidTwoSelections(options);
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
  const repeatable = planRepeatableUp(state, after, complete);
  steps.push(...repeatable.steps);
  if (options.singleTransaction) forbidNonTransactional(steps);
  const hooks = options.hooks
    ? planHooks(options.hooks, steps, journal, options.singleTransaction ?? false)
    : noHooks;
  return { state, steps, forgotten: repeatable.forgotten, hooks };
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
  forbidTwoSelections(selection);
  const state = compareState(folder, journal);
  const to = isBeforeAll(state, selection.to) ? undefined : selection.to;
  if (to !== undefined && requireVersion(state, to).state === 'pending') {
    throw new EduschemaError('version-unknown', `version ${to} is not applied`, {
      hint: `the current version is ${state.current ?? 'none'}`,
    });
  }
  forbidEdited(state);
  forbidMissing(state);
  const range = { ...selection, to, all: selection.all || isBeforeAll(state, selection.to) };
  const selected = await selectApplied(folder.versioned, state.applied, range);
  forbidFileless(state, selected);
  const steps: Prepared[] = [];
  for (const file of selected) {
    const entry = state.entries.find((known) => known.file === file);
    steps.push(await prepareDown(file, entry?.row?.version ?? file.version));
  }
  const repeatable = planRepeatableDown(state, new Set(selected.map(({ canonical }) => canonical)));
  return { state, steps: [...repeatable.steps, ...steps], forgotten: repeatable.forgotten, hooks: noHooks };
}

/** `--to 0` is before the first version, where none is called 0. */
function isBeforeAll({ entries }: SchemaState, to: string | undefined): boolean {
  return to === '0' && !entries.some(({ version }) => canonicalVersion(version) === canonicalVersion('0'));
}

/** A row from elsewhere without a file cannot be undone, nor what is older than it. */
function forbidFileless({ entries }: SchemaState, selected: readonly MigrationFile[]): void {
  const oldest = selected.at(-1);
  const fileless = entries.findLast(
    ({ row, file, version }) => row && !file && oldest && compareVersions(version, oldest.version) > 0,
  );
  if (!fileless) return;
  throw new EduschemaError(
    'migration-irreversible',
    `${fileless.version} is applied and has no file: nothing older can be rolled back`,
    { hint: 'write its file, with a way down' },
  );
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
