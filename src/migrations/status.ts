import type { Database } from '../db/connect.ts';
import { folderOf } from './folder.ts';
import { hasAfterHooks } from './hooks.ts';
import { readJournal } from './journal.ts';
import { nameOfRepeatable } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';
import { compareState, type SchemaState, type StateEntry } from './state.ts';
import { listUnfinished, type Unfinished } from './statement-journal.ts';

/** A line of `status`. */
export interface StatusRow {
  readonly version: string;
  readonly description: string;
  readonly state: StateEntry['state'];
  readonly outOfOrder: boolean;
  readonly kind: 'migration' | 'baseline' | 'adopted' | 'repeatable';
  readonly file: string | null;
  readonly appliedAt: string | null;
  readonly durationMs: number | null;
  readonly appliedBy: string | null;
  /** How far its last run came, when that ended in the middle. */
  readonly unfinished: Pick<Unfinished, 'direction' | 'done' | 'begun'> | null;
}

export interface StatusResult {
  readonly rows: readonly StatusRow[];
  readonly current: string | undefined;
  readonly counts: Readonly<Record<StateEntry['state'], number>>;
  /** Since when the after hooks of the settings are due, in ISO 8601: a run began, and has not come to them. */
  readonly afterHookDueSince: string | undefined;
}

/** Compares files and journal. Changes nothing, and creates nothing. */
export async function status(database: Database, settings: MigrationSettings): Promise<StatusResult> {
  const folder = await folderOf(settings);
  const journal = await readJournal(database.sql, settings.journal, 'whole');
  const state = compareState(folder, journal);
  const unfinished = await listUnfinished(database.sql, journal);
  const findUnfinished = (migration: string) => {
    const found = unfinished.find((known) => known.migration === migration);
    return found ? { direction: found.direction, done: found.done, begun: found.begun } : null;
  };
  const rows = [
    ...state.entries.map((entry) => toRow(entry, findUnfinished(entry.file?.version ?? entry.version))),
    ...state.repeatable.map((entry) => toRepeatableRow(entry, findUnfinished(nameOfRepeatable(entry.name)))),
  ];
  const count = (wanted: StateEntry['state']) => rows.filter((row) => row.state === wanted).length;
  const counts = {
    applied: count('applied'),
    pending: count('pending'),
    edited: count('edited'),
    missing: count('missing'),
  };
  const afterHookDueSince = hasAfterHooks(settings) ? journal.afterDueSince : undefined;
  return { rows, current: state.current, counts, afterHookDueSince };
}

function toRow(
  { version, description, state, outOfOrder, file, row }: StateEntry,
  unfinished: StatusRow['unfinished'],
): StatusRow {
  return {
    version,
    description,
    state,
    outOfOrder,
    kind: row?.kind ?? 'migration',
    file: file?.file ?? null,
    appliedAt: row?.appliedAt ?? null,
    durationMs: row?.durationMs ?? null,
    appliedBy: row?.appliedBy ?? null,
    unfinished,
  };
}

function toRepeatableRow(
  { name, state, file, appliedAt }: SchemaState['repeatable'][number],
  unfinished: StatusRow['unfinished'],
): StatusRow {
  return {
    version: 'repeatable',
    description: name,
    state,
    outOfOrder: false,
    kind: 'repeatable',
    file: file?.file ?? null,
    appliedAt: appliedAt ?? null,
    durationMs: null,
    appliedBy: null,
    unfinished,
  };
}
