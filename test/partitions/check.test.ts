import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { codes, findings, typeCommand } from './checked.ts';
import { attachMonth, makeLogs, month, nameOf, today } from './logs.ts';

const check = ({ url }: { readonly url: string }, options = '') =>
  eduschema(`partitions check ${options}`, { env: { DATABASE_URL: url } });

describe('partitions check, of a table that is as it should be,', () => {
  it(
    'finds nothing, says so, and exits with 0',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -2, to: 3, fallback: true });
      await test.sql`INSERT INTO logs (at) SELECT now() - n * interval '1 hour' FROM generate_series(1, 40) n`;

      const { exitCode, stdout } = await check(test);

      expect([exitCode, stdout]).toEqual([0, 'nothing found: looked at 1 table with 7 partitions\n']);
      expect((await check(test, '--quiet')).stdout).toBe('');
      expect((await check(test, 'logs --json')).json()).toEqual({
        ok: true,
        rows: [],
        summary: { findings: 0, tables: 1, partitions: 7, standby: false },
      });
    }),
  );

  it(
    'writes nothing: it works where nothing can be written, and for who may only read',
    withDatabase(async (test) => {
      const reader = await test.createUser();
      await makeLogs(test.sql, { from: -1, to: 0, fallback: true });
      await test.sql.unsafe(`INSERT INTO logs (at) VALUES ('1999-01-01'); GRANT SELECT ON logs TO ${reader.name};
        ALTER DATABASE ${test.name} SET default_transaction_read_only = on`);

      expect(await codes(reader)).toEqual(['rows-in-default logs_default', 'runway-short']);
    }),
  );

  it(
    'says what to type below the table',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -1, to: 0 });

      const { exitCode, stdout } = await check(test);

      expect(exitCode).toBe(1);
      expect(stdout.split('\n').map((line) => line.replace(/\d{4}-\d\d-\d\d/g, 'DAY'))).toEqual([
        'finding       at           what it is',
        'runway-short  public.logs  its partitions end at DAY, and should reach DAY: rows from then on are refused',
        '',
        '1 finding at 1 table; looked at 1 table with 2 partitions',
        'what to do:',
        '  runway-short: eduschema partitions ensure public.logs',
        '',
      ]);
    }),
  );
});

describe('how far ahead partitions reach', () => {
  it.each([
    ['by default two thirds of what ensure makes', '', 3, []],
    ['by default two thirds of what ensure makes', '', 0, ['runway-short']],
    ['as long as is asked for', '--runway 2mo', 3, []],
    ['as long as is asked for', '--runway 1y', 3, ['runway-short']],
    ['to today', '--runway 0d', 0, []],
  ] as const)('%s (%s) is to be there with partitions up to month %s: %j', (_, options, to, expected) =>
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -1, to });

      expect(await codes(test, options)).toEqual(expected);
    })(),
  );

  it(
    'goes by the policy of the table, and by the last partition, whatever others end at',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await attachMonth(test.sql, 5);
      await test.sql.unsafe(`COMMENT ON TABLE logs IS '{"eduschema":{"partitions":{"ahead":"2y"}}}'`);

      expect(await codes(test)).toEqual(['gap', 'runway-short']);
      expect(await codes(test, '--runway 5mo')).toEqual(['gap']);
    }),
  );

  it(
    'is named with what happens then, and with the command that helps, which does',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -4, to: -3, fallback: true });
      await test.sql.unsafe('CREATE TABLE bare (at timestamptz) PARTITION BY RANGE (at)');

      const found = await findings(test, '--runway 1y');

      expect(found).toMatchObject([
        { table: { name: 'bare' }, message: 'it has no partitions by time: rows of today are refused' },
        {
          table: { name: 'logs' },
          partition: null,
          message: `its partitions ended at ${month(-2)}: rows of today go to the default partition`,
          hint: 'eduschema partitions ensure public.logs --ahead 1y',
        },
      ]);
      for (const one of found) await typeCommand(test, one);
      expect(await codes(test, '--runway 1y')).toEqual([]);
    }),
  );

  it(
    'is without an end where a partition has none',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(
        `CREATE TABLE logs_rest PARTITION OF logs FOR VALUES FROM ('${month(1)} 00:00+09') TO (MAXVALUE);
         CREATE TABLE days (at date) PARTITION BY RANGE (at); CREATE TABLE days_all PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('infinity')`,
      );

      expect(await codes(test, '--runway 99y')).toEqual([]);
    }),
  );

  it(
    'may be asked for beyond the calendar, and rows may be kept since before it',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -3, to: -3 });
      for (const offset of [-1, 0, 1, 2, 3]) await attachMonth(test.sql, offset);
      await test.sql.unsafe(
        `COMMENT ON TABLE logs IS '{"eduschema":{"partitions":{"keep":"3000y","ahead":"9000y"}}}'`,
      );

      expect(await codes(test, '--runway 9000y')).toEqual(['gap', 'runway-short']);
      expect(await codes(test)).toEqual(['gap', 'runway-short']);
    }),
  );
});

