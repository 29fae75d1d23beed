import { execFileSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { addMaterials, withLibrary } from '../education/library.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';
import { findPsql } from '../helpers/psql.ts';
import { expectDone, type OldLogs, partitionsOf, states, withOldLogs } from './old-logs.ts';

const checksOf = ({ sql }: OldLogs, table: string) =>
  sql`SELECT conname, pg_get_constraintdef(oid) AS definition, convalidated FROM pg_constraint
      WHERE conrelid = ${table}::regclass AND contype <> 'n' ORDER BY 1`;
const indexesOf = ({ sql }: OldLogs, table: string) =>
  sql`SELECT indexdef FROM pg_indexes WHERE tablename = ${table} ORDER BY 1`;

for (const withDefault of [false, true])
  test(
    `a partition that was dropped comes back from its archive as it was ${withDefault ? 'with' : 'without'} a default partition`,
    withOldLogs(
      async (logs) => {
        const before = [
          await logs.control(),
          await checksOf(logs, 'logs_2024_01'),
          await indexesOf(logs, 'logs_2024_01'),
        ];
        await logs.retain('--grace 0d');
        expect((await logs.control()).rows).toBe(500);

        const dry = await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --dry-run`);
        expect(dry.stdout).toContain('ATTACH PARTITION "public"."logs_2024_01" FOR VALUES FROM (');
        const outcome = expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`));
        expect(outcome.stdout).toContain(
          'public.logs_2024_01 is a partition of public.logs again, with 500 rows',
        );
        expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_02')}/manifest.json`));

        expect([
          await logs.control(),
          await checksOf(logs, 'logs_2024_01'),
          await indexesOf(logs, 'logs_2024_01'),
        ]).toEqual(before);
        expect(await logs.sql`SELECT FROM logs WHERE at < '2025-01-01'`).toHaveLength(1000);
        const again = expectDone(
          await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --json`),
        );
        expect(again.json().rows).toMatchObject([{ way: 'there' }]);
      },
      { withDefault },
    ),
  );

test(
  'rows that came late take along what refers to them, and no trigger counts them out',
  withOldLogs(
    async (logs) => {
      const { sql } = logs;
      const user = await logs.createUser();
      await logs.retain();
      await sql.unsafe(`
        CREATE TABLE replies (log bigint, at timestamptz, FOREIGN KEY (log, at) REFERENCES logs ON DELETE CASCADE);
        CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);
        CREATE FUNCTION count_logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          UPDATE counter SET n = n + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END; RETURN NULL; END $$;
        CREATE TRIGGER counts AFTER INSERT OR DELETE ON logs FOR EACH ROW EXECUTE FUNCTION count_logs();
        INSERT INTO logs (id, at) VALUES (9001, '2024-01-20');
        INSERT INTO replies VALUES (9001, '2024-01-20');
        GRANT ALL ON SCHEMA public TO ${user.name};
        GRANT ALL ON ALL TABLES IN SCHEMA public TO ${user.name}`);
      for (const table of [
        'materials',
        'logs',
        'logs_2024_01',
        'logs_2024_02',
        'logs_now',
        'logs_default',
        'replies',
      ])
        await sql.unsafe(`ALTER TABLE ${table} OWNER TO ${user.name}`);

      const refused = await logs.run(`partitions restore logs_2024_01 --url ${user.url}`);

      expect([refused.exitCode, refused.stderr]).toEqual([
        2,
        expect.stringContaining('public.replies may refer to them'),
      ]);
      expect(await sql`SELECT log::int FROM replies`).toEqual([{ log: 9001 }]);
      expectDone(await logs.run('partitions restore logs_2024_01'));
      expect(await sql`SELECT log::int FROM replies`).toEqual([{ log: 9001 }]);
      expect(await sql`SELECT n FROM counter`).toEqual([{ n: 1 }]);
      expect(await sql`SELECT tableoid::regclass::text AS place FROM logs WHERE id = 9001`).toEqual([
        { place: 'logs_2024_01' },
      ]);
      expect(await sql`SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgname = 'counts'`).toEqual([
        { tgenabled: 'O' },
      ]);
    },
    { withDefault: true },
  ),
);

test.skipIf(findPsql() === undefined)(
  'the script for a table that is still there, run by psql, comes to the same: it takes rows again',
  withOldLogs(async (logs) => {
    const before = [await logs.control(), await checksOf(logs, 'logs_2024_01')];
    await logs.retain();

    const { stdout } = expectDone(await logs.run('partitions restore logs_2024_01 --dry-run'));
    execFileSync(findPsql() as string, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', logs.url], {
      input: stdout,
      stdio: ['pipe', 'ignore', 'pipe'],
    });

    expect([await logs.control(), await checksOf(logs, 'logs_2024_01')]).toEqual(before);
    const again = expectDone(await logs.run('partitions restore logs_2024_01 --json'));
    expect(again.json().rows).toMatchObject([{ way: 'there' }]);
    await logs.sql`INSERT INTO logs (id, at) VALUES (9999, '2024-01-05')`;
  }),
);

test(
  'while its table is there, a partition comes back without its archive being loaded, by path or by name',
  withOldLogs(async (logs) => {
    const before = [await logs.control(), await checksOf(logs, 'logs_2024_01')];
    await logs.sql`COMMENT ON TABLE logs_2024_01 IS 'the first month'`;
    await logs.retain();
    const file = () =>
      logs.sql`SELECT pg_relation_filenode(oid) AS node FROM pg_class WHERE relname IN ('logs_2024_01', 'logs_2024_02') ORDER BY relname`;
    const nodes = await file();

    expect(
      (await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --json`)).json().rows,
    ).toMatchObject([{ way: 'attach' }]);
    expectDone(await logs.run('partitions restore logs_2024_02'));

    expect(await file()).toEqual(nodes);
    expect([await logs.control(), await checksOf(logs, 'logs_2024_01')]).toEqual(before);
    const [comment] = await logs.sql`SELECT obj_description('logs_2024_01'::regclass) AS text`;
    expect(comment?.text).toMatch(/^the first month\n\{"eduschema":\{"restored"/);
    await logs.sql`INSERT INTO logs SELECT id + 10000, material_id, note, amount, raw, at FROM logs_2024_01 LIMIT 1`;
  }),
);

