import { describe, expect, it } from 'vitest';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { attachMonth, boundsOf, ensureIn, makeLogs, month, nameOf, placesOf } from './logs.ts';

const run = ({ url }: TestDatabase, line: string) =>
  eduschema(`partitions ${line}`, { env: { DATABASE_URL: url } });

describe('partitions ensure', () => {
  it(
    'makes the months ahead and fills gaps, of all tables in one run, and then has nothing to do',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -3, to: -3 });
      await attachMonth(test.sql, 0);
      await test.sql.unsafe(
        `CREATE TABLE days (at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE other (id int) PARTITION BY LIST (id)`,
      );

      const first = await run(test, 'ensure --json --ahead 2mo');
      const second = await run(test, 'ensure --json --ahead 2mo');

      expect(first.exitCode).toBe(0);
      expect(first.json().rows).toEqual(
        [
          ['days', 0],
          ['days', 1],
          ['days', 2],
          ['logs', -2],
          ['logs', -1],
          ['logs', 1],
          ['logs', 2],
        ].map(([table, offset]) => ({
          table: { schema: 'public', name: table },
          partition: { schema: 'public', name: nameOf(Number(offset), String(table)) },
          from: `${month(Number(offset))} 00:00:00`,
          to: `${month(Number(offset) + 1)} 00:00:00`,
          rows: 0,
        })),
      );
      expect(first.json().summary).toEqual({ tables: 2, made: 7, rows: 0, standby: false });
      expect(await boundsOf(test.sql)).toEqual(
        [-3, -2, -1, 0, 1, 2].map((n) => ({ name: nameOf(n), from: month(n), to: month(n + 1) })),
      );
      expect(second.json()).toMatchObject({ rows: [], summary: { made: 0 } });
      expect((await run(test, 'ensure --ahead 2mo')).stdout).toBe('nothing to do: 2 tables looked at\n');
      expect((await run(test, 'ensure --ahead 2mo --quiet')).stdout).toBe('');
    }),
  );

  it.each(['UTC', 'America/New_York', 'Pacific/Kiritimati'])(
    'begins months with midnights of the zone of the policy, for a database in %s',
    (zone) =>
      withDatabase(async (test) => {
        await test.sql.unsafe(`ALTER DATABASE ${test.name} SET timezone = '${zone}'`);
        await test.sql.unsafe(`ALTER DATABASE ${test.name} SET datestyle = 'SQL, DMY'`);
        await makeLogs(test.sql, { from: 0, to: 0 });

        await ensureIn(test);

        expect(await boundsOf(test.connect())).toEqual(
          [0, 1, 2, 3].map((n) => ({ name: nameOf(n), from: month(n), to: month(n + 1) })),
        );
      })(),
  );

  it.each([
    ['day', '3d', 4, /^t_\d{4}_\d\d_\d\d$/],
    ['week', '3w', 4, /^t_\d{4}_w\d\d$/],
    ['month', '3mo', 4, /^t_\d{4}_\d\d$/],
    ['quarter', '2q', 3, /^t_\d{4}_q\d$/],
    ['year', '2y', 3, /^t_\d{4}$/],
  ] as const)('makes partitions of a %s', (unit, ahead, count, name) =>
    withDatabase(async (test) => {
      await test.sql.unsafe(`CREATE TABLE t (at timestamp NOT NULL) PARTITION BY RANGE (at)`);

      const made = await run(test, `ensure t --unit ${unit} --ahead ${ahead} --json`);
      // From here on they show it themselves.
      const more = await run(test, `ensure t --ahead ${ahead} --json`);

      expect(made.json().rows).toHaveLength(count);
      for (const { partition } of made.json().rows as { partition: { name: string } }[])
        expect(partition.name).toMatch(name);
      expect(more.json().rows).toEqual([]);
      await test.sql`INSERT INTO t VALUES (now() AT TIME ZONE 'Asia/Seoul')`;
    })(),
  );

  it(
    'begins with the period of today where there is none at all, and leaves those alone that are no longer kept',
    withDatabase(async (test) => {
      await test.sql.unsafe('CREATE TABLE fresh (at timestamptz NOT NULL) PARTITION BY RANGE (at)');
      await makeLogs(test.sql, { from: -9, to: -9 });
      await attachMonth(test.sql, 0);
      await test.sql.unsafe(
        `COMMENT ON TABLE logs IS E'Logs.\\n{"eduschema":{"partitions":{"ahead":"1mo","keep":"4mo"}}}'`,
      );

      await ensureIn(test, { sources: { config: { ahead: '2d' } } });

      expect((await boundsOf(test.sql, 'fresh'))[0]?.from).toBe(month(0));
      expect((await boundsOf(test.sql)).map(({ from }) => from)).toEqual(
        [-9, -4, -3, -2, -1, 0, 1].map(month),
      );
    }),
  );

  it(
    'leaves a gap in the past of more than a hundred periods, unless it is told to fill it',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -120, to: -120 });

      await ensureIn(test, { sources: { flags: { ahead: '1mo' } } });
      expect((await boundsOf(test.sql)).map(({ from }) => from)).toEqual([-120, 0, 1].map(month));

      await ensureIn(test, { sources: { flags: { ahead: '1mo' } }, longGaps: true });
      expect(await boundsOf(test.sql)).toHaveLength(122);
    }),
  );

  it(
    'fills what a partition with other bounds leaves of a period',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -2, to: 0 });
      // As a session in UTC makes it.
      await test.sql.unsafe(
        `CREATE TABLE "${nameOf(1)}" PARTITION OF logs FOR VALUES FROM ('${month(1)} 00:00+00') TO ('${month(2)} 00:00+00')`,
      );

      const { made } = await ensureIn(test, { sources: { flags: { ahead: '2mo' } } });

      expect(made).toMatchObject([
        {
          partition: { name: `${nameOf(1)}_2` },
          from: `${month(1)} 00:00:00`,
          to: `${month(1)} 09:00:00`,
        },
        { partition: { name: nameOf(2) }, from: `${month(2)} 09:00:00`, to: `${month(3)} 00:00:00` },
      ]);
      await test.sql`INSERT INTO logs (at) SELECT generate_series(${`${month(0)} 00:00+09`}::timestamptz, ${`${month(2)} 23:00+09`}, '1 hour')`;
    }),
  );

  it(
    'gives names within 63 bytes, and another one where a name is taken',
    withDatabase(async (test) => {
      const table = '교육자료다운로드기록보관용테이블이름이아주길다';
      await test.sql.unsafe(
        `CREATE TABLE "${table.slice(0, 21)}" (at timestamptz NOT NULL) PARTITION BY RANGE (at)`,
      );
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(
        `CREATE VIEW "${nameOf(1)}" AS SELECT 1 AS x; CREATE TYPE "${nameOf(2)}" AS ENUM ('a'); CREATE TABLE "${nameOf(3)}" (mine text);
         INSERT INTO "${nameOf(3)}" VALUES ('not yours')`,
      );
      const said: string[] = [];

      await ensureIn(
        test,
        {},
        { onProgress: (event) => void (event.type === 'log' && said.push(event.message)) },
      );

      const long = await boundsOf(test.sql, `"${table.slice(0, 21)}"`);
      expect(long).toHaveLength(4);
      for (const { name } of long) {
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
        expect(name).toMatch(/^교육자료다운로드.*_\d{4}_\d\d$/);
      }
      expect((await boundsOf(test.sql)).map(({ name }) => name)).toEqual([
        nameOf(0),
        `${nameOf(1)}_2`,
        `${nameOf(2)}_2`,
        `${nameOf(3)}_2`,
      ]);
      expect(said).toContain(`public.${nameOf(1)}_2 has a number behind it, as a view has the name without`);
      expect(await test.sql`SELECT mine FROM ${test.sql(nameOf(3))}`).toEqual([{ mine: 'not yours' }]);
    }),
  );

  it(
    'prints what it would do, and does nothing, with --dry-run',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });

      const { exitCode, stdout } = await run(test, 'ensure --ahead 1mo --dry-run');

      expect(exitCode).toBe(0);
      expect(stdout).toContain('-- attach 1 partition to public.logs\nBEGIN;');
      expect(stdout).toContain(
        '-- locks SHARE UPDATE EXCLUSIVE on public.logs, ACCESS EXCLUSIVE on public.logs_default\n-- waits for whoever uses public.logs_default\n',
      );
      expect(stdout).not.toContain('PARTITION OF');
      expect(await placesOf(test)).toEqual({});
      expect(await boundsOf(test.sql)).toHaveLength(1);
      expect((await run(test, 'ensure --ahead 1d --dry-run')).stdout).toMatch(/^-- (nothing to do|make 1)/);
    }),
  );
});

