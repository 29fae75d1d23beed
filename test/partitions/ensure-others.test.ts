import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { describeCatalogue } from '../helpers/catalogue.ts';
import { openClient } from '../helpers/clients.ts';
import {
  createDatabase,
  dropDatabase,
  type TestDatabase,
  targetOf,
  withDatabase,
} from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { until } from '../helpers/process.ts';
import { findPsql } from '../helpers/psql.ts';
import { startEmbedded } from '../helpers/server.ts';
import { boundsOf, ensureIn, makeLogs, month, nameOf, placesOf } from './logs.ts';
import { differences } from './traffic.ts';

const next = { sources: { flags: { ahead: '2mo' } } } as const;
const copying = { ...next, limits: { rows: 5, bytes: 1e9 } } as const;

/** Sixty rows of the next month in the default partition, and in `control`. */
const fill = ({ sql }: TestDatabase) =>
  sql.unsafe(`INSERT INTO logs (id, at, note) SELECT n, timestamptz '${month(1)} 00:00+09' + n * interval '1 hour', 'note' FROM generate_series(1, 60) n;
    CREATE TABLE control AS SELECT id, at, note FROM logs`);

describe('others at the same table', () => {
  it(
    'two at once make each partition once',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test);

      const both = await Promise.all([ensureIn(test, next), ensureIn(test, next), ensureIn(test, copying)]);

      expect(
        both
          .flatMap(({ made }) => made)
          .map(({ partition }) => partition.name)
          .sort(),
      ).toEqual([nameOf(1), nameOf(2)]);
      expect(await boundsOf(test.sql)).toHaveLength(3);
      expect(await differences(test.sql)).toEqual([]);
    }),
  );

  it.each([
    ['the same bounds', `('${month(1)} 00:00+09') TO ('${month(2)} 00:00+09')`, [nameOf(2)]],
    ['other bounds', `('${month(1)} 09:00+09') TO ('${month(2)} 09:00+09')`, [`${nameOf(1)}`, nameOf(2)]],
  ])(
    'a month that somebody makes by hand between the look and the attachment, with %s, is left as it is',
    (_, bounds, made) =>
      withDatabase(async (test) => {
        await makeLogs(test.sql, { from: 0, to: 0 });
        const hand = await openClient(test, 'by hand');
        await hand.sql.unsafe('BEGIN; LOCK TABLE ONLY logs IN SHARE UPDATE EXCLUSIVE MODE');
        const said: string[] = [];

        const running = ensureIn(test, next, {
          onProgress: (event) => void (event.type === 'log' && said.push(event.message)),
        });
        const waits = () => test.sql`SELECT FROM pg_locks WHERE NOT granted AND relation = 'logs'::regclass`;
        await until('it waits for the lock', async () => (await waits()).length > 0);
        await hand.sql.unsafe(
          `CREATE TABLE by_hand (LIKE logs INCLUDING ALL EXCLUDING IDENTITY); ALTER TABLE logs ATTACH PARTITION by_hand FOR VALUES FROM ${bounds}; COMMIT`,
        );
        const ensured = await running;

        expect(ensured.made.map(({ partition }) => partition.name)).toEqual(made);
        expect(said.join()).toContain('somebody else was first');
        expect(
          await test.sql`SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'logs_%' AND NOT relispartition`,
        ).toEqual([]);
        await test.sql`INSERT INTO logs (at) SELECT generate_series(${`${month(0)} 00:00+09`}::timestamptz, ${`${month(2)} 23:00+09`}, '1 hour')`;
      })(),
  );

  it(
    'an interrupt ends a look that waits for a lock, and nothing is done; a rerun goes on',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      const other = await openClient(test, 'maintenance');
      await other.sql.unsafe('BEGIN; LOCK TABLE logs_default IN ACCESS EXCLUSIVE MODE');
      const interruption = new AbortController();

      const running = ensureIn(test, next, { signal: interruption.signal });
      await until('it waits', async () => {
        const waiting = await test.sql`SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'eduschema' AND wait_event_type = 'Lock'`;
        return waiting.length > 0;
      });
      interruption.abort();

      await expect(running).rejects.toMatchObject({ code: 'interrupted' });
      await other.sql.unsafe('COMMIT');
      expect(await boundsOf(test.sql)).toHaveLength(1);
      expect((await ensureIn(test, next)).made).toHaveLength(2);
    }),
  );

  it(
    'a lock that is never granted ends it after a while: nothing is attached, who is in the way is named, a rerun goes on',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test);
      const reader = await openClient(test, 'long report');
      await reader.sql.unsafe('BEGIN; SELECT count(*) FROM logs');

      const { exitCode, json } = await eduschema('partitions ensure --lock-deadline 6 --json', {
        env: { DATABASE_URL: test.url },
      });

      expect(exitCode).toBe(2);
      expect(json().error).toMatchObject({
        code: 'database-error',
        details: { sqlstate: '55P03', blockers: [{ application: 'long report' }] },
      });
      expect(await placesOf(test)).toEqual({ logs_default: 60 });
      await reader.sql.unsafe('COMMIT');
      await ensureIn(test, next);
      expect(await placesOf(test)).toEqual({ [nameOf(1)]: 60 });
    }),
  );

  it(
    'Ctrl-C while it waits leaves nothing half-done',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test);
      const reader = await openClient(test, 'long report');
      await reader.sql.unsafe('BEGIN; SELECT count(*) FROM logs');

      const running = await eduschema('partitions ensure --json', {
        env: { DATABASE_URL: test.url },
        onStart: (interrupt) => setTimeout(interrupt, 1500),
      });

      expect(running.exitCode).toBe(130);
      expect(running.json().error.code).toBe('interrupted');
      await reader.sql.unsafe('COMMIT');
      await ensureIn(test, next);
      expect(await placesOf(test)).toEqual({ [nameOf(1)]: 60 });
    }),
  );
});

