import type { Database } from '../db/connect.ts';
import { toolVersion } from '../tool-version.ts';

import { folderOf, type MigrationFile, type MigrationFolder } from './folder.ts';
import { noHooks } from './hooks.ts';
import { readJournal } from './journal.ts';
import { journalStatements, recordStatement } from './journal-statements.ts';
import { fenceOf } from './lease.ts';
import { forbidReadOnly, prepareJournal } from './prepare-journal.ts';
import type { MigrationSettings } from './settings.ts';
import { compareState, forbidEdited, requireVersion } from './state.ts';
import { closeStatements } from './statement-journal.ts';
import { type HeldTurn, withTurn } from './turn.ts';
import { compareVersions } from './version.ts';

export interface BaselineResult {
  readonly recorded: readonly {
    readonly version: string;
    readonly description: string;
    readonly file: string;
  }[];
  readonly current: string | undefined;
  /** With `dryRun`: the SQL. */
  readonly script: string | undefined;
}

/**
 * Records `version` and every older one as applied, without running them: for a database that has their schema
 * already. What is recorded stays as it is.
 */
export async function baseline(
  database: Database,
  settings: MigrationSettings,
  version: string,
  options: { readonly dryRun?: boolean | undefined } = {},
): Promise<BaselineResult> {
  forbidReadOnly(database);
  const folder = await folderOf(settings);
  // What changes nothing needs no turn.
  if (options.dryRun) return record(database, { ...settings, lease: undefined }, folder, version, true);
  return withTurn(database, settings, (held) => record(database, held, folder, version, false));
}

async function record(
  database: Database,
  settings: Omit<HeldTurn, 'token'>,
  folder: MigrationFolder,
  version: string,
  dryRun: boolean,
): Promise<BaselineResult> {
  const journal = await readJournal(database.sql, settings.journal);
  const state = compareState(folder, journal);
  requireVersion(state, version);
  forbidEdited(state);
  const files = state.entries.flatMap(({ row, file }) =>
    !row && file && compareVersions(file.version, version) <= 0 ? [file] : [],
  );
  const statements = files.flatMap((file) => [
    recordStatement(
      journal.name,
      { ...file, kind: 'baseline' },
      { checksum: file.checksum, toolVersion, durationMs: 'NULL' },
    ),
    ...(journal.hasStatements
      ? [closeStatements(journal.name, { migration: file.version, direction: 'up' })]
      : []),
  ]);
  const current = files.length > 0 ? newest(files, state.current) : state.current;
  const recorded = files.map(({ version, description, file }) => ({ version, description, file }));
  if (dryRun) {
    const script = ['BEGIN', ...journalStatements(journal, { repeatable: false }), ...statements, 'COMMIT']
      .map((statement) => `${statement};\n`)
      .join('');
    return { recorded: [], current: state.current, script };
  }
  await prepareJournal(database, journal, { state, steps: [], forgotten: [], hooks: noHooks }, settings);
  if (statements.length > 0) await database.sql.unsafe([...statements, ...fenceOf(settings)].join(';\n'));
  return { recorded, current, script: undefined };
}

function newest(files: readonly MigrationFile[], current: string | undefined): string | undefined {
  const versions = files.map(({ version }) => version);
  return [...versions, ...(current === undefined ? [] : [current])].sort(compareVersions).at(-1);
}
