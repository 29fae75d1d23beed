import type { Sql } from 'postgres';
import { askTogether, type Question } from '../../../db/ask-together.ts';
import { type QualifiedName, quoteLiteral, quoteName } from '../../../db/identifiers.ts';
import type { PartitionedTable } from '../../catalogue.ts';
import { markerPattern } from '../marker.ts';

/** A copy of the default partition's rows that is under way: what its trigger function says of itself. */
export interface CopyState {
  /** The parent, as SQL. */
  readonly of: string;
  readonly parts: readonly CopyPart[];
  /** Where rows of no part go. */
  readonly rest: QualifiedName;
  /** What the parent's columns were when the tables were made. */
  readonly columns: string;
  /** The file of the default partition that `block` counts in: a rewrite gives it another one. */
  readonly file: string;
  /** The first block that is not copied yet. */
  readonly block: number;
  /** How many there were when the trigger was there: what lies beyond, the trigger brought. */
  readonly blocks: number;
}

/** A table that receives the rows of a range. */
export interface CopyPart {
  readonly name: QualifiedName;
  readonly from: string;
  readonly to: string;
}

/** What the copy's triggers and, with a part of the default partition's name, its function are called. */
export const copyTrigger = 'eduschema_copy';

const start = '{"eduschema":{"copy":';

/** The comment of the copy's function. */
export function writeCopyState(state: CopyState): string {
  return JSON.stringify({ eduschema: { copy: state } });
}

/** A copy that an earlier run began. */
export interface FoundCopy {
  readonly state: CopyState;
  /** The trigger's function, as SQL. */
  readonly function: string;
  /** The tables of the copy that are there as we made them. */
  readonly tables: readonly QualifiedName[];
  /** Whether all of them are, and the parent has the columns that it had. */
  readonly isWhole: boolean;
}

interface CopyFunction {
  readonly name: string;
  readonly comment: string | null;
}

/** The copy of a table's default partition that is under way, if there is one of ours. */
export async function findCopy(sql: Sql, table: PartitionedTable): Promise<FoundCopy | undefined> {
  const [found] = await askTogether(sql, [], [copyQuestion(table.name)]);
  return readCopy(sql, table, found);
}

/** Asks for the function of a copy, for `readCopy`. */
export function copyQuestion({ schema, name }: QualifiedName): Question<CopyFunction | undefined> {
  return {
    sql: `SELECT p.oid::regprocedure::text AS name, obj_description(p.oid, 'pg_proc') AS comment
      FROM pg_partitioned_table d JOIN pg_class c ON c.oid = d.partrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_trigger t ON t.tgrelid = d.partdefid JOIN pg_proc p ON p.oid = t.tgfoid
      WHERE n.nspname = ${quoteLiteral(schema)} AND c.relname = ${quoteLiteral(name)} AND t.tgname = '${copyTrigger}'`,
    read: ([row]: CopyFunction[]) => row,
  };
}

/** The copy that the function says it belongs to, as `findCopy` finds it. */
export async function readCopy(
  sql: Sql,
  { oid, name }: PartitionedTable,
  row: CopyFunction | undefined,
): Promise<FoundCopy | undefined> {
  if (!row?.comment?.startsWith(start)) return undefined;
  const state = JSON.parse(row.comment).eduschema.copy as CopyState;
  if (state.of !== quoteName(name)) return undefined;
  const wanted = [...state.parts.map((part) => part.name), state.rest];
  const there = await sql<{ name: string }[]>`
    SELECT wanted AS name FROM json_array_elements_text(${JSON.stringify(wanted.map(quoteName))}::text::json) wanted
    JOIN pg_class c ON c.oid = to_regclass(wanted)
    WHERE c.relkind = 'r' AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') LIKE ${markerPattern}`;
  const tables = wanted.filter((table) => there.some((known) => known.name === quoteName(table)));
  const isWhole = tables.length === wanted.length && state.columns === (await describeColumns(sql, oid));
  return { state, function: row.name, tables, isWhole };
}

async function describeColumns(sql: Sql, oid: number): Promise<string> {
  const [row] = await sql.unsafe<[{ columns: string }]>(`SELECT ${columnsInShort(oid)} AS columns`);
  return row.columns;
}

/** An SQL expression: the columns of a table in short. One that was dropped and added again is another. */
export function columnsInShort(oid: number): string {
  return `(SELECT md5(string_agg(format('%s %s %s', attnum, attname, format_type(atttypid, atttypmod)), ',' ORDER BY attnum))
    FROM pg_attribute WHERE attrelid = ${oid}::oid AND attnum > 0 AND NOT attisdropped)`;
}

/** The file of a table's rows, and how many blocks it has. */
export async function findFile(sql: Sql, table: string): Promise<{ file: string; blocks: number }> {
  const [row] = await sql<[{ file: string; blocks: number }]>`
    SELECT pg_relation_filenode(${table}::regclass)::text AS file,
           (pg_relation_size(${table}::regclass) / current_setting('block_size')::int)::int AS blocks`;
  return row;
}
