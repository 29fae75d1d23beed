import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import { withSuffix } from '../partition-name.ts';

/** What a conversion is about to do; in this order. */
export type Phase = 'capture' | 'copy' | 'index' | 'swap' | 'keys' | 'prove' | 'done';

/**
 * How far a conversion is. It is written in the transaction of each step, so that it says what is done, neither more nor
 * less, whenever the work was cut off.
 */
export interface RunState {
  readonly phase: Phase;
  /** The copy: blocks up to here are done. */
  readonly block: number;
  /** The copy: blocks from here on hold only rows that came when changes were noted already. */
  readonly endBlock: number;
  /** The file that the blocks are of. */
  readonly file: number;
  readonly rows: number;
  /** Partitions with which the phase is done. */
  readonly done: readonly string[];
  /** The definitions of the indexes that the twin has, by their names. */
  readonly indexes: Readonly<Record<string, string>>;
  /** A transaction that came after the copy. */
  readonly copied: string | null;
}

/** The name of the table with the state of the conversion of `table`. */
export function stateTableOf({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: withSuffix(name, '_eduschema_state') };
}

/** The statements that make it, at the beginning. */
export function createState(table: QualifiedName, owner: string): PlannedStatement[] {
  const state = quoteName(stateTableOf(table));
  return [
    `CREATE TABLE ${state} (phase text NOT NULL, block bigint NOT NULL DEFAULT 0, end_block bigint NOT NULL DEFAULT 0,
  file bigint NOT NULL DEFAULT 0, rows bigint NOT NULL DEFAULT 0, done text[] NOT NULL DEFAULT '{}',
  indexes jsonb NOT NULL DEFAULT '{}', copied xid8)`,
    `ALTER TABLE ${state} OWNER TO ${quoteIdentifier(owner)}`,
    `COMMENT ON TABLE ${state} IS ${quoteLiteral(`eduschema: how far the conversion of ${table.schema}.${table.name} is`)}`,
    `INSERT INTO ${state} (phase) VALUES ('capture')`,
  ].map((sql) => ({ sql, why: 'one row, which says how far the conversion is' }));
}

/** The statement that drops it. */
export function dropState(table: QualifiedName): PlannedStatement {
  return {
    sql: `DROP TABLE IF EXISTS ${quoteName(stateTableOf(table))}`,
    why: 'nothing is under way any more',
  };
}

/** The statement that says what is next. */
export function enter(table: QualifiedName, phase: Phase): PlannedStatement {
  return {
    sql: `UPDATE ${quoteName(stateTableOf(table))} SET phase = ${quoteLiteral(phase)}, done = '{}'`,
    why: `next is: ${phase}`,
  };
}

/** The statement that begins the copy, at the first block; it locks the table out of being rewritten meanwhile. */
export function beginCopy(table: QualifiedName): PlannedStatement {
  const source = `${quoteLiteral(quoteName(table))}::pg_catalog.regclass`;
  return {
    sql: `UPDATE ${quoteName(stateTableOf(table))} SET phase = 'copy', block = 0, rows = 0, done = '{}',
  file = pg_catalog.pg_relation_filenode(${source}),
  end_block = pg_catalog.pg_relation_size(${source}) / pg_catalog.current_setting('block_size')::bigint`,
    why: 'next is the copy of the blocks that there are now; what comes later is noted',
  };
}

/** The statement that says how far the copy is. */
export function saveBlock(table: QualifiedName, { block, rows }: Pick<RunState, 'block' | 'rows'>): string {
  return `UPDATE ${quoteName(stateTableOf(table))} SET block = ${block}, rows = ${rows}`;
}

/** The statement that ticks a partition off. */
export function tickOff(table: QualifiedName, partition: string): PlannedStatement {
  return {
    sql: `UPDATE ${quoteName(stateTableOf(table))} SET done = done || ${quoteLiteral(partition)}::text`,
    why: 'this one is done',
  };
}

/** The statement that says which indexes the twin has, and that the swap is next. */
export function saveIndexes(table: QualifiedName, indexes: RunState['indexes']): PlannedStatement {
  return {
    sql: `UPDATE ${quoteName(stateTableOf(table))} SET phase = 'swap', done = '{}', indexes = ${quoteLiteral(JSON.stringify(indexes))},
  copied = coalesce(copied, pg_catalog.pg_current_xact_id())`,
    why: 'next is: swap',
  };
}

/** The state; undefined when no conversion is under way. */
export async function readState(
  sql: Pick<Sql, 'unsafe'>,
  table: QualifiedName,
): Promise<RunState | undefined> {
  const state = quoteName(stateTableOf(table));
  const [found] = await sql.unsafe<[{ there: boolean }]>(`SELECT to_regclass($1) IS NOT NULL AS there`, [
    state,
  ]);
  if (!found.there) return undefined;
  const [row] = await sql.unsafe<(Omit<RunState, 'done' | 'indexes'> & { done: string; indexes: string })[]>(
    `SELECT phase, block::float8, end_block::float8 AS "endBlock", file::float8, rows::float8, to_json(done)::text AS done, indexes::text, copied::text FROM ${state}`,
  );
  return row && { ...row, done: JSON.parse(row.done), indexes: JSON.parse(row.indexes) };
}
