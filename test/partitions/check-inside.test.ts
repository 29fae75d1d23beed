import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres, { type Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import { findPartitionedTable, listBounds } from '../../src/partitions/catalogue.ts';
import { checkTable } from '../../src/partitions/check/check-table.ts';
import { nowhere } from '../../src/partitions/check/default-rows.ts';
import { judgeAge } from '../../src/partitions/check/statistics.ts';
import { openClient } from '../helpers/clients.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { until } from '../helpers/process.ts';
import { startEmbedded } from '../helpers/server.ts';
import { codes, findings, typeCommand, typeHints } from './checked.ts';
import { plainShop, withShop } from './convert/shop.ts';
import { withKillAt } from './kill-at.ts';
import { ensureIn, makeLogs, month, nameOf } from './logs.ts';
import { makeLibrary, splitLogs } from './split/library.ts';

const months = { from: 0, to: 3 } as const;

describe('rows in the default partition', () => {
  it(
    'are counted, with the days that they are of, and moved by what is to be typed',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 2, fallback: true });
      await test.sql`INSERT INTO logs (at) VALUES (${`${month(3)} 02:00+09`}), (${`${month(3)} 03:00+09`}), (now())`;

      const [found] = await findings(test, '--runway 0d');

      expect(found).toMatchObject({
        code: 'rows-in-default',
        partition: { name: 'logs_default' },
        message: `2 rows of ${month(3)} are in the default partition`,
      });
      await typeCommand(test, {
        ...(found as NonNullable<typeof found>),
        hint: 'eduschema partitions ensure logs',
      });
      expect(await codes(test)).toEqual([]);
    }),
  );

  it(
    'of no time, before all partitions, between them and behind them are all found, by reading the default one alone',
    withDatabase(async (test) => {
      await test.sql.unsafe(
        'CREATE TABLE logs (at timestamptz) PARTITION BY RANGE (at); CREATE TABLE logs_default PARTITION OF logs DEFAULT',
      );
      for (const year of [2030, 2031, 2040])
        await test.sql.unsafe(
          `CREATE TABLE y${year} PARTITION OF logs FOR VALUES FROM ('${year}-01-01 00:00+09') TO ('${year + 1}-01-01 00:00+09')`,
        );
      const times = ["'1999-01-01'", "'2035-05-05'", "'2041-01-01 00:00+09'", 'NULL', "'infinity'"];

      for (const time of times) {
        await test.sql.unsafe(
          `TRUNCATE logs; INSERT INTO logs VALUES (${time}), ('2030-01-01 00:00+09'), ('2040-12-31 23:59+09')`,
        );
        const found = (await findings(test)).filter(({ code }) => code === 'rows-in-default');
        expect(
          found.map(({ message }) => message),
          time,
        ).toEqual([expect.stringMatching(/^1 row .*is in/)]);
      }
      const table = await findPartitionedTable(test.sql, { schema: 'public', name: 'logs' });
      const where = nowhere('at', 'timestamptz', await listBounds(test.sql, table, 'Asia/Seoul'));
      const plan = await test.sql.unsafe(`EXPLAIN (COSTS OFF) SELECT FROM logs WHERE ${where}`);
      expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toMatch(/^Seq Scan on logs_default/);
      expect(plan.map((row) => row['QUERY PLAN']).join('\n')).not.toContain('y20');
    }),
  );

  it(
    'that are gone, or that there are none of, are no finding; a great many are not counted to their end',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { ...months, fallback: true });
      await test.sql`INSERT INTO logs (at) SELECT timestamptz '1999-01-01' + n * interval '1 s' FROM generate_series(1, 10001) n`;
      expect((await findings(test, '--runway 0d'))[0]?.message).toBe(
        'more than 10,000 rows are in the default partition',
      );

      await test.sql`DELETE FROM logs`;

      expect(await codes(test)).toEqual([]);
    }),
  );

  it(
    'are told by the server’s statistics to who may not read the table, or sees a part of it alone',
    withDatabase(async (test) => {
      const [stranger, limited] = [await test.createUser(), await test.createUser()];
      await makeLogs(test.sql, { ...months, fallback: true });
      await test.sql.unsafe(`INSERT INTO logs (at) SELECT '1999-01-01' FROM generate_series(1, 7); ANALYZE logs_default; GRANT SELECT ON logs TO ${limited.name};
        ALTER TABLE logs ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON logs USING (false)`);

      for (const user of [stranger, limited])
        expect((await findings(user)).map(({ message }) => message)).toEqual([
          'about 7 rows, as the server estimates, are in the default partition',
        ]);
    }),
  );
});