test(
  'a detached table that was not archived comes back by its name',
  withOldLogs(async (logs) => {
    const before = await logs.control();
    await logs.run('partitions retain logs --keep 24mo --yes');
    expectDone(await logs.run('partitions restore public.logs_2024_01'));
    expectDone(await logs.run('partitions restore public.logs_2024_01'));
    expect(await partitionsOf(logs)).toEqual(['logs_2024_01', 'logs_now']);
    expect(await logs.control()).toEqual(before);
    const nothing = await logs.run('partitions restore logs_1999_01');
    expect(nothing).toMatchObject({ exitCode: 2 });
    expect(nothing.stderr).toContain('no retired table of that name');
  }),
);

test(
  'what was brought back is left alone by retain: for ever, for a time, or until it is told',
  withOldLogs(async (logs) => {
    await logs.retain('--grace 0d');
    await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`);
    await logs.run(`partitions restore ${logs.archiveOf('logs_2024_02')} --for 30d`);

    expect(states(await logs.retain('--json'))).toEqual({
      'public.logs_2024_01': 'kept',
      'public.logs_2024_02': 'kept',
    });
    // Its archive is there already, and holds the same rows.
    expect(states(expectDone(await logs.retain('--restored --grace 0d --json')))).toEqual({
      'public.logs_2024_01': 'dropped detach archive drop',
      'public.logs_2024_02': 'dropped detach archive drop',
    });
    await logs.run(`partitions restore ${logs.archiveOf('logs_2024_02')} --for 0d`);
    expect(states(await logs.retain('--json'))).toEqual({ 'public.logs_2024_02': 'archived detach archive' });
  }),
);

test(
  'columns that came since get their default, and are kept when it is retired again beside the old archive',
  withOldLogs(async (logs) => {
    await logs.retain('--grace 0d');
    await logs.sql.unsafe(
      `ALTER TABLE logs ADD COLUMN kind text NOT NULL DEFAULT 'old', ADD COLUMN extra int, DROP COLUMN raw`,
    );
    const gone = await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --json`);
    expect(gone.json().error).toMatchObject({
      code: 'archive-differs',
      message: 'the rows do not fit into public.logs: it has no column raw any more',
    });

    await logs.sql`ALTER TABLE logs ADD COLUMN raw bytea`;
    expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`));
    expect(
      await logs.sql`SELECT count(*)::int, count(extra)::int AS extra, count(raw)::int AS raw, min(kind) AS kind FROM logs_2024_01`,
    ).toEqual([{ count: 500, extra: 0, raw: 500, kind: 'old' }]);

    const other = await logs.retain('--restored --json');
    expect(other.exitCode).toBe(1);
    expect(other.json().rows[0]?.obstacle).toMatchObject({
      problem: expect.stringContaining('has other columns than its archive'),
    });

    await logs.sql`ALTER TABLE logs ADD COLUMN must int`;
    await logs.sql`UPDATE logs SET must = 1`;
    await logs.sql`ALTER TABLE logs ALTER must SET NOT NULL`;
    const demanded = await logs.run(`partitions restore ${logs.archiveOf('logs_2024_02')}`);
    expect(demanded.stderr).toContain('its column must came since, takes no NULL and has no default');
  }),
);

test(
  'a retired table that is still there gets the columns that came since',
  withOldLogs(async (logs) => {
    await logs.retain();
    await logs.sql`ALTER TABLE logs ADD COLUMN kind text NOT NULL DEFAULT 'old'`;
    expectDone(await logs.run('partitions restore logs_2024_01'));
    expect(await logs.sql`SELECT kind, count(*)::int FROM logs_2024_01 GROUP BY 1`).toEqual([
      { kind: 'old', count: 500 },
    ]);
  }),
);

test(
  'rows whose material is gone are counted and named, nothing is left behind, and a table aside takes them',
  withOldLogs(async (logs) => {
    await logs.retain('--grace 0d');
    await logs.sql`DELETE FROM materials WHERE id IN (2, 3)`;

    const outcome = await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --json`);
    expect(outcome.exitCode).toBe(2);
    expect(outcome.json().error).toMatchObject({
      code: 'rows-orphaned',
      message: '144 rows refer to 2 rows of public.materials that are gone (logs_material_id_fkey: 2, 3)',
    });
    expect(await logs.sql`SELECT FROM pg_class WHERE relname = 'logs_2024_01'`).toHaveLength(0);

    const aside = expectDone(
      await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --into aside`),
    );
    expect(aside.stdout).toContain('public.aside has the 500 rows of the archive');
    expect(await logs.sql`SELECT FROM aside`).toHaveLength(500);
    expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --into aside`));
    const taken = await logs.run(`partitions restore ${logs.archiveOf('logs_2024_02')} --into aside --json`);
    expect(taken.json().error.code).toBe('partition-occupied');
  }),
);