describe('a copy that was begun', () => {
  // By then the trigger is there and the rows are copied, but not in their place.
  const interrupted = async (test: TestDatabase) => {
    await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
    await fill(test);
    const early = await openClient(test, 'report');
    await early.sql.unsafe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1');
    await ensureIn(test, copying, { lockDeadlineSeconds: 0 }).catch(() => {});
    await early.sql.unsafe('COMMIT');
    expect(await test.sql`SELECT FROM pg_trigger WHERE tgname = 'eduschema_copy'`).toHaveLength(1);
  };

  const meanwhile: readonly (readonly [string, string])[] = [
    [
      'rows come and go',
      `INSERT INTO it (id, at, note) VALUES (100, '${month(1)} 12:00+09', 'new'), (101, '${month(7)} 12:00+09', 'late'); DELETE FROM it WHERE id = 7; UPDATE it SET id = -id WHERE id % 2 = 0`,
    ],
    ['the table is emptied', 'TRUNCATE it'],
    ['a column is added', `ALTER TABLE it ADD more text DEFAULT 'x'`],
    ['a column is dropped', `ALTER TABLE it DROP note, ADD note text`],
    ['a column changes its type', `ALTER TABLE it ALTER note TYPE varchar(300)`],
  ];

  it.each(meanwhile)('is gone on with, or begun again, when meanwhile %s', (_, statement) =>
    withDatabase(async (test) => {
      await interrupted(test);
      for (const table of ['logs', 'control']) await test.sql.unsafe(statement.replaceAll(/\bit\b/g, table));
      expect(await differences(test.sql)).toEqual([]);

      await ensureIn(test, copying);

      expect(await differences(test.sql)).toEqual([]);
      expect(await boundsOf(test.sql)).toHaveLength(3);
      expect(
        await test.sql`SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'logs_%' AND NOT relispartition`,
      ).toEqual([]);
    })(),
  );

  it(
    'is begun again when a table of it was dropped, and rows come in all the same',
    withDatabase(async (test) => {
      await interrupted(test);
      await test.sql.unsafe(`DROP TABLE ${nameOf(1)}`);

      await ensureIn(test, copying);
      await test.sql`INSERT INTO logs (at) VALUES (${`${month(1)} 12:00+09`})`;

      expect(await placesOf(test)).toEqual({ [nameOf(1)]: 61 });
    }),
  );

  it(
    'is copied from the beginning when the table was rewritten in the middle of it',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await test.sql.unsafe(`DROP INDEX logs_note; ALTER TABLE logs_default ALTER note SET STORAGE PLAIN;
        INSERT INTO logs (id, at, note) SELECT n, timestamptz '${month(1)} 00:00+09' + n * interval '1 minute', repeat('x', 4000) FROM generate_series(1, 300) n;
        CREATE TABLE control AS SELECT id, at, note FROM logs`);
      const busy = await openClient(test, 'busy');
      await busy.sql.unsafe('BEGIN; SELECT FROM logs WHERE id = 250 FOR UPDATE');
      await expect(ensureIn(test, copying, { lockDeadlineSeconds: 0 })).rejects.toMatchObject({
        details: { sqlstate: '55P03' },
      });
      await busy.sql.unsafe('ROLLBACK');
      const [state] =
        await test.sql`SELECT obj_description(oid, 'pg_proc')::json -> 'eduschema' -> 'copy' ->> 'block' AS block FROM pg_proc WHERE proname = 'logs_default_copy'`;
      expect(state?.block).toBe('64');
      await test.sql.unsafe('DELETE FROM logs WHERE id <= 150; DELETE FROM control WHERE id <= 150');
      await test.sql.unsafe('VACUUM FULL logs_default');

      await ensureIn(test, copying);

      expect(await differences(test.sql)).toEqual([]);
      expect(await placesOf(test)).toEqual({ [nameOf(1)]: 150 });
    }),
    60_000,
  );

  it(
    'whose trigger somebody took away is not guessed about: its tables have rows that are nobody knows whose',
    withDatabase(async (test) => {
      await interrupted(test);
      await test.sql.unsafe('DROP FUNCTION logs_default_copy CASCADE');

      await expect(ensureIn(test, copying)).rejects.toMatchObject({
        message: expect.stringContaining(
          `cannot drop public.${nameOf(1)}, which a run that ended early left`,
        ),
        hint: 'if they are copies of rows in the default partition, drop it',
      });

      expect(await placesOf(test)).toEqual({ logs_default: 60 });
      await test.sql.unsafe(`DROP TABLE ${nameOf(1)}, logs_default_rest`);
      await ensureIn(test, copying);
      expect(await placesOf(test)).toEqual({ [nameOf(1)]: 60 });
    }),
  );
});