describe('gaps', () => {
  it(
    'are named with what becomes of their rows, and filled by what is to be typed',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -4, to: -4 });
      for (const offset of [-1, 0, 2, 3]) await attachMonth(test.sql, offset);

      const found = await findings(test);

      expect(found).toMatchObject([
        {
          code: 'gap',
          message: `no partition has the time from ${month(-3)} to ${month(-1)}: rows of it are refused`,
        },
        {
          code: 'gap',
          message: `no partition has the time from ${month(1)} to ${month(2)}: rows of it are refused`,
          hint: 'eduschema partitions ensure public.logs',
        },
      ]);
      await test.sql.unsafe('CREATE TABLE logs_default PARTITION OF logs DEFAULT');
      expect((await findings(test))[0]?.message).toContain('rows of it go to the default partition');
      await typeCommand(test, found[0] as (typeof found)[0]);
      expect(await codes(test)).toEqual([]);
    }),
  );

  it(
    'between today and partitions that are all to come are gaps too',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 2, to: 4 });

      expect((await findings(test))[0]?.message).toBe(
        `no partition has the time from ${today()} to ${month(2)}: rows of it are refused`,
      );
    }),
  );

  it.each(['infinity', '9999-12-31 00:00+09'])(
    'before a partition for what has no time yet, from %s on, are none until they come near',
    (end) =>
      withDatabase(async (test) => {
        await makeLogs(test.sql, { from: -1, to: 3 });
        await test.sql.unsafe(
          `CREATE TABLE logs_never PARTITION OF logs FOR VALUES FROM ('${end}') TO (MAXVALUE)`,
        );

        expect(await codes(test)).toEqual([]);
        expect(await codes(test, '--runway 1y')).toEqual(['gap']);
        await test.sql.unsafe(`DROP TABLE "${nameOf(3)}", "${nameOf(2)}", "${nameOf(1)}"`);
        const [gap] = await findings(test);
        expect(gap).toMatchObject({ code: 'gap', message: expect.stringContaining(`from ${month(1)} to`) });
        await typeCommand(test, gap as NonNullable<typeof gap>);
        expect(await codes(test)).toEqual([]);
      })(),
  );

  it(
    'that ensure leaves alone are left alone: of what is kept no longer, and long ones in the past',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -150, to: -150 });
      await attachMonth(test.sql, -8);
      for (const offset of [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3]) await attachMonth(test.sql, offset);

      expect(await codes(test)).toEqual(['gap']);
      await test.sql.unsafe(`COMMENT ON TABLE logs IS '{"eduschema":{"partitions":{"keep":"4mo"}}}'`);
      expect(await codes(test)).toEqual([]);
    }),
  );
});

