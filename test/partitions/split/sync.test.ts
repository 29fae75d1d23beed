import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql, TransactionSql } from 'postgres';
import { describe, expect, it, onTestFinished } from 'vitest';
import { listDifferences, provePeriods, takeSnapshot } from '../../../src/partitions/convert/proof.ts';
import { backfill, type Position } from '../../../src/partitions/split/backfill.ts';
import { sameKey } from '../../../src/partitions/split/key.ts';
import type { Pair } from '../../../src/partitions/split/pair.ts';
import { catchUp, replaySome } from '../../../src/partitions/split/replay.ts';
import { type TestDatabase, withDatabase } from '../../helpers/database.ts';
import { bounds, capture, makeLogs, makeTwin, pairOf, withTestWorker } from './pair.ts';

/** Where a copy begins. */
async function positionOf(sql: Sql, { from }: Pair): Promise<Position> {
  const [row] = await sql.unsafe<[{ endBlock: number; file: number }]>(
    `SELECT (pg_relation_size('${from.name}') / 8192)::float8 AS "endBlock", pg_relation_filenode('${from.name}')::int8::float8 AS file`,
  );
  return { ...row, block: 0, rows: 0 };
}

const nowhere = () => 'SELECT 1';

const inSnapshot = <T>(sql: Sql, look: (sql: TransactionSql) => Promise<T>) =>
  sql.begin(async (inside) => {
    await takeSnapshot(inside);
    return look(inside);
  }) as Promise<T>;

const proofOf = (sql: Sql, pair: Pair) =>
  inSnapshot(sql, (inside) =>
    provePeriods(inside, {
      old: pair.from,
      new: pair.to,
      column: 'at',
      bounds,
      except: `NOT EXISTS (SELECT FROM ${pair.changes.name} c WHERE ${sameKey(pair.key, 'c', 'r')})`,
    }),
  );