describe('a default partition that is large', () => {
  const tight = { rows: 5, bytes: 0 };

  it(
    'is not scanned under a lock for months to come: a CHECK says that it has none of their rows',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await test.sql.unsafe(`INSERT INTO logs (at) SELECT '1999-01-01' FROM generate_series(1, 100); SET client_min_messages = debug1;
        ALTER DATABASE ${test.name} SET client_min_messages = debug1`);
      const said: string[] = [];

      await ensureIn(
        test,
        { ...next, limits: tight },
        { onProgress: (event) => void (event.type === 'notice' && said.push(event.message)) },
      );

      expect(said.filter((line) => line.includes('logs_default'))).toEqual([
        'verifying table "logs_default"',
        ...[1, 2].map(
          () =>
            'updated partition constraint for default partition "logs_default" is implied by existing constraints',
        ),
      ]);
      expect(await test.sql`SELECT conname FROM pg_constraint WHERE conname LIKE 'eduschema%'`).toEqual([]);
    }),
  );

  it(
    'is not scanned for this month, unless that is asked for; what can be made is',
    withDatabase(async (test) => {
      await test.sql.unsafe(
        'CREATE TABLE logs (id bigint, at timestamptz) PARTITION BY RANGE (at); CREATE TABLE logs_default PARTITION OF logs DEFAULT',
      );
      await test.sql`INSERT INTO logs (at) VALUES ('1999-01-01')`;

      await expect(ensureIn(test, { ...next, limits: tight })).rejects.toMatchObject({
        code: 'long-lock-needed',
        message: expect.stringMatching(
          /^partitions of public\.logs were not made \(\d{4}-\d\d-01\): .* would be scanned under a lock/,
        ),
        hint: expect.stringContaining('--allow-long-lock'),
        details: { made: [{ partition: { name: nameOf(1) } }, { partition: { name: nameOf(2) } }] },
      });
      await ensureIn(test, { ...next, limits: tight, allowLongLock: true });

      expect((await boundsOf(test.sql)).map(({ from }) => from)).toEqual([0, 1, 2].map(month));
    }),
  );

  const hindrances: readonly (readonly [string, string, string])[] = [
    [
      'there is no key',
      'ALTER TABLE logs DROP CONSTRAINT logs_pkey',
      'without a primary key they cannot be copied beforehand',
    ],
    [
      'foreign keys refer to them',
      'CREATE TABLE child (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs)',
      'foreign keys refer to',
    ],
    [
      'all tables are published',
      'CREATE PUBLICATION everything FOR ALL TABLES',
      'a publication of all tables would publish',
    ],
    [
      'too many others lie among them',
      `INSERT INTO logs (at) SELECT '1999-01-01' FROM generate_series(1, 6)`,
      '6 rows of other times lie among them',
    ],
    [
      'others lie among them and a view names it',
      `INSERT INTO logs (at) VALUES ('1999-01-01'); CREATE VIEW v AS SELECT * FROM logs_default`,
      'view v could not follow',
    ],
  ];

  it.each(hindrances)(
    'with many rows that wait is not emptied under a long lock, when %s, unless that is asked for',
    (_, statement, why) =>
      withDatabase(async (test) => {
        await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
        await fill(test);
        await test.sql.unsafe(statement);
        await test.sql.unsafe('DROP TABLE control; CREATE TABLE control AS SELECT id, at, note FROM logs');

        await expect(ensureIn(test, copying)).rejects.toMatchObject({
          code: 'long-lock-needed',
          message: expect.stringContaining(why),
        });
        expect((await boundsOf(test.sql)).map(({ from }) => from)).toEqual([0, 2].map(month));
        await ensureIn(test, { ...copying, allowLongLock: true });

        expect(await differences(test.sql)).toEqual([]);
        expect(await placesOf(test)).toMatchObject({ [nameOf(1)]: 60 });
      })(),
  );

  it(
    'whose rows are referred to takes the right to set session_replication_role',
    withDatabase(async (test) => {
      const owner = await test.createUser();
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test);
      await test.sql.unsafe(`CREATE TABLE child (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs ON DELETE CASCADE); INSERT INTO child SELECT id, at FROM logs;
        ALTER TABLE logs OWNER TO ${owner.name}; ALTER TABLE logs_default OWNER TO ${owner.name}; ALTER TABLE child OWNER TO ${owner.name};
        ALTER TABLE ${nameOf(0)} OWNER TO ${owner.name}; GRANT CREATE ON SCHEMA public TO ${owner.name}`);

      await expect(ensureIn(owner, next)).rejects.toMatchObject({
        code: 'long-lock-needed',
        hint: expect.stringContaining(`GRANT SET ON PARAMETER session_replication_role TO ${owner.name}`),
      });
      expect(await test.sql`SELECT FROM child`).toHaveLength(60);
      const [version] = await test.sql`SELECT current_setting('server_version_num')::int >= 150000 AS grants`;
      if (!version?.grants) return;
      await test.sql.unsafe(`GRANT SET ON PARAMETER session_replication_role TO ${owner.name}`);
      await ensureIn(owner, next);
      await test.sql.unsafe(`REVOKE SET ON PARAMETER session_replication_role FROM ${owner.name}`);

      expect(await test.sql`SELECT FROM child JOIN logs USING (id, at)`).toHaveLength(60);
      expect(await placesOf(test)).toEqual({ [nameOf(1)]: 60 });
    }),
  );
});