describe('bounds', () => {
  const inUtc = (offset: number) =>
    `CREATE TABLE "${nameOf(offset)}" PARTITION OF logs FOR VALUES FROM ('${month(offset)} 00:00+00') TO ('${month(offset + 1)} 00:00+00')`;

  it(
    'of a session in UTC are nine hours off in Seoul, and leave gaps',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -3, to: 0 });
      await test.sql.unsafe(inUtc(2));
      await attachMonth(test.sql, 1);
      await test.sql.unsafe(
        `CREATE TABLE rest PARTITION OF logs FOR VALUES FROM ('${month(3)} 09:00+09') TO ('${month(5)} 00:00+09')`,
      );

      const found = await findings(test);

      expect(found.map(({ code, partition }) => [code, partition?.name])).toEqual([
        ['gap', undefined],
        ['bound-off-zone', nameOf(2)],
        ['bound-off-zone', 'rest'],
      ]);
      expect(found.map(({ message }) => message)).toEqual([
        `no partition has the time from ${month(2)} to ${month(2)} 09:00:00: rows of it are refused`,
        `it begins at ${month(2)} 09:00:00, which is midnight in UTC and not in Asia/Seoul: rows of the hours between are in the wrong partition`,
        `it begins at ${month(3)} 09:00:00, which is midnight in UTC and not in Asia/Seoul: rows of the hours between are in the wrong partition`,
      ]);
    }),
  );

  it(
    'of times without zones, when clocks were off by seconds too, are known by ensure as well',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -2, to: 0 });
      await test.sql.unsafe(
        `CREATE TABLE old PARTITION OF logs FOR VALUES FROM ('1900-01-01 00:00+00') TO ('${month(-2)} 00:00+09');
         CREATE TABLE years (at timestamptz) PARTITION BY RANGE (at);
         SET TimeZone = 'Asia/Seoul';
         CREATE TABLE years_1897 PARTITION OF years FOR VALUES FROM ('1897-01-01') TO ('1898-01-01');
         CREATE TABLE years_on PARTITION OF years FOR VALUES FROM ('1910-01-01') TO ('2090-01-01');
         RESET TimeZone;
         COMMENT ON TABLE years IS '{"eduschema":{"partitions":{"unit":"year"}}}'`,
      );

      const made = await eduschema('partitions ensure', { env: { DATABASE_URL: test.url } });

      expect(made.exitCode, made.stderr).toBe(0);
      expect(await codes(test)).toEqual(['bound-off-zone old']);
      const [year] =
        await test.sql`SELECT pg_get_expr(relpartbound, oid) = 'FOR VALUES FROM (''1897-12-31 15:32:08+00'') TO (''1898-12-31 15:32:08+00'')' AS fits
        FROM pg_class, set_config('TimeZone', 'UTC', false) WHERE relname = 'years_1898'`;
      expect(year).toEqual({ fits: true });
    }),
  );

  it(
    'that are all those of another zone are one finding, which goes when the policy says that zone',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: -1 });
      for (const offset of [-2, -1, 0, 1, 2, 3]) await test.sql.unsafe(inUtc(offset));

      const found = await findings(test);

      expect(found).toMatchObject([
        {
          code: 'zone-wrong',
          message: expect.stringContaining(
            'do not begin with a month in Asia/Seoul: 7 of 7 bounds are others',
          ),
          hint: 'they are those of UTC: eduschema partitions policy public.logs --zone UTC',
        },
      ]);
      expect(await codes(test, '--zone UTC')).toEqual([]);
      await typeCommand(test, found[0] as (typeof found)[0]);
      expect(await codes(test)).toEqual([]);
    }),
  );

  it(
    'in the middle of a month are somebody’s choice; where clocks go forward at midnight, a day begins at one',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: -3, to: 0 });
      const middle = `${month(1).slice(0, 8)}15`;
      await test.sql.unsafe(
        `CREATE TABLE half PARTITION OF logs FOR VALUES FROM ('${month(1)} 00:00+09') TO ('${middle} 00:00+09');
         CREATE TABLE rest PARTITION OF logs FOR VALUES FROM ('${middle} 00:00+09') TO ('${month(5)} 00:00+09');
         CREATE TABLE plain (at timestamp) PARTITION BY RANGE (at);
         CREATE TABLE plain_all PARTITION OF plain FOR VALUES FROM ('2020-01-01') TO ('2090-01-01');
         CREATE TABLE cairo (at timestamptz) PARTITION BY RANGE (at);
         CREATE TABLE cairo_all PARTITION OF cairo FOR VALUES FROM ('2024-04-26 01:00+03') TO ('2090-01-01 00:00+02')`,
      );

      expect(await codes(test, '--table logs --table plain')).toEqual([]);
      expect(await codes(test, 'cairo --zone Africa/Cairo')).toEqual([]);
    }),
  );
});

describe('what is typed', () => {
  it.each([
    ['a table that is not there', 'nothing', 'table-missing'],
    ['a table that is not partitioned', 'plain', 'table-unsuitable'],
    ['a length of time that is none', '--runway soon', 'usage'],
    ['a zone that is none', '--zone Asia/Soul', 'usage'],
  ])('wrongly, %s, is an error and no finding', (_, options, code) =>
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 3 });
      await test.sql.unsafe('CREATE TABLE plain (at timestamptz)');

      const outcome = await check(test, `${options} --json`);

      expect([outcome.exitCode, outcome.json().error.code]).toEqual([2, code]);
    })(),
  );

  it(
    'wrongly into the policy of a table is a finding of that table, and others are checked',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(`CREATE TABLE a (at timestamptz) PARTITION BY RANGE (at); COMMENT ON TABLE a IS '{"eduschema":{"partitions":{"zone":"Asia/Soul"}}}';
        CREATE TABLE b (at timestamptz) PARTITION BY RANGE (at); COMMENT ON TABLE b IS '{"eduschema":{"partitions":{"ahead":"soon"}}}'`);

      const found = await findings(test);

      expect(found.map(({ code, table }) => [code, table.name])).toEqual([
        ['policy-invalid', 'a'],
        ['policy-invalid', 'b'],
        ['runway-short', 'logs'],
      ]);
    }),
  );

  it(
    'is nothing, where no table is partitioned',
    withDatabase(async (test) => {
      expect((await check(test)).stdout).toBe('nothing found: looked at 0 tables with 0 partitions\n');
    }),
  );
});
