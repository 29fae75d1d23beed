import type { PendingQuery, Row, Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../../db/identifiers.ts';
import type { PartitionedTable } from '../../catalogue.ts';
import { markerPattern } from '../marker.ts';

/** A copy of the default partition's rows that is under way: what its trigger function says of itself. */
export interface CopyState {
  /** The parent, as SQL. */
  readonly of: string;
  readonly parts: readonly CopyPart[];
  /** Where rows of no part go. */
  readonly rest: QualifiedName;
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
  /** Whether all of them are, with the columns that the parent has now. */
  readonly isWhole: boolean;
}

/** The copy of a table's default partition that is under way, if there is one of ours. */
export async function findCopy(sql: Sql, { oid, name }: PartitionedTable): Promise<FoundCopy | undefined> {
  const [row] = await sql<{ name: string; comment: string | null }[]>`
    SELECT p.oid::regprocedure::text AS name, obj_description(p.oid, 'pg_proc') AS comment
    FROM pg_partitioned_table d JOIN pg_trigger t ON t.tgrelid = d.partdefid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE d.partrelid = ${oid} AND t.tgname = ${copyTrigger}`;
  if (!row?.comment?.startsWith(start)) return undefined;
  const state = JSON.parse(row.comment).eduschema.copy as CopyState;
  if (state.of !== quoteName(name)) return undefined;
  const wanted = [...state.parts.map((part) => part.name), state.rest];
  const there = await sql<{ name: string; fits: boolean }[]>`
    SELECT wanted AS name, (${columnsOf(sql, sql`c.oid`)}) = (${columnsOf(sql, sql`${oid}::int8::oid`)}) AS fits
    FROM json_array_elements_text(${JSON.stringify(wanted.map(quoteName))}::text::json) wanted
    JOIN pg_class c ON c.oid = to_regclass(wanted)
    WHERE c.relkind = 'r' AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') LIKE ${markerPattern}`;
  const found = (table: QualifiedName) => there.find((known) => known.name === quoteName(table));
  return {
    state,
    function: row.name,
    tables: wanted.filter((table) => found(table)),
    isWhole: wanted.every((table) => found(table)?.fits),
  };
}

const columnsOf = (sql: Sql, oid: PendingQuery<Row[]>) => sql`
  SELECT json_agg(attname || ' ' || format_type(atttypid, atttypmod) ORDER BY attname)::text
  FROM pg_attribute WHERE attrelid = ${oid} AND attnum > 0 AND NOT attisdropped`;

/** The file of a table's rows, and how many blocks it has. */
export async function findFile(sql: Sql, table: string): Promise<{ file: string; blocks: number }> {
  const [row] = await sql<[{ file: string; blocks: number }]>`
    SELECT pg_relation_filenode(${table}::regclass)::text AS file,
           (pg_relation_size(${table}::regclass) / current_setting('block_size')::int)::int AS blocks`;
  return row;
}
