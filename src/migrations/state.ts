import { EduschemaError } from '../errors.ts';
import { checksumAlgorithm } from './checksum.ts';
import type { MigrationFile, MigrationFolder, RepeatableFile } from './folder.ts';
import type { Journal, JournalRow } from './journal.ts';
import { canonicalVersion, compareText } from './version.ts';

/** The files and the journal, laid beside each other. Pure: nothing was asked for it. */
export interface SchemaState {
  /** Canonical versions of what is recorded. */
  readonly applied: ReadonlySet<string>;
  /** The newest recorded version, as it is recorded. */
  readonly current: string | undefined;
  /** Every version that has a file or a row, in order. */
  readonly entries: readonly StateEntry[];
  readonly repeatable: readonly RepeatableEntry[];
}

export interface StateEntry {
  readonly version: string;
  readonly description: string;
  /** `edited`: the file is not what was applied. `missing`: applied, and its file is gone. */
  readonly state: 'applied' | 'pending' | 'edited' | 'missing';
  /** Pending, but older than the newest applied version. */
  readonly outOfOrder: boolean;
  readonly file: MigrationFile | undefined;
  readonly row: JournalRow | undefined;
}

export interface RepeatableEntry {
  readonly name: string;
  readonly state: 'applied' | 'pending' | 'missing';
  readonly file: RepeatableFile | undefined;
  readonly appliedAt: string | undefined;
}

/** Compares a folder of migrations with what a database has recorded. */
export function compareState(folder: MigrationFolder, journal: Journal): SchemaState {
  const rows = new Map(journal.rows.map((row) => [canonicalVersion(row.version), row]));
  const files = new Map(folder.versioned.map((file) => [file.canonical, file]));
  const applied = new Set(rows.keys());
  const sorted = [...new Set([...files.keys(), ...applied])].sort(compareText);
  const newest = sorted.findLast((version) => applied.has(version));
  const entries = sorted.map((version): StateEntry => {
    const file = files.get(version);
    const row = rows.get(version);
    return {
      version: row?.version ?? file?.version ?? version,
      description: row?.description ?? file?.description ?? '',
      state: stateOf(file, row),
      outOfOrder: !row && newest !== undefined && version < newest,
      file,
      row,
    };
  });
  const current = newest === undefined ? undefined : rows.get(newest)?.version;
  return { applied, current, entries, repeatable: compareRepeatable(folder, journal) };
}

function stateOf(file: MigrationFile | undefined, row: JournalRow | undefined): StateEntry['state'] {
  if (!row) return 'pending';
  // A row that came from elsewhere may never have had a file, and has no checksum.
  if (!file) return row.kind === 'adopted' && row.checksum === null ? 'applied' : 'missing';
  const comparable = row.checksum !== null && row.checksumAlgorithm === checksumAlgorithm;
  return comparable && row.checksum !== file.checksum ? 'edited' : 'applied';
}

function compareRepeatable(folder: MigrationFolder, journal: Journal): RepeatableEntry[] {
  const recorded = new Map(journal.repeatable.map((row) => [row.name, row]));
  const files = new Map(folder.repeatable.map((file) => [file.name, file]));
  return [...new Set([...files.keys(), ...recorded.keys()])].sort().map((name): RepeatableEntry => {
    const [file, row] = [files.get(name), recorded.get(name)];
    const state = !file ? 'missing' : row?.checksum === file.checksum ? 'applied' : 'pending';
    return { name, state, file, appliedAt: row?.appliedAt };
  });
}

/** Throws when an applied migration's file was edited since. */
export function forbidEdited({ entries }: SchemaState): void {
  const edited = entries.filter(({ state }) => state === 'edited');
  const [first] = edited;
  if (!first) return;
  throw new EduschemaError(
    'migration-edited',
    `${first.file?.file} was edited after it was applied${others(edited)}`,
    {
      hint: 'restore the text that was applied (eduschema verify lists what differs) and put the change into a new migration',
      details: { versions: edited.map(({ version }) => version) },
    },
  );
}

/** Throws when an applied migration has no file any more. */
export function forbidMissing({ entries }: SchemaState): void {
  const missing = entries.filter(({ state }) => state === 'missing');
  const [first] = missing;
  if (!first) return;
  throw new EduschemaError(
    'migration-missing',
    `${first.version} ${first.description} is applied, but its file is gone${others(missing)}`,
    {
      hint: 'restore the file, or check out the branch that has it',
      details: { versions: missing.map(({ version }) => version) },
    },
  );
}

/** Throws when a migration would run that is older than the newest applied one. */
export function forbidOutOfOrder(
  { entries, current }: SchemaState,
  selected: readonly MigrationFile[],
): void {
  const late = entries.filter(({ outOfOrder, file }) => outOfOrder && file && selected.includes(file));
  const [first] = late;
  if (!first) return;
  throw new EduschemaError(
    'version-out-of-order',
    `${first.file?.file} is older than ${current}, which is applied already${others(late)}`,
    {
      hint: 'give it a newer version; if it fits all the same, run with --out-of-order',
      details: { versions: late.map(({ version }) => version) },
    },
  );
}

/** Throws when no file and no row has the version. */
export function requireVersion({ entries }: SchemaState, version: string): StateEntry {
  const entry = entries.find((known) => canonicalVersion(known.version) === canonicalVersion(version));
  if (entry) return entry;
  const near = entries.slice(-3).map((known) => known.version);
  throw new EduschemaError('version-unknown', `there is no version ${version}`, {
    hint: near.length > 0 ? `the newest are ${near.join(', ')}` : 'there are no versions yet',
  });
}

function others(list: readonly unknown[]): string {
  return list.length > 1 ? `, and so on for ${list.length - 1} more` : '';
}