describe('on a standby', () => {
  it('nothing is done, and that is no failure', async () => {
    const server = await startEmbedded(undefined, (folder) =>
      writeFileSync(join(folder, 'standby.signal'), ''),
    );
    try {
      const sql = postgres(server.url, { max: 1 });
      expect(await sql`SELECT pg_is_in_recovery() AS standby`).toEqual([{ standby: true }]);
      await sql.end();

      const { exitCode, stdout } = await eduschema('partitions ensure', {
        env: { DATABASE_URL: server.url },
      });
      const json = await eduschema('partitions ensure --json', { env: { DATABASE_URL: server.url } });

      expect([exitCode, stdout]).toEqual([
        0,
        'this server is a standby: partitions are made on the one that it follows\n',
      ]);
      expect(json.json().summary).toMatchObject({ made: 0, standby: true });
      expect(targetOf(server.url).database).toBe('postgres');
    } finally {
      await server.stop();
    }
  }, 60_000);
});

describe.each([
  ['nobody waits', {}, ''],
  ['a CHECK comes first', { limits: { rows: 5, bytes: 0 } }, ''],
  ['few rows wait', {}, 'waiting'],
  ['many rows wait', { limits: { rows: 5, bytes: 1e9 } }, 'waiting'],
  ['many rows wait and others lie among them', { limits: { rows: 5, bytes: 1e9 } }, 'waiting and others'],
] as const)('the plan, when %s,', (_, more, waiting) => {
  it.skipIf(findPsql() === undefined)(
    'is what is done: psql comes to the same by it',
    async () => {
      const options = { sources: { flags: { ahead: '1mo' } }, ...more };
      const outcomes = await Promise.all(
        ['ensure', 'psql'].map(async (how) => {
          const test = await createDatabase();
          try {
            await test.sql.unsafe('CREATE TABLE things (id int PRIMARY KEY)');
            await makeLogs(test.sql, {
              from: 0,
              to: 0,
              fallback: true,
              more: ', thing int REFERENCES things',
            });
            if (waiting) await fill(test);
            else await test.sql.unsafe('CREATE TABLE control AS SELECT id, at, note FROM logs');
            if (waiting !== 'waiting')
              for (const table of ['logs', 'control'])
                await test.sql.unsafe(`INSERT INTO ${table} (id, at) VALUES (1000, '1999-01-01')`);
            const { script = '' } =
              how === 'psql'
                ? await ensureIn(test, { ...options, dryRun: true })
                : await ensureIn(test, options);
            if (how === 'psql')
              execFileSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', test.url], {
                input: script,
                stdio: ['pipe', 'pipe', 'pipe'],
              });
            expect(await differences(test.sql)).toEqual([]);
            return [await describeCatalogue(test.sql), await placesOf(test)];
          } finally {
            await dropDatabase(test);
          }
        }),
      );

      expect(outcomes[1]).toEqual(outcomes[0]);
    },
    60_000,
  );
});
