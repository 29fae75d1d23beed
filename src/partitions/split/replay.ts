import type { Sql } from 'postgres';
import { quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { columnList, sameKey, withoutKey } from './key.ts';
import type { Pair } from './pair.ts';

/** What became of the changes that were noted. */
export interface Replayed {
  /** How many notes were worked off. */
  readonly notes: number;
  /** Something was noted without a key: TRUNCATE, or a key column that was altered. The second table is to be filled anew. */
  readonly anew: boolean;
}

/**
 * The statements that make the noted changes good in the second table and strike them off: whatever it has of these
 * keys goes, and what the first table has of them now takes its place. They must all see the same, as in a
 * REPEATABLE READ transaction, or with the first table locked.
 */
export function replayStatements(pair: Pair, where = ''): PlannedStatement[] {
  const { from, to, changes, key, columns } = pair;
  const noted = `(SELECT DISTINCT ${columnList(key.map(({ name }) => name))} FROM ${quoteName(changes)}${where}) AS c`;
  return [
    {
      sql: `DELETE FROM ${quoteName(to)} AS t USING ${noted} WHERE ${sameKey(key, 't', 'c')}`,
      why: 'what may be out of date',
    },
    {
      sql: `INSERT INTO ${quoteName(to)} (${columnList(columns)}) OVERRIDING SYSTEM VALUE
SELECT ${columnList(columns, 'f')} FROM ${quoteName(from)} AS f JOIN ${noted} ON ${sameKey(key, 'f', 'c')}`,
      why: 'as it is now',
    },
    { sql: `DELETE FROM ${quoteName(changes)}${where}`, why: 'these changes are made good' },
  ];
}

/** The keys are few, beside the table, and the server does not know: each is to be looked up. */
const lookUpKeys = (value: 'off' | 'DEFAULT') =>
  ['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']
    .map((setting) => `SET LOCAL ${setting} = ${value}`)
    .join('; ');

/** So many blocks of notes, of 100 to 200 keys each, are worked off together. */
const blocksAtOnce = 128;

/**
 * Makes the noted changes good, those of the next `blocks` blocks, inside a transaction whose statements all see the
 * same. Nothing happens when the second table is to be filled anew.
 */
export async function replaySome(
  sql: Pick<Sql, 'unsafe'>,
  pair: Pair,
  blocks = Number.POSITIVE_INFINITY,
): Promise<Replayed> {
  const changes = quoteName(pair.changes);
  const [first] = await sql.unsafe<{ block: number | null; anew: boolean }[]>(
    `SELECT (SELECT (ctid::text::point)[0]::int8 FROM ${changes} LIMIT 1)::float8 AS block, EXISTS (SELECT FROM ${changes} WHERE ${withoutKey(pair.key)}) AS anew`,
  );
  if (!first || first.anew || first.block === null) return { notes: 0, anew: Boolean(first?.anew) };
  await sql.unsafe(lookUpKeys('off'));
  const range = Number.isFinite(blocks)
    ? ` WHERE ctid >= '(${first.block},0)' AND ctid < '(${first.block + blocks},0)'`
    : '';
  let notes = 0;
  for (const statement of replayStatements(pair, range)) notes = (await sql.unsafe(statement.sql)).count;
  await sql.unsafe(lookUpKeys('DEFAULT'));
  return { notes, anew: false };
}

/**
 * Makes changes good until no more than `enough` come while that is done. Returns false when the second table is to be
 * filled anew.
 */
export async function catchUp(
  worker: Worker,
  pair: Pair,
  {
    enough,
    blocks = blocksAtOnce,
    onRound,
  }: {
    readonly enough: number;
    readonly blocks?: number;
    readonly onRound?: ((notes: number) => void) | undefined;
  },
): Promise<boolean> {
  const title = `make good what changed in ${pair.from.schema}.${pair.from.name}`;
  const round = (atOnce: number) =>
    worker.transaction(title, async (sql) => {
      await sql.unsafe('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = off');
      return replaySome(sql, pair, atOnce);
    });
  for (;;) {
    const done = await round(blocks).catch((error: unknown) => {
      // Rows that swap a unique value can be made good together alone.
      if (!isUniqueViolation(error)) throw error;
      return round(Number.POSITIVE_INFINITY);
    });
    if (done.anew) return false;
    onRound?.(done.notes);
    if (done.notes <= enough) return true;
  }
}

const isUniqueViolation = (error: unknown) =>
  error instanceof EduschemaError && error.details?.sqlstate === '23505';