it(
  'a detach that began and did not end is found, and ended by what is to be typed',
  withDatabase(async (test) => {
    await makeLogs(test.sql, { from: -1, to: 3 });
    const reader = await openClient(test, 'report');
    await reader.sql.unsafe('BEGIN; SELECT count(*) FROM logs');
    const dba = await openClient(test, 'dba');
    const detaching = dba.sql
      .unsafe(`ALTER TABLE logs DETACH PARTITION ${nameOf(-1)} CONCURRENTLY`)
      .catch(() => {});
    await until(
      'it is pending',
      async () => (await test.sql`SELECT FROM pg_inherits WHERE inhdetachpending`).length > 0,
    );
    await test.sql`SELECT pg_cancel_backend(${dba.pid})`;
    await detaching;
    await reader.sql.unsafe('COMMIT');

    const found = await findings(test);

    expect(found.map(({ code, partition }) => [code, partition?.name])).toEqual([
      ['detach-pending', nameOf(-1)],
    ]);
    await typeHints(test.sql, found);
    expect(await codes(test)).toEqual([]);
  }),
);

describe('indexes', () => {
  it.each([
    ['an index', 'CREATE INDEX logs_late ON ONLY logs (lower(note), at DESC) WHERE note IS NOT NULL'],
    ['a unique index', 'CREATE UNIQUE INDEX logs_late ON ONLY logs (note, at)'],
    ['a unique key', 'ALTER TABLE ONLY logs ADD CONSTRAINT logs_late UNIQUE (note, at)'],
  ])('of the table that a partition has none for are found, and made by what is to be typed: %s', (_, ddl) =>
    withDatabase(async (test) => {
      await makeLogs(test.sql, { ...months, fallback: true });
      await test.sql.unsafe(ddl);

      const found = await findings(test);

      expect(found.map(({ code, partition }) => [code, partition?.name]).sort()).toEqual(
        [0, 1, 2, 3].map((n) => ['index-missing', nameOf(n)]).concat([['index-missing', 'logs_default']]),
      );
      await typeHints(test.sql, found);
      expect(await codes(test)).toEqual([]);
      expect(
        await test.sql`SELECT indisvalid FROM pg_index WHERE indexrelid = 'logs_late'::regclass`,
      ).toEqual([{ indisvalid: true }]);
    })(),
  );

  it(
    'of a partition that are invalid are found, whether the table has such a one or not',
    withDatabase(async (test) => {
      await makeLogs(test.sql, months);
      await test.sql.unsafe(`INSERT INTO logs (note, at) SELECT 'same', '${month(1)} 12:00+09' FROM generate_series(1, 2);
        CREATE UNIQUE INDEX logs_late ON ONLY logs (note, at)`);
      for (const name of ['alone', 'attached'])
        await test.sql
          .unsafe(`CREATE UNIQUE INDEX CONCURRENTLY ${name} ON ${nameOf(1)} (note, at)`)
          .catch(() => {});
      await test.sql.unsafe('ALTER INDEX logs_late ATTACH PARTITION attached');

      const found = (await findings(test)).filter(({ code }) => code === 'index-invalid');

      expect(found.map(({ partition, message }) => [partition?.name, message]).sort()).toEqual([
        [nameOf(1), 'its index alone is invalid: queries do not use it, and writes keep it up'],
        [
          nameOf(1),
          'its index attached is invalid: queries do not use it, and logs_late of the table stays invalid',
        ],
      ]);
      await test.sql`DELETE FROM logs WHERE id = 1`;
      await typeHints(
        test.sql,
        found.map((one) => ({ ...one, hint: one.hint.split(', or ')[0] as string })),
      );
      expect((await codes(test)).filter((line) => line.startsWith('index-invalid'))).toEqual([]);
    }),
  );
});