test(
  'a month that was made again meanwhile is named, with its rows or without',
  withOldLogs(async (logs) => {
    await logs.retain('--grace 0d');
    await logs.sql`CREATE TABLE logs_winter PARTITION OF logs FOR VALUES FROM ('2024-01-15+09') TO ('2024-02-10+09')`;
    const line = `partitions restore ${logs.archiveOf('logs_2024_01')} --json`;

    const empty = (await logs.run(line)).json().error;
    expect(empty.code).toBe('partition-occupied');
    expect(empty.message).toMatch(/^public.logs_winter has that range now \(FROM .*\), and no rows$/);
    expect(empty.hint).toContain('drop it (DROP TABLE "public"."logs_winter")');
    await logs.sql`INSERT INTO logs VALUES (1, 1, '', 0, '', '2024-01-20+09')`;
    expect((await logs.run(line)).json().error.message).toContain('and rows in it');
    await logs.sql`DROP TABLE logs_winter`;
    await logs.sql`CREATE TABLE logs_2024_01 (x int)`;
    expect((await logs.run(line)).json().error.message).toBe(
      'there is a table public.logs_2024_01, which is not this partition',
    );
    await logs.sql`DROP TABLE logs_2024_01`;
    expectDone(await logs.run(line));
  }),
);

test(
  'rows that came late and wait in the default partition go into the one that is brought back',
  withOldLogs(
    async (logs) => {
      await logs.retain('--grace 0d');
      await logs.sql`INSERT INTO logs VALUES (9001, 1, 'late', 0, '', '2024-01-20+09'), (9002, 1, 'other', 0, '', '2023-01-20+09')`;
      expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`));
      expect(
        await logs.sql`SELECT tableoid::regclass::text AS t, count(*)::int FROM logs WHERE at < '2025-01-01' GROUP BY 1 ORDER BY 1`,
      ).toEqual([
        { t: 'logs_2024_01', count: 501 },
        { t: 'logs_default', count: 1 },
      ]);

      // With more rows than its archive it is not the same: the archive is not overwritten.
      const again = await logs.retain('--restored --json');
      expect(again.exitCode).toBe(1);
      expect(
        again.json().rows.find((row) => row.partition === 'public.logs_2024_01')?.obstacle,
      ).toMatchObject({
        problem: expect.stringContaining('holds 501 rows, its archive'),
      });
      renameSync(logs.archiveOf('logs_2024_01'), join(logs.folder, 'old'));
      expect(states(expectDone(await logs.retain('--json')))).toMatchObject({
        'public.logs_2024_01': 'archived archive',
      });
    },
    { withDefault: true },
  ),
);

test(
  'attaching reads no row of the table again, and fires nothing that counts or writes down',
  withOldLogs(async (logs) => {
    await logs.retain('--grace 0d');
    await logs.sql.unsafe(`
      CREATE TABLE fired (what text);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES (tg_op); RETURN NULL; END $$;
      CREATE TRIGGER whole AFTER INSERT ON logs REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION note();
      CREATE TRIGGER each AFTER INSERT ON logs FOR EACH ROW EXECUTE FUNCTION note()`);
    await logs.sql.unsafe(`ALTER DATABASE ${logs.name} SET client_min_messages = debug1`);

    const outcome = expectDone(
      await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')} --verbose`),
    );

    expect(outcome.stderr).toContain(
      'partition constraint for table "logs_2024_01" is implied by existing constraints',
    );
    expect(await logs.sql`SELECT FROM fired`).toHaveLength(0);
    expect(
      await logs.sql`SELECT tgname FROM pg_trigger WHERE tgrelid = 'logs_2024_01'::regclass AND NOT tgisinternal`,
    ).toEqual([{ tgname: 'each' }]);
  }),
);

