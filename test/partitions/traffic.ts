import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import type { TestDatabase } from '../helpers/database.ts';

/** What readers saw while something went on. */
export interface Seen {
  readonly reads: number;
  /** Counts other than the one that every one should have been. */
  readonly wrong: readonly string[];
}

/**
 * Readers that count the rows of `logs` up to `id` again and again, of which nobody adds or takes any: in statements of
 * their own, prepared and not, and under snapshots that are older than the first look at the table.
 */
export function readAllAlong({ connect }: TestDatabase, id: number): { stop(): Promise<Seen> } {
  let stopped = false;
  let reads = 0;
  const wrong: string[] = [];
  const keep = (how: string, [row]: readonly { count: number }[]) => {
    reads++;
    if (row?.count !== id) wrong.push(`${how}: ${row?.count}`);
  };
  const count = `SELECT count(*)::int AS count FROM logs WHERE id <= ${id}`;
  const loop = async (sql: Sql, once: (sql: Sql) => Promise<void>) => {
    while (!stopped) await once(sql);
  };
  const single = () => connect({ max: 1, prepare: false });
  const loops = [
    loop(single(), async (sql) => keep('at once', await sql.unsafe(count))),
    loop(connect({ max: 1 }), async (sql) =>
      keep(
        'prepared',
        await sql<{ count: number }[]>`SELECT count(*)::int AS count FROM logs WHERE id <= ${id}`,
      ),
    ),
    ...[5, 40, 200].map((wait) =>
      loop(single(), async (sql) => {
        await sql.unsafe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1');
        await sleep(wait);
        keep('under an older snapshot', await sql.unsafe(count));
        await sql.unsafe('COMMIT');
      }),
    ),
  ];
  return {
    async stop() {
      stopped = true;
      await Promise.all(loops);
      return { reads, wrong };
    },
  };
}

/**
 * Writers that insert, update and delete rows of `logs` beyond `id`, in the months from `from` on, each time in `control`
 * as well, in the same transaction.
 */
export function writeAllAlong(
  { connect }: TestDatabase,
  { beyond, from, to }: { readonly beyond: number; readonly from: string; readonly to: string },
): { stop(): Promise<number> } {
  let stopped = false;
  let writes = 0;
  const writer = async (sql: Sql, kind: number) => {
    for (let n = 0; !stopped; n++) {
      const id = beyond + 100 + kind * 1_000_000 + n;
      const at = `timestamptz '${from}' + random() * (timestamptz '${to}' - timestamptz '${from}')`;
      const statements = [
        `INSERT INTO it (id, at, note) SELECT ${id}, t.at, 'new' FROM chosen t`,
        `UPDATE it SET note = 'changed ${n}' WHERE id = ${id - (n % 7)}`,
        n % 3 === 0 ? `DELETE FROM it WHERE id = ${id - 5}` : '',
        // From one month to another, and within one.
        n % 4 === 0 ? `UPDATE it SET at = (SELECT t.at FROM chosen t) WHERE id = ${id - 2}` : '',
      ].filter(Boolean);
      const both = ['logs', 'control'].flatMap((table) =>
        statements.map((statement) => statement.replaceAll(/\bit\b/g, table)),
      );
      await sql.unsafe(
        `BEGIN; CREATE TEMP TABLE chosen ON COMMIT DROP AS SELECT ${at} AS at; ${both.join('; ')}; COMMIT`,
      );
      writes++;
    }
  };
  const writers = [0, 1].map((kind) => writer(connect({ max: 1, prepare: false }), kind));
  return {
    async stop() {
      stopped = true;
      await Promise.all(writers);
      return writes;
    },
  };
}

/** Rows that are in `logs` or in `control` alone. */
export async function differences(sql: Sql): Promise<readonly object[]> {
  const columns = 'id, at, note';
  return sql.unsafe(`
    (SELECT 'logs alone' AS place, ${columns} FROM logs EXCEPT ALL SELECT 'logs alone', ${columns} FROM control)
    UNION ALL (SELECT 'control alone', ${columns} FROM control EXCEPT ALL SELECT 'control alone', ${columns} FROM logs) LIMIT 10`);
}