describe('statistics of the table as a whole', () => {
  it(
    'are missing until somebody makes them, and stale when the partitions are not what they were',
    withDatabase(async (test) => {
      await makeLogs(test.sql, months);
      await test.sql.unsafe(`ALTER TABLE ${nameOf(0)} SET (autovacuum_enabled = off)`);
      const fill = (rows: number) =>
        test.sql.unsafe(
          `INSERT INTO logs (at) SELECT '${month(0)} 12:00+09' FROM generate_series(1, ${rows}); ANALYZE ${nameOf(0)}`,
        );
      await fill(40);
      expect(await codes(test)).toEqual([]);

      await fill(960);
      const missing = await findings(test);
      await typeHints(test.sql, missing);
      const fresh = await codes(test);
      await fill(100);
      const slightly = await codes(test);
      await fill(900);
      const stale = await findings(test);

      expect(missing).toMatchObject([
        {
          code: 'statistics-missing',
          partition: null,
          message: expect.stringContaining('and has about 1,000 rows'),
        },
      ]);
      expect([fresh, slightly]).toEqual([[], []]);
      expect(stale).toMatchObject([
        {
          code: 'statistics-stale',
          message: expect.stringMatching(
            /^it has about 2,000 rows, and had about 1,000 at its last ANALYZE of 20/,
          ),
        },
      ]);
      await typeHints(test.sql, stale);
      expect(await codes(test)).toEqual([]);
    }),
  );

  it(
    'are stale when as many rows went as came in partitions that begin later, and not because partitions were analyzed later',
    withDatabase(async (test) => {
      await makeLogs(test.sql, months);
      const fill = (offset: number) =>
        test.sql.unsafe(
          `INSERT INTO logs (at) SELECT '${month(offset)} 12:00+09' FROM generate_series(1, 1000); ANALYZE ${nameOf(offset)}`,
        );
      await fill(0);
      await test.sql.unsafe(`ANALYZE logs; ANALYZE ${nameOf(0)}`);
      expect(await codes(test)).toEqual([]);

      await test.sql.unsafe(`TRUNCATE ${nameOf(0)}; ANALYZE ${nameOf(0)}`);
      await fill(1);

      expect((await findings(test)).map(({ message }) => message)).toEqual([
        expect.stringMatching(
          /^it has about 1,000 rows, of which about 1,000 are in partitions that came since its last ANALYZE of 20/,
        ),
      ]);
    }),
  );

  it.each([
    ['nothing is known', { rowsThen: null, rows: 0 }, 'fresh'],
    ['few rows were never looked at', { rowsThen: null, rows: 50 }, 'fresh'],
    ['many rows were never looked at', { rowsThen: null, rows: 51 }, 'missing'],
    ['a tenth came', { rowsThen: 1000, rows: 1150 }, 'fresh'],
    ['more than a tenth came', { rowsThen: 1000, rows: 1151 }, 'stale'],
    ['more than a tenth went', { rowsThen: 1000, rows: 849 }, 'stale'],
    ['as many came as went', { rowsThen: 1000, rows: 1000, rowsSince: 500 }, 'stale'],
  ] as const)('when %s: %j, are %s', (_, facts, age) => {
    const asIs = { rowsSince: 0, threshold: 50, scale: 0.1 };

    expect(judgeAge({ ...asIs, ...facts })).toBe(age);
  });
});

