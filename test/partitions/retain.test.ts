import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { addMaterials, withLibrary } from '../education/library.ts';
import { withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';
import { expectDone, partitionsOf, states, withOldLogs } from './old-logs.ts';

for (const withDefault of [false, true]) {
  const how = withDefault ? 'plainly, as there is a default partition' : 'concurrently';

  test(
    `old partitions are detached ${how}, archived, and dropped when the grace period is over`,
    withOldLogs(
      async (logs) => {
        const before = await logs.control();

        const first = expectDone(await logs.retain('--json'));

        expect(states(first)).toEqual({
          'public.logs_2024_01': 'archived detach archive',
          'public.logs_2024_02': 'archived detach archive',
        });
        expect(await partitionsOf(logs)).toEqual(withDefault ? ['logs_default', 'logs_now'] : ['logs_now']);
        expect(await logs.control()).toEqual(before);
        expect(first.json().rows[0]).toMatchObject({
          rows: 500,
          from: '2024-01-01 00:00:00',
          to: '2024-02-01 00:00:00',
        });

        const second = expectDone(await logs.retain('--json'));
        expect(states(second)).toEqual({
          'public.logs_2024_01': 'archived',
          'public.logs_2024_02': 'archived',
        });

        const third = expectDone(await logs.retain('--grace 0d --json'));
        expect(states(third)).toEqual({
          'public.logs_2024_01': 'dropped drop',
          'public.logs_2024_02': 'dropped drop',
        });
        expect(
          await logs.sql`SELECT relname FROM pg_class WHERE relname LIKE 'logs_2024%' AND relkind = 'r'`,
        ).toHaveLength(0);
        expect((await logs.control()).rows).toBe(500);

        expect((await logs.retain()).stdout).toContain('nothing to do');
      },
      { withDefault },
    ),
  );
}

test(
  'an archive is a file that gzip reads, and a manifest that says what is in it and how it comes back',
  withOldLogs(async (logs) => {
    await logs.retain();

    const folder = logs.archiveOf('logs_2024_01');
    expect(readdirSync(folder).sort()).toEqual(['logs_2024_01.copy.gz', 'manifest.json']);
    const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    const file = readFileSync(join(folder, manifest.file.name));
    const data = gunzipSync(file);
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    expect(manifest).toMatchObject({
      format: 1,
      database: logs.name,
      table: { schema: 'public', name: 'logs_2024_01' },
      bounds: { from: '2023-12-31 15:00:00+00', to: '2024-01-31 15:00:00+00' },
      data: { rows: 500, bytes: data.length, sha256: sha256(data) },
      file: { bytes: file.length, sha256: sha256(file) },
    });
    expect(manifest.definition.foreignKeys).toHaveLength(1);
    expect(statSync(join(folder, manifest.file.name)).mode & 0o077).toBe(0);

    // As somebody would who has nothing but psql.
    await logs.sql.unsafe(
      'ALTER TABLE logs_2024_01 RENAME TO kept; ALTER INDEX logs_2024_01_pkey RENAME TO kept_pkey',
    );
    const [create, ...rest] = manifest.ddl;
    await logs.sql.unsafe(create);
    const writable = await logs.sql.unsafe(manifest.copy).writable();
    await new Promise((done, fail) => writable.on('error', fail).on('finish', done).end(data));
    for (const statement of rest) await logs.sql.unsafe(statement);
    expect(
      await logs.sql`(TABLE kept EXCEPT ALL TABLE logs_2024_01) UNION ALL (TABLE logs_2024_01 EXCEPT ALL TABLE kept)`,
    ).toHaveLength(0);
    expect(await logs.sql`SELECT FROM logs_2024_01`).toHaveLength(500);
  }),
);

test(
  'a partition stays until its end, not its beginning, is as old as is kept, by the clock of its zone',
  withDatabase(async ({ sql, url }) => {
    await sql`CREATE TABLE t (at timestamptz) PARTITION BY RANGE (at)`;
    const [days] = await sql`
      SELECT to_char(now() AT TIME ZONE 'Asia/Seoul' - interval '2 months', 'YYYY-MM-DD') AS over,
             to_char(now() AT TIME ZONE 'Asia/Seoul' - interval '2 months' + interval '1 day', 'YYYY-MM-DD') AS not_yet`;
    await sql.unsafe(
      `CREATE TABLE t_over PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('${days?.over} 00:00+09')`,
    );
    await sql.unsafe(
      `CREATE TABLE t_not_yet PARTITION OF t FOR VALUES FROM ('${days?.over} 00:00+09') TO ('${days?.not_yet} 00:00+09')`,
    );
    await sql.unsafe(
      `CREATE TABLE t_far PARTITION OF t FOR VALUES FROM ('${days?.not_yet} 00:00+09') TO ('20000-01-01+09')`,
    );
    for (const zone of ['UTC', 'America/New_York', 'Pacific/Kiritimati']) {
      await sql.unsafe(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET timezone = '${zone}'`);
      await sql.unsafe(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET datestyle = 'SQL, DMY'`);

      const outcome = await eduschema('partitions retain t --keep 2mo --dry-run --json', {
        env: { DATABASE_URL: url },
      });

      expect(outcome.json().rows.map((row) => row.partition)).toEqual(['public.t_over']);
      expect(outcome.json().rows[0]).toMatchObject({ from: null, to: `${days?.over} 00:00:00` });
    }
  }),
);

for (const type of ['date', 'timestamp'])
  test(
    `a table by ${type} is retired and brought back as well`,
    withDatabase(async ({ sql, url }) =>
      withFolder({ 'a/x': '' }, async (cwd) => {
        await sql.unsafe(`CREATE TABLE t (at ${type} NOT NULL, n int) PARTITION BY RANGE (at);
          CREATE TABLE t_2020 PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
          INSERT INTO t SELECT date '2020-01-01' + n, n FROM generate_series(0, 365) n`);
        const run = (line: string) => eduschema(line, { cwd, env: { DATABASE_URL: url } });

        expectDone(await run('partitions retain t --keep 1y --archive a --grace 0d --yes'));
        expect(await sql`SELECT FROM t`).toHaveLength(0);
        expectDone(await run(`partitions restore a/${new URL(url).pathname.slice(1)}/public.t_2020`));

        expect(await sql`SELECT count(*)::int, sum(n)::int FROM t`).toEqual([{ count: 366, sum: 66795 }]);
      }),
    ),
  );

test(
  'without a folder partitions are detached and stay as tables, until somebody says that they may go without an archive',
  withOldLogs(async (logs) => {
    const before = await logs.control();

    expect(
      states(expectDone(await logs.run('partitions retain logs --keep 24mo --yes --json'))),
    ).toMatchObject({
      'public.logs_2024_01': 'detached detach',
    });
    expect(
      states(await logs.run('partitions retain logs --keep 24mo --grace 0d --yes --json')),
    ).toMatchObject({
      'public.logs_2024_01': 'detached',
    });
    expect(await logs.control()).toEqual(before);

    const early = await logs.run('partitions retain logs --keep 24mo --drop-without-archive --yes --json');
    expect(states(early)).toMatchObject({ 'public.logs_2024_01': 'detached' });
    const late = await logs.run(
      'partitions retain logs --keep 24mo --drop-without-archive --grace 0d --yes --json',
    );
    expect(states(late)).toMatchObject({ 'public.logs_2024_01': 'dropped drop' });
  }),
);

test(
  'a dry run shows what goes, its size, the SQL and its locks, and changes nothing',
  withOldLogs(
    async (logs) => {
      await logs.sql`ANALYZE`;
      const outcome = await logs.retain('--dry-run');

      expect(outcome.exitCode).toBe(0);
      expect(outcome.stdout).toContain(
        '-- public.logs_2024_01: 2024-01-01 00:00:00 to 2024-02-01 00:00:00, about 500 rows,',
      );
      expect(outcome.stdout).toContain(
        '-- locks ACCESS EXCLUSIVE on public.logs, ACCESS EXCLUSIVE on public.logs_2024_01, ACCESS EXCLUSIVE on public.logs_default, SHARE ROW EXCLUSIVE on public.materials',
      );
      expect(outcome.stdout).not.toContain('DROP TABLE');
      expect(await partitionsOf(logs)).toHaveLength(4);
      expect(readdirSync(logs.archives)).toEqual([]);

      // It is SQL: carried out by hand, it comes to the same, and the next run goes on with the archives.
      await logs.sql.unsafe(outcome.stdout.replaceAll(/^(BEGIN|COMMIT);$/gm, ''));
      expect(states(await logs.retain('--json'))).toEqual({
        'public.logs_2024_01': 'archived archive',
        'public.logs_2024_02': 'archived archive',
      });
    },
    { withDefault: true },
  ),
);

test(
  'it asks, with what goes in words, and does nothing without a yes',
  withOldLogs(async (logs) => {
    const line = 'partitions retain logs --keep 24mo --archive archives';
    const nobody = await logs.run(line);
    expect(nobody).toMatchObject({ exitCode: 2, stdout: '' });
    expect(nobody.stderr).toContain('add --yes to go on without asking');
    const no = await logs.run(line, { answer: 'no' });
    expect(no.stderr).toContain(
      'public.logs_2024_01 (2024-01-01 00:00:00 to 2024-02-01 00:00:00) is detached and archived in',
    );
    expect(no.exitCode).toBe(2);
    expect(await partitionsOf(logs)).toHaveLength(3);

    expect((await logs.run(line, { answer: 'yes' })).exitCode).toBe(0);
    const drop = await logs.run(`${line} --grace 0d`, { answer: 'no' });
    expect(drop.stderr).toContain(
      'public.logs_2024_01 (2024-01-01 00:00:00 to 2024-02-01 00:00:00) is DROPPED; its rows are in',
    );
  }),
);

test(
  'a policy in the comment says how long, where and for how long; tables without one must be named',
  withOldLogs(async (logs) => {
    const nothing = await logs.run('partitions retain --keep 24mo --yes');
    expect(nothing.stderr).toContain('no table has a policy that says how long its rows are kept');
    expect(nothing.stderr).toContain('eduschema partitions retain logs --keep 24mo');
    expect((await logs.run('partitions retain logs --yes')).stderr).toContain('add --keep 24mo');

    const policy = { zone: 'Asia/Seoul', unit: 'month', keep: '24mo', archive: logs.archives, grace: '1d' };
    await logs.sql.unsafe(
      `COMMENT ON TABLE logs IS '${JSON.stringify({ eduschema: { partitions: policy } })}'`,
    );
    const outcome = expectDone(await logs.run('partitions retain --yes --json'));

    expect(states(outcome)).toMatchObject({ 'public.logs_2024_01': 'archived detach archive' });
    const hours = (Date.parse(`${outcome.json().rows[0]?.dropAfter}`) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(23);
    expect(hours).toBeLessThan(25);
  }),
);

test(
  'what stands in the way of one partition is named before anything is done with it, and the others go',
  withOldLogs(async (logs) => {
    await logs.sql.unsafe(`
      CREATE VIEW january AS SELECT id FROM logs_2024_01;
      CREATE TABLE remarks (log_id bigint, at timestamptz, FOREIGN KEY (log_id, at) REFERENCES logs)`);
    const outcome = await logs.retain('--json');

    expect(outcome.exitCode).toBe(1);
    expect(outcome.json().ok).toBe(false);
    expect(states(outcome)).toEqual({
      'public.logs_2024_01': 'left',
      'public.logs_2024_02': 'archived detach archive',
    });
    expect(outcome.json().rows[0]?.obstacle).toEqual({
      problem: 'the view january is made of it',
      remedy: 'drop or change january',
    });

    await logs.sql.unsafe(`DROP VIEW january; INSERT INTO remarks SELECT id, at FROM logs_2024_01 LIMIT 1`);
    const refers = await logs.retain('--json');
    expect(refers.json().rows[0]?.obstacle).toMatchObject({
      problem: 'rows of public.remarks refer to its rows (remarks_log_id_at_fkey)',
    });
    expect(await partitionsOf(logs)).toContain('logs_2024_01');
    await logs.sql`TRUNCATE remarks`;
    expect(states(await logs.retain('--json'))).toMatchObject({
      'public.logs_2024_01': 'archived detach archive',
    });
  }),
);

test(
  'a sequence that the partition owns and the table uses is named: dropping it would take it along',
  withOldLogs(async (logs) => {
    await logs.sql.unsafe(
      `CREATE SEQUENCE s; ALTER TABLE logs ALTER id SET DEFAULT nextval('s'); ALTER SEQUENCE s OWNED BY logs_2024_01.id`,
    );
    const [row] = (await logs.retain('--json')).json().rows;
    expect(row?.obstacle).toEqual({
      problem: 'its column owns the sequence s, which logs uses',
      remedy: 'ALTER SEQUENCE s OWNED BY logs.id',
    });
  }),
);

test(
  'a retired table takes no rows from anybody, and rows that vanish elsewhere take none of its rows along',
  withOldLogs(async (logs) => {
    await logs.retain();

    for (const write of [
      `INSERT INTO logs_2024_01 SELECT id + 1000, material_id, note, amount, raw, at FROM logs_2024_01 LIMIT 1`,
      `UPDATE logs_2024_01 SET note = 'x' WHERE id = 1`,
    ])
      await expect(logs.sql.unsafe(write)).rejects.toThrow('retired_by_eduschema');
    await logs.sql`DELETE FROM materials`;
    expect(await logs.sql`SELECT FROM logs_2024_01`).toHaveLength(500);
    expect(states(expectDone(await logs.retain('--grace 0d --json')))).toMatchObject({
      'public.logs_2024_01': 'dropped drop',
    });
  }),
);

test(
  'every kind of value comes back as it was, whatever the session is set to',
  withDatabase(async ({ sql, url, name }) =>
    withFolder({ 'a/x': '' }, async (cwd) => {
      await sql.unsafe(
        `
        CREATE TYPE mood AS ENUM ('좋음', 'it''s');
        CREATE TABLE t (at timestamptz NOT NULL, d date, f8 float8, f4 float4, n numeric, b bytea, j jsonb, a text[], m mood,
          iv interval, u uuid, ip inet, mo money, x xml, bits varbit, r int4range, reg regclass,
          twice numeric GENERATED ALWAYS AS (n * 2) STORED) PARTITION BY RANGE (at);
        CREATE TABLE t_2020 PARTITION OF t FOR VALUES FROM ('2020-01-01+00') TO ('2021-01-01+00');
        INSERT INTO t VALUES
          ('2020-06-01 12:34:56.789012+09', '2020-02-29', 0.1::float8 + 0.2, 'NaN', 1e40, '\\x00ff5c', '{"a": "\\t\\u0000x"}'::text::json::jsonb - 'a', ARRAY['a,b', NULL, '"'], '좋음',
           '1 year -2 days 03:04:05.678', gen_random_uuid(), '::1/64', 1234.56, '<a>&amp;</a>', B'101', '[1,5)', 'pg_class'),
          ('2020-01-01+00', 'infinity', '-Infinity', 1.17549435e-38, NULL, '', '[]', '{}', 'it''s', '-1 sec', NULL, NULL, NULL, NULL, NULL, 'empty', NULL)`.replace(
          `'{"a": "\\t\\u0000x"}'::text::json::jsonb - 'a'`,
          `'{"a": "\\\\t"}'`,
        ),
      );
      await sql.unsafe(`ALTER DATABASE ${name} SET timezone = 'Asia/Seoul'; ALTER DATABASE ${name} SET datestyle = 'German, DMY';
        ALTER DATABASE ${name} SET intervalstyle = 'sql_standard'; ALTER DATABASE ${name} SET bytea_output = 'escape'; ALTER DATABASE ${name} SET extra_float_digits = -5`);
      const before = await sql`SELECT t::text FROM t ORDER BY at`;
      const run = (line: string) => eduschema(line, { cwd, env: { DATABASE_URL: url } });

      expectDone(await run('partitions retain t --keep 1y --archive a --grace 0d --yes'));
      expect(await sql`SELECT FROM t`).toHaveLength(0);
      expectDone(await run(`partitions restore a/${name}/public.t_2020`));

      expect(await sql`SELECT t::text FROM t ORDER BY at`).toEqual(before);
      expect(before).toHaveLength(2);
    }),
  ),
);

test(
  'names of any kind are archived and brought back',
  withDatabase(async ({ sql, url, name }) =>
    withFolder({ 'a/x': '' }, async (cwd) => {
      const partition = '교육 "로그"/2020 USING \\x';
      const quoted = `"교육 ""로그""/2020 USING \\x"`;
      await sql.unsafe(`CREATE SCHEMA "S.1"; CREATE TABLE "S.1"."a.b" ("열 ""1""" timestamptz NOT NULL, "n USING" int) PARTITION BY RANGE ("열 ""1""");
        CREATE INDEX "i USING x" ON "S.1"."a.b" ("n USING");
        CREATE TABLE "S.1".${quoted} PARTITION OF "S.1"."a.b" FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
        INSERT INTO "S.1"."a.b" VALUES ('2020-05-05', 1)`);
      const run = (...line: string[]) => eduschema(line, { cwd, env: { DATABASE_URL: url } });

      expectDone(
        await run(
          'partitions',
          'retain',
          '"S.1"."a.b"',
          '--keep',
          '1y',
          '--archive',
          'a',
          '--grace',
          '0d',
          '--yes',
        ),
      );
      const [folder] = readdirSync(join(cwd, 'a', name));
      expectDone(await run('partitions', 'restore', join('a', name, folder as string)));

      expect(await sql`SELECT "n USING" AS n, tableoid::regclass::text AS t FROM "S.1"."a.b"`).toEqual([
        { n: 1, t: `"S.1"."${partition.replaceAll('"', '""')}"` },
      ]);
    }),
  ),
);

test(
  'the counters of the education schema stay when logs are retired, and when they are brought back',
  withLibrary(async ({ sql, url }) =>
    withFolder({ 'a/x': '' }, async (cwd) => {
      const [id] = await addMaterials(sql, '리더십 입문');
      await sql`SELECT create_month_partitions('download_logs', 30, 0)`;
      await sql`INSERT INTO download_logs (material_id, download_at) SELECT ${id}, now() - interval '29 months' FROM generate_series(1, 10)`;
      const counts = () =>
        sql`SELECT download_count::int AS count, (SELECT count(*)::int FROM download_logs) AS logs FROM materials`;
      const run = (line: string) => eduschema(line, { cwd, env: { DATABASE_URL: url } });
      expect(await counts()).toEqual([{ count: 10, logs: 10 }]);

      const outcome = expectDone(
        await run('partitions retain download_logs --keep 24mo --archive a --grace 0d --yes --json'),
      );
      expect(await counts()).toEqual([{ count: 10, logs: 0 }]);
      expectDone(await run('counters verify'));

      const archive = outcome.json().rows.find((row) => row.rows === 10)?.archive;
      expectDone(await run(`partitions restore ${archive}`));
      expect(await counts()).toEqual([{ count: 10, logs: 10 }]);
      expectDone(await run('counters verify'));
    }),
  ),
);

test(
  'a table that another role owns is left as it is, with the right that is wanted',
  withOldLogs(async (logs) => {
    const { url } = await logs.createUser();
    const outcome = await eduschema('partitions retain logs --keep 24mo --archive archives --yes --json', {
      cwd: logs.folder,
      env: { DATABASE_URL: url },
    });
    expect(outcome.exitCode).toBe(2);
    expect(outcome.json().error).toMatchObject({ code: 'permission-denied' });
    expect(await partitionsOf(logs)).toHaveLength(3);
  }),
);