describe('rows that are copied', () => {
  it(
    'are all there, in their months, under a storm of inserts, updates and deletes of the same rows',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLogs(sql, 20_000);
      await makeTwin(sql);
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const storm = startStorm(test, 4);

      await withTestWorker(test, async (worker) => {
        const batches: number[] = [];
        const start = await positionOf(sql, pair);
        // Small batches, so that many changes fall between two of them.
        const onBatch = ({ block }: Position) => void batches.push(block);
        expect(await backfill(worker, pair, start, nowhere, { batchMs: 1, pauseMs: 15, onBatch })).toBe(true);
        expect(batches.length).toBeGreaterThan(5);
        await sql`DELETE FROM logs_new t USING logs_eduschema_changes c WHERE t.id = c.id AND t.at = c.at`;
        await sql`ALTER TABLE logs_new ADD PRIMARY KEY (id, at)`;
        for (let round = 0; round < 10; round++) await catchUp(worker, pair, { enough: 1e6 });

        // While they write, all that is not noted is the same.
        const proof = await proofOf(sql, pair);
        expect(proof.filter(({ equal }) => !equal)).toEqual([]);
        expect(proof.length).toBeGreaterThan(3);

        const counts = await storm.stop();
        for (const count of Object.values(counts)) expect(count).toBeGreaterThan(20);
        expect(await catchUp(worker, pair, { enough: 0 })).toBe(true);
      });

      expect(await sql`SELECT count(*)::int FROM logs_eduschema_changes`).toEqual([{ count: 0 }]);
      expect(await sql`TABLE logs EXCEPT ALL TABLE logs_new`).toEqual([]);
      expect(await sql`TABLE logs_new EXCEPT ALL TABLE logs`).toEqual([]);
    }),
    90_000,
  );

  it(
    'are not lost when a row is updated in the middle of the batch that copies it, or deleted, or moved to another month',
    withDatabase(async (test) => {
      const { sql, connect } = test;
      await makeLogs(sql, 100);
      await makeTwin(sql);
      await sql`ALTER TABLE logs_new ADD PRIMARY KEY (id, at)`;
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const application = await connect({ max: 1 }).reserve();

      await withTestWorker(test, async (worker) => {
        await application.unsafe(`BEGIN; UPDATE logs SET who = 'changed' WHERE id = 1; DELETE FROM logs WHERE id = 2;
          UPDATE logs SET at = '2026-04-20' WHERE id = 3; INSERT INTO logs (id, at, who) VALUES (1000, '2026-01-05', 'new')`);
        // Does not wait for the rows that are being changed.
        await backfill(worker, pair, await positionOf(sql, pair), nowhere, {});
        expect(await catchUp(worker, pair, { enough: 0 })).toBe(true);
        expect(await sql`SELECT who FROM logs_new WHERE id < 4 ORDER BY id`).toMatchObject([
          { who: 'user 0' },
          { who: 'user 1' },
          { who: 'user 2' },
        ]);
        await application.unsafe('COMMIT');
        expect(await catchUp(worker, pair, { enough: 0 })).toBe(true);
      });

      expect(
        await sql`SELECT id::int, who, at::text FROM logs_new WHERE id < 4 OR id = 1000 ORDER BY id`,
      ).toEqual(await sql`SELECT id::int, who, at::text FROM logs WHERE id < 4 OR id = 1000 ORDER BY id`);
      expect(await sql`SELECT count(*)::int FROM logs_new`).toEqual([{ count: 100 }]);
    }),
  );

  it(
    'can swap what is unique among them, though a part of the changes would not fit',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLogs(sql, 1000);
      await makeTwin(sql);
      await sql`ALTER TABLE logs ADD UNIQUE (who) DEFERRABLE`;
      await sql`ALTER TABLE logs_new ADD PRIMARY KEY (id, at), ADD UNIQUE (who, at)`;
      await sql`UPDATE logs SET at = '2026-02-01'`;
      const pair = await pairOf(sql);
      await capture(sql, pair);
      await withTestWorker(test, async (worker) => {
        await backfill(worker, pair, await positionOf(sql, pair), nowhere, {});
        // The new name of each is the old one of another.
        await sql`UPDATE logs SET who = 'user ' || (id + 499) % 1000`;
        expect(await catchUp(worker, pair, { enough: 0, blocks: 1 })).toBe(true);
      });

      expect(await sql`TABLE logs EXCEPT ALL TABLE logs_new`).toEqual([]);
      expect(await sql`SELECT count(*)::int FROM logs_new`).toEqual([{ count: 1000 }]);
    }),
  );

  it.each([
    ['emptied', 'TRUNCATE logs'],
    ['rewritten', 'ALTER TABLE logs ALTER seen TYPE bigint'],
    ['packed', 'VACUUM FULL logs'],
  ])('are no longer copied by place when the table is %s', (_, statement) =>
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLogs(sql, 20_000);
      await makeTwin(sql);
      await sql`ALTER TABLE logs DROP double`;
      await sql`ALTER TABLE logs_new DROP double`;
      const pair = await pairOf(sql);
      await capture(sql, pair);

      await withTestWorker(test, async (worker) => {
        let batches = 0;
        const whole = await backfill(worker, pair, await positionOf(sql, pair), nowhere, {
          batchMs: 1,
          pauseMs: 200,
          onBatch: () => {
            if (++batches === 1) void sql.unsafe(statement).then(() => {});
          },
        });
        expect(whole).toBe(false);
        expect(batches).toBe(1);
        if (statement.startsWith('TRUNCATE')) expect(await catchUp(worker, pair, { enough: 0 })).toBe(false);
      });
    })(),
  );

  it(
    'are kept with whatever key: of several columns, of text, of numbers, of a type of an extension',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
        CREATE TYPE kind AS ENUM ('view', 'download');
        CREATE TABLE logs (name ext.citext, number numeric(10, 2), kind kind, code char(4), at timestamp, note text,
          PRIMARY KEY (kind, name, number, code));
        CREATE TABLE logs_new (LIKE logs) PARTITION BY RANGE (at);
        CREATE TABLE logs_new_default PARTITION OF logs_new DEFAULT;
        INSERT INTO logs SELECT 'Name ' || i, i / 4.0, CASE WHEN i % 2 = 0 THEN 'view' ELSE 'download' END::kind, 'c' || i % 9,
          timestamp '2026-01-01' + i * interval '1 hour', 'note' FROM generate_series(1, 2000) i`);
      const pair = await pairOf(sql);
      expect(pair.key.map(({ name, equals }) => `${name} ${equals}`)).toEqual([
        'kind OPERATOR(pg_catalog.=)',
        'name OPERATOR(ext.=)',
        'number OPERATOR(pg_catalog.=)',
        'code OPERATOR(pg_catalog.=)',
        'at OPERATOR(pg_catalog.=)',
      ]);
      await capture(sql, pair);
      await withTestWorker(test, async (worker) => {
        await backfill(worker, pair, await positionOf(sql, pair), nowhere, {});
        await sql`ALTER TABLE logs_new ADD PRIMARY KEY (kind, name, number, code, at)`;
        await sql`UPDATE logs SET note = 'changed', name = upper(name) WHERE number < 50`;
        await sql`DELETE FROM logs WHERE number > 490`;
        let notes = 0;
        await catchUp(worker, pair, { enough: 0, onRound: (some) => void (notes += some) });
        expect(notes).toBe(199 * 2 + 40);
      });

      expect(
        await sql`SELECT name::text, number::text, note FROM logs EXCEPT ALL SELECT name::text, number::text, note FROM logs_new`,
      ).toEqual([]);
      expect(await sql`SELECT count(*)::int FROM logs_new`).toEqual([{ count: 1960 }]);
    }),
  );

  it(
    'are found by their key, in their partition alone, however large the table is',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLogs(sql, 2000);
      await makeTwin(sql);
      await sql`ALTER TABLE logs_new ADD PRIMARY KEY (id, at)`;
      const pair = await pairOf(sql);
      await capture(sql, pair);
      await sql`UPDATE logs SET seen = 1 WHERE id = 7`;
      const plans: string[] = [];
      await sql
        .begin(async (inside) => {
          const watched = {
            unsafe: async (text: string) => {
              if (/^(DELETE FROM "public"."logs_new"|INSERT)/.test(text)) {
                const rows = await inside.unsafe<{ 'QUERY PLAN': string }[]>(
                  `EXPLAIN (ANALYZE, COSTS off, TIMING off) ${text}`,
                );
                plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
                return Object.assign([], { count: 0 });
              }
              return inside.unsafe(text);
            },
          };
          await replaySome(watched as never, pair);
          throw new Error('enough');
        })
        .catch(() => {});

      expect(plans).toHaveLength(2);
      expect(plans[0]).toMatch(/Index.* using logs_new_2026_01_pkey/);
      expect(plans[0]).toMatch(/logs_new_2026_03.*\(never executed\)/);
      expect(plans.join()).not.toMatch(/Seq Scan on logs(?!_eduschema)/);
      expect(plans.join()).not.toMatch(/Hash Join|Merge Join/);
    }),
  );
});

describe('the proof', () => {
  it(
    'tells a row that is missing, twice, another one, or in another month, and shows it',
    withDatabase(async (test) => {
      const { sql, connect } = test;
      await makeLogs(sql, 1000);
      await makeTwin(sql);
      await sql`INSERT INTO logs_new (id, at, who, seen) OVERRIDING SYSTEM VALUE SELECT id, at, who, seen FROM logs`;
      const one = connect({ max: 1 });
      const subject = {
        old: { schema: 'public', name: 'logs' },
        new: { schema: 'public', name: 'logs_new' },
        column: 'at',
        bounds,
      };
      const wrongMonths = () =>
        inSnapshot(one, async (inside) => {
          const found = [];
          for (const period of (await provePeriods(inside, subject)).filter(({ equal }) => !equal))
            found.push({
              from: period.from?.slice(0, 7) ?? null,
              rows: period.rows,
              rowsThatDiffer: (await listDifferences(inside, subject, period, 5)).map(
                ({ table, row }) => `${table} ${row}`,
              ),
            });
          return found;
        });
      expect(await wrongMonths()).toEqual([]);

      await sql`DELETE FROM logs_new WHERE id = 1`;
      await sql`INSERT INTO logs_new (id, at, who) SELECT id, at, who FROM logs WHERE id = 400`;
      await sql`UPDATE logs_new SET at = at + interval '31 days' WHERE id = 600`;
      await sql`UPDATE logs_new SET who = 'somebody' WHERE id = 900`;
      await sql`INSERT INTO logs_new (id, at) VALUES (5000, '2025-12-31 23:59:59+09'), (5001, 'infinity')`;

      expect(await wrongMonths()).toEqual([
        { from: null, rows: [0, 1], rowsThatDiffer: ['new (5000,"2025-12-31 14:59:59+00",,0,0)'] },
        { from: '2026-01', rows: [250, 249], rowsThatDiffer: [expect.stringMatching(/^old \(1,.*"user 0"/)] },
        { from: '2026-02', rows: [234, 235], rowsThatDiffer: [expect.stringMatching(/^new \(400,/)] },
        { from: '2026-03', rows: [266, 265], rowsThatDiffer: [expect.stringMatching(/^old \(600,/)] },
        {
          from: '2026-04',
          rows: [250, 251],
          rowsThatDiffer: [
            expect.stringMatching(/^old \(900,.*"user 899"/),
            expect.stringMatching(/^new \(600,/),
            expect.stringMatching(/^new \(900,.*somebody/),
          ],
        },
        { from: '2026-05', rows: [0, 1], rowsThatDiffer: ['new (5001,infinity,,0,0)'] },
      ]);
    }),
  );

  it(
    'sees what is written differently and yet equal, and depends on no setting of the session',
    withDatabase(async ({ sql, connect }) => {
      await sql.unsafe(`CREATE TABLE logs (at date, n numeric, f float8, i interval, j jsonb, js json, m money, b bytea, c cidr, a int[], t time, u uuid, x xid8, e "char");
        INSERT INTO logs VALUES ('2026-01-05', 1.0, 0, '1 day', '{"a": 1.0}', '{"a":1}', 5, '\\x00ff', '10.0.0.0/8', '{1}', '01:02', gen_random_uuid(), '7', 'q');
        INSERT INTO logs (at) VALUES (NULL);
        CREATE TABLE logs_new AS TABLE logs`);
      const subject = {
        old: { schema: 'public', name: 'logs' },
        new: { schema: 'public', name: 'logs_new' },
        column: 'at',
        bounds,
      };
      const prove = async (settings: string) => {
        const one = connect({ max: 1 });
        await one.unsafe(settings);
        return inSnapshot(one, (inside) => provePeriods(inside, subject));
      };
      const plain = await prove('SELECT 1');
      expect(plain.map(({ from, timeless, equal }) => ({ from, timeless, equal }))).toEqual([
        { from: bounds[0], timeless: false, equal: true },
        { from: null, timeless: true, equal: true },
      ]);
      expect(
        await prove(
          `SET timezone = 'Asia/Seoul'; SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 0; SET bytea_output = 'escape'`,
        ),
      ).toEqual(plain);
      for (const change of [
        `n = 1.00`,
        `f = '-0'`,
        `i = '24 hours'`,
        `j = '{"a": 1.00}'`,
        `js = '{"a": 1}'`,
      ]) {
        await sql.unsafe(`UPDATE logs_new SET ${change} WHERE at IS NOT NULL`);
        expect((await prove('SELECT 1'))[0], change).toMatchObject({ rows: [1, 1], equal: false });
        await sql.unsafe(`TRUNCATE logs_new; INSERT INTO logs_new TABLE logs`);
      }
    }),
  );

  it(
    'reads each table once, several processes at a time, and sorts none of its rows',
    withDatabase(async ({ sql }) => {
      await makeLogs(sql, 20_000);
      await makeTwin(sql);
      await sql`INSERT INTO logs_new (id, at, who, seen) OVERRIDING SYSTEM VALUE SELECT id, at, who, seen FROM logs`;
      await sql`ANALYZE logs, logs_new`;
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const plans = await inSnapshot(sql, async (inside) => {
        await inside`SET LOCAL min_parallel_table_scan_size = 0`;
        await inside`SET LOCAL parallel_setup_cost = 0`;
        const found: string[] = [];
        const watched = {
          unsafe: async (text: string, values?: never[]) => {
            if (!text.startsWith('SELECT period')) return inside.unsafe(text, values);
            const lines = await inside.unsafe<{ 'QUERY PLAN': string }[]>(`EXPLAIN (COSTS off) ${text}`);
            found.push(lines.map((line) => line['QUERY PLAN']).join('\n'));
            return [];
          },
        };
        await provePeriods(watched as never, {
          old: pair.from,
          new: pair.to,
          column: 'at',
          bounds,
          except: `NOT EXISTS (SELECT FROM ${pair.changes.name} c WHERE ${sameKey(pair.key, 'c', 'r')})`,
        });
        return found;
      });

      expect(plans).toHaveLength(2);
      for (const plan of plans) {
        expect(plan).toMatch(/Parallel .*Scan/);
        expect(plan).toMatch(/Partial HashAggregate/);
        // Sums of periods may be sorted.
        expect(plan.slice(plan.indexOf('Partial HashAggregate'))).not.toContain('Sort');
      }
    }),
  );

  it(
    'refuses to compare what a policy hides',
    withDatabase(async ({ sql, connectAs, createUser }) => {
      const owner = await createUser();
      await makeLogs(sql, 10);
      await sql.unsafe(`CREATE TABLE logs_new (LIKE logs); ALTER TABLE logs OWNER TO ${owner.name}; ALTER TABLE logs_new OWNER TO ${owner.name};
        ALTER TABLE logs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`);
      const asOwner = await connectAs(owner.name);

      await expect(
        inSnapshot(asOwner, (inside) =>
          provePeriods(inside, {
            old: { schema: 'public', name: 'logs' },
            new: { schema: 'public', name: 'logs_new' },
            column: 'at',
            bounds,
          }),
        ),
      ).rejects.toThrow('row-level security');
    }),
  );
});

/** Sessions that insert, update, move and delete rows of a small set, again and again. */
function startStorm({ connect }: TestDatabase, sessions: number) {
  const counts = { inserted: 0, updated: 0, moved: 0, deleted: 0 };
  let over = false;
  const run = async () => {
    const sql = connect({ max: 1 });
    while (!over) {
      await sleep(1);
      const id = 1 + Math.floor(Math.random() ** 3 * 20_000);
      const day = `2026-0${1 + Math.floor(Math.random() * 4)}-1${Math.floor(Math.random() * 10)}`;
      const chance = Math.random();
      const [kind, text] =
        chance < 0.25
          ? ([
              'inserted',
              `INSERT INTO logs (id, at, who) VALUES (${id}, '${day}', 'back') ON CONFLICT (id) DO UPDATE SET who = 'again'`,
            ] as const)
          : chance < 0.5
            ? ([
                'updated',
                `UPDATE logs SET seen = seen + 1, who = repeat('x', ${id % 300}) WHERE id BETWEEN ${id} AND ${id} + 20`,
              ] as const)
            : chance < 0.75
              ? (['moved', `UPDATE logs SET at = '${day}' WHERE id = ${id}`] as const)
              : (['deleted', `DELETE FROM logs WHERE id = ${id}`] as const);
      // Deadlocks are a storm's own business.
      await sql.unsafe(Math.random() < 0.1 ? `BEGIN; ${text}; ROLLBACK` : text).then(
        () => counts[kind]++,
        () => sql.unsafe('ROLLBACK').catch(() => {}),
      );
    }
  };
  const running = Array.from({ length: sessions }, run);
  onTestFinished(() => {
    over = true;
  });
  return {
    async stop() {
      over = true;
      await Promise.all(running);
      return counts;
    },
  };
}