describe('foreign keys', () => {
  const keys = `CREATE TABLE things (id int PRIMARY KEY);
    CREATE TABLE others (id int, at timestamptz, log bigint, FOREIGN KEY (log, at) REFERENCES logs);
    CREATE TABLE notes (id bigint, at timestamptz, PRIMARY KEY (id, at), FOREIGN KEY (id, at) REFERENCES logs) PARTITION BY RANGE (at);
    CREATE TABLE notes_all PARTITION OF notes FOR VALUES FROM ('2020-01-01 00:00+09') TO ('2090-01-01 00:00+09');
    ALTER TABLE logs ADD thing int REFERENCES things;
    ALTER TABLE logs ADD before bigint, ADD before_at timestamptz, ADD FOREIGN KEY (before, before_at) REFERENCES logs;
    CREATE TABLE logs_far PARTITION OF logs FOR VALUES FROM ('2080-01-01 00:00+09') TO ('2081-01-01 00:00+09')`;
  const withoutGap = ({ url }: TestDatabase) =>
    codes({ url }, '--runway 0d').then((found) => found.filter((line) => line !== 'gap'));

  it(
    'of the table, to it, from a partitioned one and to itself are in order as the server makes them',
    withDatabase(async (test) => {
      await makeLogs(test.sql, months);
      await test.sql.unsafe(keys);

      expect(await withoutGap(test)).toEqual([]);
    }),
  );

  it.each([
    ['of the table', 'logs', 'things', `conrelid = '${nameOf(1)}'::regclass`, nameOf(1)],
    ['to it', 'others', 'logs', `confrelid = '${nameOf(1)}'::regclass`, undefined],
  ])('%s that a partition lost are found, as old minors leave them', (_, of, references, which, partition) =>
    withDatabase(async (test) => {
      await makeLogs(test.sql, months);
      await test.sql.unsafe(keys);
      // The bug is mended in servers of today: its trace in the catalogue is made by hand.
      await test.sql.unsafe(`SET allow_system_table_mods = on; DELETE FROM pg_constraint WHERE ${which} AND contype = 'f' AND conparentid IN
        (SELECT oid FROM pg_constraint WHERE conparentid = 0 AND conrelid = '${of}'::regclass AND confrelid = '${references}'::regclass)`);

      const found = (await findings(test, '--runway 0d')).filter(({ code }) => code === 'foreign-key-lost');

      expect(found.map((one) => [one.table.name, one.partition?.name])).toEqual([['logs', partition]]);
      expect(found[0]?.message).toMatch(/it has 4 of 5 constraints of partitions/);
      expect(found[0]?.hint).toMatch(
        /^ALTER TABLE "public"\."\w+" DROP CONSTRAINT "\w+"; ALTER TABLE .* ADD CONSTRAINT .* FOREIGN KEY .* REFERENCES/,
      );
    })(),
  );
});

describe('what ended early', () => {
  it(
    'of ensure is found, unless it is under way, and finished by what is to be typed',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await test.sql.unsafe(
        `INSERT INTO logs (id, at) SELECT n, timestamptz '${month(1)} 00:00+09' + n * interval '1 hour' FROM generate_series(1, 60) n`,
      );
      const early = await openClient(test, 'report');
      await early.sql.unsafe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1');
      const copying = { sources: { flags: { ahead: '2mo' } }, limits: { rows: 5, bytes: 1e9 } };
      await ensureIn(test, copying, { lockDeadlineSeconds: 0 }).catch(() => {});
      const left = async () => (await findings(test)).filter(({ code }) => code === 'ensure-unfinished');

      const found = await left();
      const stop = new AbortController();
      const running = ensureIn(test, copying, { signal: stop.signal }).catch(() => {});
      await until(
        'it is under way',
        async () =>
          (
            await test.sql`SELECT FROM pg_stat_activity WHERE application_name = 'eduschema worker' AND datname = current_database()`
          ).length > 0,
      );
      const meanwhile = await left();
      stop.abort();
      await running;
      await early.sql.unsafe('COMMIT');

      expect(found.map(({ message }) => message)).toEqual(
        expect.arrayContaining([
          `a run of partitions ensure ended early: it left public.${nameOf(1)}, which is no partition`,
          'a run of partitions ensure ended early: it left a trigger that copies what is written to the default partition',
        ]),
      );
      expect(meanwhile).toEqual([]);
      await typeCommand(test, found[0] as (typeof found)[0]);
      expect(await left()).toEqual([]);
    }),
  );

  it(
    'of ensure is found when it is a CHECK that refuses rows',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await test.sql.unsafe(`INSERT INTO logs (at) SELECT '1999-01-01' FROM generate_series(1, 20)`);
      const left = () =>
        test.sql`SELECT FROM pg_constraint WHERE conrelid = 'logs_default'::regclass AND contype = 'c'`;
      for (let count = 1; count < 20 && (await left()).length === 0; count++)
        await withKillAt(test.sql, count, () => ensureIn(test, { limits: { rows: 5, bytes: 0 } }));

      const found = (await findings(test)).filter(({ code }) => code === 'ensure-unfinished');

      expect(found.map(({ partition, message }) => [partition?.name, message])).toContainEqual([
        'logs_default',
        'a run of partitions ensure ended early: it left a CHECK on the default partition, which refuses rows',
      ]);
      await typeCommand(test, found[0] as (typeof found)[0]);
      expect((await codes(test)).filter((code) => code.startsWith('ensure'))).toEqual([]);
    }),
  );

  it(
    'of a conversion is found once it refuses rows, and finished by what is to be typed',
    withShop(plainShop, async (shop) => {
      const stop = new AbortController();
      await shop
        .convert(
          {},
          {
            signal: stop.signal,
            onProgress: (event) =>
              event.type === 'started' && event.name.startsWith('prove it') && stop.abort(),
          },
        )
        .catch(() => {});

      const found = await findings(shop);

      expect(found).toMatchObject([
        {
          code: 'conversion-unfinished',
          table: { schema: 'public', name: 'events' },
          partition: null,
          message: expect.stringMatching(
            /left the CHECK eduschema_before on it, which refuses rows with at from 20\d\d-.* on$/,
          ),
          hint: 'go on: eduschema partitions convert public.events --by at; or take it back: eduschema partitions undo public.events',
        },
      ]);
      expect(await codes(shop, 'events')).toEqual(['conversion-unfinished']);
      await typeCommand(shop, found[0] as (typeof found)[0]);
      expect(await codes(shop)).toEqual([]);
    }),
  );

  it(
    'of a split is found while its twin stands there, and taken back by what is to be typed',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 300);
      const stop = new AbortController();
      await splitLogs(test, {
        signal: stop.signal,
        onProgress: (event) => event.type === 'started' && event.name.startsWith('copy') && stop.abort(),
      }).catch(() => {});

      const found = await findings(test);

      expect(found).toMatchObject([
        {
          code: 'conversion-unfinished',
          table: { name: 'logs' },
          hint: expect.stringContaining('--by at --method split; or take it back'),
        },
      ]);
      await typeCommand(test, {
        ...(found[0] as (typeof found)[0]),
        hint: found[0]?.hint.split('; or ')[1] ?? '',
      });
      expect(await codes(test)).toEqual([]);
    }),
  );
});