test(
  'into another database the archive goes aside, where its table is not',
  withOldLogs(async (logs) => {
    await logs.retain('--grace 0d');
    await logs.sql`DROP TABLE logs`;
    const line = `partitions restore ${logs.archiveOf('logs_2024_01')}`;
    const missing = await logs.run(line);
    expect(missing.stderr).toContain('there is no table public.logs');
    expect(missing.stderr).toContain('--into <table>');
    expectDone(await logs.run(`${line} --into logs_2024_01`));
    expect(existsSync(logs.archiveOf('logs_2024_01'))).toBe(true);
  }),
);

test(
  'a partition of the education schema comes back with its owner, and with no rights of its own',
  withLibrary(async ({ sql, url }) =>
    withFolder({ 'a/x': '' }, async (cwd) => {
      const [id] = await addMaterials(sql, '하나');
      await sql`SELECT create_month_partitions('view_logs', 30, 0)`;
      await sql`INSERT INTO view_logs (material_id, viewed_at) VALUES (${id}, now() - interval '29 months')`;
      const run = (line: string) => eduschema(line, { cwd, env: { DATABASE_URL: url } });
      const outcome = await run(
        'partitions retain view_logs --keep 24mo --archive a --grace 0d --yes --json',
      );
      const back = outcome.json().rows.find((row) => row.rows === 1);

      expectDone(await run(`partitions restore ${back?.archive}`));

      const reachable = await sql`
        SELECT c.relname, r.rolname FROM pg_class c, pg_roles r
        WHERE c.relispartition AND c.relkind = 'r' AND r.rolname LIKE 'education\\_%' AND has_table_privilege(r.rolname, c.oid, 'select, insert, update, delete')`;
      expect(reachable).toEqual([]);
    }),
  ),
);

test(
  'beside a month that was brought back ensure makes none again that are older than is kept',
  withOldLogs(async (logs) => {
    await logs.sql.unsafe(`
      DROP TABLE logs_now;
      CREATE TABLE logs_2026_01 PARTITION OF logs FOR VALUES FROM ('2026-01-01+09') TO ('2026-02-01+09');
      COMMENT ON TABLE logs IS '{"eduschema":{"partitions":{"unit":"month","keep":"24mo"}}}'`);
    await logs.retain('--grace 0d');
    await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`);

    expectDone(await logs.run('partitions ensure logs'));

    const names = await partitionsOf(logs);
    expect(names).toContain('logs_2024_01');
    expect(names).not.toContain('logs_2024_02');
    expect(names).toContain('logs_2025_12');
    expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_02')}`));
  }),
);
