import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import { withSuffix } from '../partition-name.ts';

/** How far a conversion is. It is written in the transaction of each step, so that it says what is done, neither less nor more. */
export interface RunState<Facts = Record<string, unknown>> {
  readonly phase: string;
  /** The copy: blocks up to here are done. */
  readonly block: number;
  /** The copy: blocks from here on hold only rows that came when changes were noted already. */
  readonly endBlock: number;
  /** The file that the blocks are of. */
  readonly file: number;
  readonly rows: number;
  /** What is to be known until the end. */
  readonly facts: Facts;
}

/** The name of the table with the state of the conversion of `table`. */
export function stateTableOf({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: withSuffix(name, '_eduschema_split') };
}

/** The statement that makes it. */
export function createState(state: QualifiedName, owner: string): PlannedStatement[] {
  return [
    {
      sql: `CREATE TABLE ${quoteName(state)} (phase text NOT NULL, block bigint NOT NULL DEFAULT 0, end_block bigint NOT NULL DEFAULT 0,
  file bigint NOT NULL DEFAULT 0, rows bigint NOT NULL DEFAULT 0, facts jsonb NOT NULL)`,
      why: 'how far the conversion is, one row',
    },
    { sql: `ALTER TABLE ${quoteName(state)} OWNER TO ${quoteIdentifier(owner)}`, why: 'as the table' },
  ];
}

/** The state; undefined when no conversion is under way. */
export async function readState<Facts>(
  sql: Pick<Sql, 'unsafe'>,
  state: QualifiedName,
): Promise<RunState<Facts> | undefined> {
  const [found] = await sql.unsafe<[{ there: boolean }]>(`SELECT to_regclass($1) IS NOT NULL AS there`, [
    quoteName(state),
  ]);
  if (!found.there) return undefined;
  const [row] = await sql.unsafe<RunState<Facts>[]>(
    `SELECT phase, block::float8, end_block::float8 AS "endBlock", file::float8, rows::float8, facts FROM ${quoteName(state)}`,
  );
  return row;
}