describe('however many partitions there are', () => {
  it(
    'as many questions are asked',
    withDatabase(async (test) => {
      const ask = async () => {
        let asked = 0;
        const counting = new Proxy(test.sql, {
          apply(target, that, args) {
            asked++;
            return Reflect.apply(target, that, args);
          },
          get(target, key) {
            const value = Reflect.get(target, key);
            if (key !== 'unsafe' && key !== 'begin') return value;
            return (...args: unknown[]) => {
              asked++;
              return value.apply(target, args);
            };
          },
        }) as Sql;
        const table = await findPartitionedTable(test.sql, { schema: 'public', name: 'logs' });
        const { findings: found } = await checkTable(counting, 180000, table, { sources: {} });
        return { asked, found };
      };
      await makeLogs(test.sql, { ...months, fallback: true });
      const few = await ask();
      for (let offset = 4; offset < 60; offset++)
        await test.sql.unsafe(
          `CREATE TABLE "${nameOf(offset)}" PARTITION OF logs FOR VALUES FROM ('${month(offset)} 00:00+09') TO ('${month(offset + 1)} 00:00+09')`,
        );

      const many = await ask();

      expect(many).toEqual(few);
      expect(few.asked).toBeLessThan(16);
    }),
  );
});

it('on a standby all of it is found, and that it is to be put right elsewhere is said', async () => {
  let primaryFolder = '';
  const primary = await startEmbedded(undefined, (folder) => {
    primaryFolder = folder;
  });
  try {
    const sql = postgres(primary.url, { max: 1 });
    await makeLogs(sql, { from: 0, to: 0, fallback: true });
    await sql.unsafe(
      `INSERT INTO logs (at) SELECT '1999-01-01' FROM generate_series(1, 60); ANALYZE logs_default; CREATE INDEX late ON ONLY logs (at)`,
    );
    await sql.unsafe('CHECKPOINT');
    const standby = await startEmbedded(undefined, (folder) => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
      execFileSync('cp', ['-a', `${primaryFolder}/.`, folder]);
      rmSync(join(folder, 'postmaster.pid'));
      writeFileSync(join(folder, 'standby.signal'), '');
    });
    try {
      const url = new URL(standby.url);
      url.password = new URL(primary.url).password;

      expect(await codes({ url: url.href })).toEqual([
        `index-missing ${nameOf(0)}`,
        'index-missing logs_default',
        'rows-in-default logs_default',
        'runway-short',
        'statistics-missing',
      ]);
    } finally {
      await standby.stop();
    }
    await sql.end();
  } finally {
    await primary.stop();
  }
}, 60_000);
