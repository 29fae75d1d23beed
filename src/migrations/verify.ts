import type { Database } from '../db/connect.ts';
import { folderOf } from './folder.ts';
import { readJournal } from './journal.ts';
import type { MigrationSettings } from './settings.ts';
import { compareState } from './state.ts';

/** What `verify` found of one applied migration. */
export interface VerifyRow {
  readonly version: string;
  readonly description: string;
  /** `unrecorded`: applied before checksums were kept. */
  readonly result: 'ok' | 'edited' | 'missing' | 'unrecorded';
  readonly file: string | null;
  readonly recorded: string | null;
  readonly actual: string | null;
}

/** Compares the checksums of all applied migrations with their files. Changes nothing. */
export async function verify(database: Database, settings: MigrationSettings): Promise<readonly VerifyRow[]> {
  const folder = await folderOf(settings);
  const { entries } = compareState(folder, await readJournal(database.sql, settings.journal, 'whole'));
  return entries
    .filter(({ row }) => row)
    .map(({ version, description, state, file, row }) => ({
      version,
      description,
      result: state === 'edited' || state === 'missing' ? state : row?.checksum == null ? 'unrecorded' : 'ok',
      file: file?.file ?? null,
      recorded: row?.checksum ?? null,
      actual: file?.checksum ?? null,
    }));
}