describe('partitions ensure refuses', () => {
  const cases = [
    ['a table that is not there', 'ensure nothing', 'table-missing', 'there is no table public.nothing'],
    ['one that is not partitioned', 'ensure plain', 'table-unsuitable', 'public.plain is not partitioned'],
    ['one by list', 'ensure list', 'table-unsuitable', 'not partitioned by range over one column of time'],
    [
      'one by number',
      'ensure number',
      'table-unsuitable',
      'not partitioned by range over one column of time',
    ],
    ['one that is partitioned further', 'ensure deep', 'table-unsuitable', 'is partitioned itself'],
    [
      'one whose partitions are of no unit',
      'ensure odd',
      'table-unsuitable',
      'none of a day, a week, a month',
    ],
    ['an unknown zone', 'ensure logs --zone Asia/Soul', 'usage', 'the server knows no time zone "Asia/Soul"'],
    ['a zone with a number', 'ensure logs --zone Seoul9', 'usage', 'the server knows no time zone "Seoul9"'],
    ['an unknown unit', 'ensure logs --unit moon', 'usage', '--unit is "moon"'],
    [
      'no length of time',
      'ensure logs --ahead soon',
      'usage',
      '--ahead is "soon", which is no length of time',
    ],
    [
      'ten thousand days',
      'ensure fresh --unit day --ahead 10000d',
      'usage',
      'public.fresh would get 10001 partitions',
    ],
    ['beyond the calendar', 'ensure logs --ahead 9999y', 'usage', 'the calendar ends with 9998'],
    ['a name of three parts', 'ensure a.b.c', 'usage', "a.b.c is no table's name"],
  ] as const;

  it(
    'with a reason and a way out',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(
        `CREATE TABLE plain (at date); CREATE TABLE list (id int) PARTITION BY LIST (id); CREATE TABLE number (id int) PARTITION BY RANGE (id);
         CREATE TABLE fresh (at date) PARTITION BY RANGE (at);
         CREATE TABLE odd (at date) PARTITION BY RANGE (at); CREATE TABLE odd_1 PARTITION OF odd FOR VALUES FROM ('2020-01-01') TO ('2020-01-11');
         CREATE TABLE deep (id int, at timestamptz) PARTITION BY RANGE (at);
         CREATE TABLE deep_1 PARTITION OF deep FOR VALUES FROM ('${month(0)} 00:00+09') TO ('${month(1)} 00:00+09') PARTITION BY HASH (id)`,
      );

      for (const [what, line, code, message] of cases) {
        const { exitCode, json } = await run(test, `${line} --json`);
        expect(json().error, what).toMatchObject({ code, message: expect.stringContaining(message) });
        expect(json().error.hint, what).toMatch(/\w{3}/);
        expect(exitCode, what).toBe(2);
      }
    }),
  );

  it(
    'a table that was made for another zone, and says for which',
    withDatabase(async (test) => {
      await test.sql.unsafe(`CREATE TABLE utc (at timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE utc_1 PARTITION OF utc FOR VALUES FROM ('${month(0)} 00:00+00') TO ('${month(1)} 00:00+00')`);

      const refused = await run(test, 'ensure --json');
      const done = await run(test, 'ensure --json --zone UTC');

      expect(refused.exitCode).toBe(2);
      expect(refused.json().error).toMatchObject({
        message: `the partitions of public.utc do not begin with a month in Asia/Seoul: 2 of 2 bounds are others, as ${month(0)} 09:00:00`,
        hint: 'they are those of UTC: eduschema partitions policy public.utc --zone UTC',
      });
      expect(done.json().rows).not.toEqual([]);
    }),
  );

  it(
    'to stop at a table that cannot be looked at, which it names',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(`CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER gone FOREIGN DATA WRAPPER nowhere;
        CREATE TABLE away (at date) PARTITION BY RANGE (at); CREATE FOREIGN TABLE away_default PARTITION OF away DEFAULT SERVER gone`);

      const { exitCode, json } = await run(test, 'ensure --ahead 1mo --json');

      expect(exitCode).toBe(2);
      expect(json().error).toMatchObject({
        code: 'database-error',
        message: expect.stringMatching(/^cannot look at public\.away: .*handler/),
      });
      expect(await boundsOf(test.sql)).toHaveLength(2);
    }),
  );

  it(
    'to stop at one table: the others are done, and the error says both',
    withDatabase(async (test) => {
      const user = await test.createUser();
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(`CREATE TABLE mine (at date) PARTITION BY RANGE (at); ALTER TABLE mine OWNER TO ${user.name};
        GRANT CREATE ON SCHEMA public TO ${user.name}; GRANT SELECT ON logs TO ${user.name}`);

      const { exitCode, json } = await eduschema('partitions ensure --ahead 1mo --json', {
        env: { DATABASE_URL: user.url },
      });

      expect(exitCode).toBe(2);
      expect(json().error).toMatchObject({
        code: 'permission-denied',
        message: `${user.name} is not the owner of public.logs, which postgres is`,
        hint: 'run it as postgres, or with --role postgres',
      });
      expect(json().error.details?.made).toHaveLength(2);
      expect(await boundsOf(test.sql)).toHaveLength(1);
      expect(await boundsOf(test.sql, 'mine')).toHaveLength(2);
    }),
  );
});
