import type postgres from 'postgres';
import { type Database, withDatabase as openDatabase } from '../../src/db/connect.ts';
import type { DedupeSettings } from '../../src/dedupe/dedupe.ts';
import { type DedupePlan, type DedupeResult, dedupe, planDedupe } from '../../src/dedupe/dedupe.ts';
import type { DedupeRequest } from '../../src/dedupe/request.ts';
import { type UndoResult, undoDedupe } from '../../src/dedupe/undo.ts';
import type { TestDatabase } from '../helpers/database.ts';

export const journal = { schema: 'public', name: 'schema_versions' };

type Request = Omit<DedupeRequest, 'table'> & { readonly table?: string };

const requestOf = ({ table = 'materials', ...request }: Request): DedupeRequest => ({
  ...request,
  table: { schema: 'public', name: table },
});

const open = <T>({ target }: Pick<TestDatabase, 'target'>, use: (database: Database) => Promise<T>) =>
  openDatabase(target, {}, use);

/** Merges, without asking. */
export const merge = (
  database: Pick<TestDatabase, 'target'>,
  request: Request = {},
  settings: Partial<DedupeSettings> = {},
): Promise<DedupeResult> =>
  open(database, (opened) => dedupe(opened, requestOf(request), { journal, ...settings }));

/** What would be merged. */
export const plan = (database: Pick<TestDatabase, 'target'>, request: Request = {}): Promise<DedupePlan> =>
  open(database, (opened) => planDedupe(opened, requestOf(request), { journal }));

/** Takes a run back, without asking. */
export const undo = (
  database: Pick<TestDatabase, 'target'>,
  run?: number,
  settings: Partial<DedupeSettings> = {},
): Promise<UndoResult> =>
  open(database, (opened) => undoDedupe(opened, run, { journal, ...settings }, async () => {}));

/** All rows of tables, as text, sorted: two databases with the same have the same. */
export async function contentsOf(sql: postgres.Sql, ...tables: string[]): Promise<Record<string, string[]>> {
  const contents = await Promise.all(
    tables.map(async (table) => {
      const rows = await sql.unsafe<{ row: string }[]>(`SELECT t::text AS row FROM ${table} t ORDER BY 1`);
      return [table, rows.map(({ row }) => row)] as const;
    }),
  );
  return Object.fromEntries(contents);
}

/** Tables of the education schema that a merge of materials touches. */
export const library = [
  'materials',
  'download_logs',
  'view_logs',
  'material_tags',
  'tags',
  'users',
  'categories',
];

/** One row with one column. */
export async function one<T>(sql: postgres.Sql, query: string): Promise<T> {
  const [row] = await sql.unsafe(`SELECT (${query}) AS value`);
  return row?.value as T;
}
