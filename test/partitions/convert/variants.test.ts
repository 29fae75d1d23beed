import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { eduschema } from '../../helpers/eduschema.ts';
import { findPsql } from '../../helpers/psql.ts';
import { plainShop, withShop } from './shop.ts';

describe('tables of every kind', () => {
  it.each([
    ['date', 'day', '2031-04-01'],
    ['timestamp', 'week', '2031-03-31'],
    ['timestamptz(0)', 'quarter', '2031-04-01'],
  ] as const)('by a %s, a %s each', async (type, unit, from) => {
    await withShop(
      `CREATE TABLE events (id int, item int, at ${type}); INSERT INTO events SELECT i, 1, now() - i * interval '1 day' FROM generate_series(1, 50) i`,
      async (shop) => {
        const before = await shop.catalogue();

        await shop.convert({ unit, from, zone: 'America/New_York', ahead: '1w' });

        await shop.sql.unsafe(
          `INSERT INTO events VALUES (51, 1, '2031-04-02 12:00'), (52, 1, '${from} 00:00 America/New_York')`,
        );
        const [newest] =
          await shop.sql`SELECT tableoid::regclass::text AS partition FROM events WHERE id = 52`;
        expect(newest?.partition).toMatch(/^events_2031/);
        await expect(shop.sql`INSERT INTO events VALUES (53, 1, NULL)`).rejects.toThrow('null value');
        const { moved } = await shop.undo();
        expect(moved).toBe(2);
        expect(await shop.catalogue()).toEqual(before);
        await shop.sql`INSERT INTO events VALUES (53, 1, NULL)`;
      },
    )();
  });

  it(
    'with names that need quotes, in Hangul, and as long as names can be',
    withShop('SELECT', async (shop) => {
      const table = { schema: '학교 "A"', name: '다운로드 기록 보관용 테이블"; --' };
      await shop.sql.unsafe(`CREATE SCHEMA "학교 ""A"""; SET search_path = "학교 ""A""";
        CREATE TABLE "다운로드 기록 보관용 테이블""; --" (
          "번호" bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT "기본 키가 되는 아주 긴 이름'의" PRIMARY KEY,
          "때 ""at""" timestamptz DEFAULT now(), "it's" text DEFAULT 'x''y', CONSTRAINT "언제나'참" CHECK ("it's" <> ''));
        CREATE INDEX "색인: a, b (c) USING d" ON "다운로드 기록 보관용 테이블""; --" ("it's" COLLATE "C", "때 ""at""");
        CREATE VIEW "보기" AS SELECT * FROM "다운로드 기록 보관용 테이블""; --";
        INSERT INTO "다운로드 기록 보관용 테이블""; --" ("it's") SELECT 'row ' || i FROM generate_series(1, 100) i; RESET search_path`);
      const before = await shop.catalogue();

      const { converted } = await shop.convert({ table, by: '때 "at"' });
      expect(Buffer.byteLength(converted[0]?.name.name ?? '')).toBeLessThanOrEqual(63);
      await shop.sql.unsafe(`INSERT INTO "학교 ""A"""."보기" ("it's") VALUES ('through the view')`);
      const outcome = await eduschema(
        ['partitions', 'undo', '"학교 ""A"""."다운로드 기록 보관용 테이블""; --"', '--yes'],
        {
          env: { DATABASE_URL: shop.url },
        },
      );

      expect(outcome).toMatchObject({ exitCode: 0 });
      expect(await shop.catalogue()).toEqual(before);
    }),
  );

  it(
    'by an owner who is no superuser, with policies that bind him, and rights that others change meanwhile',
    withShop(plainShop, async (shop) => {
      const [owner, reader] = [await shop.createUser(), await shop.createUser()];
      await shop.sql.unsafe(`GRANT CREATE ON SCHEMA public TO ${owner.name};
        ALTER DEFAULT PRIVILEGES FOR ROLE ${owner.name} GRANT SELECT ON TABLES TO ${reader.name};
        ALTER TABLE events OWNER TO ${owner.name}; ALTER TABLE items OWNER TO ${owner.name}; ALTER VIEW recent OWNER TO ${owner.name};
        GRANT SELECT, INSERT ON events TO ${reader.name};
        ALTER TABLE events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY few ON events USING (id % 2 = 0) WITH CHECK (id > 0)`);
      const asOwner = shop.as(owner.target);
      const before = await shop.catalogue();

      await asOwner.convert();
      await shop.sql.unsafe(`INSERT INTO events (item, at) SELECT 1, now() + i * interval '1 day' FROM generate_series(1, 200) i;
        REVOKE INSERT ON events FROM ${reader.name}; ALTER POLICY few ON events USING (id % 3 = 0)`);
      const [rights] =
        await shop.sql`SELECT string_agg(relname, ',') FILTER (WHERE has_table_privilege(${reader.name}, oid, 'SELECT')) AS tables
        FROM pg_class WHERE relname ~ '^events_2|^events_default'  AND relkind = 'r'`;
      expect(rights?.tables).toBeNull();
      const { moved } = await asOwner.undo();

      expect(moved).toBeGreaterThan(100);
      expect((await shop.contents()).count).toBe(2200);
      const changed = (line: string) =>
        line
          .replace(`${reader.name}=INSERT by ${owner.name}, `, '')
          .replace('(id % (2)::bigint)', '(id % (3)::bigint)');
      expect(await shop.catalogue()).toEqual(before.map(changed));
    }),
  );

  it(
    'that another table references by a key that stays',
    withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(`ALTER TABLE events ADD CONSTRAINT events_at UNIQUE (at, id);
        CREATE TABLE likes (event bigint, at timestamptz, CONSTRAINT of_event FOREIGN KEY (event, at) REFERENCES events (id, at) ON DELETE CASCADE);
        INSERT INTO likes SELECT id, at FROM events WHERE id <= 10`);
      const before = await shop.catalogue();

      await shop.convert();

      await expect(shop.sql`INSERT INTO likes VALUES (5, now())`).rejects.toThrow('of_event');
      await shop.sql`INSERT INTO likes SELECT id, at FROM events WHERE id = 11`;
      await shop.sql`DELETE FROM events WHERE id = 1`;
      expect(await shop.sql`SELECT count(*)::int AS count FROM likes`).toEqual([{ count: 10 }]);
      await shop.undo();
      expect(await shop.catalogue()).toEqual(before);
      await shop.sql`DELETE FROM events WHERE id = 2`;
      expect(await shop.sql`SELECT count(*)::int AS count FROM likes`).toEqual([{ count: 9 }]);
    }),
  );

  it(
    'that is published: subscribers go on to see one table',
    withShop(plainShop, async (shop) => {
      const modern = (await shop.describe()).server >= 150000;
      await shop.sql.unsafe(`CREATE PUBLICATION one FOR TABLE events${modern ? ' (id, at, item) WHERE (id > 5)' : ''}; CREATE PUBLICATION every FOR ALL TABLES;
        ALTER TABLE events REPLICA IDENTITY FULL`);
      const before = await shop.catalogue();
      const tables = () =>
        shop.sql`SELECT pubname, tablename FROM pg_publication_tables WHERE tablename ~ 'events' ORDER BY 1, 2`;
      const published = await tables();

      await shop.convert();

      expect(await tables()).toEqual(published);
      const partitions =
        await shop.sql`SELECT DISTINCT relreplident FROM pg_class WHERE relname ~ '^events' AND relkind IN ('r', 'p')`;
      expect(partitions).toEqual([{ relreplident: 'f' }]);
      await shop.undo();
      expect(await shop.catalogue()).toEqual(before);
      expect(await tables()).toEqual(published);
      const roots = await shop.sql`SELECT pubviaroot FROM pg_publication`;
      expect(roots.map(({ pubviaroot }) => pubviaroot)).toEqual([false, false]);
    }),
  );

  it(
    'whose replica identity is a key that gets the column',
    withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(`ALTER TABLE events ALTER note SET NOT NULL; UPDATE events SET note = note || id;
        CREATE UNIQUE INDEX events_note ON events (note); ALTER TABLE events REPLICA IDENTITY USING INDEX events_note; CLUSTER events USING events_note`);
      const before = await shop.catalogue();

      await shop.convert({ widen: ['events_note'] });

      const identities =
        await shop.sql`SELECT x.indrelid::regclass::text AS table, pg_get_indexdef(x.indexrelid) AS definition
        FROM pg_index x WHERE x.indisreplident ORDER BY 1`;
      expect(identities.length).toBeGreaterThan(3);
      for (const { definition } of identities) expect(definition).toMatch(/\(note, at\)$/);
      await shop.undo();
      expect(await shop.catalogue()).toEqual(before);
    }),
  );
});

describe('partitions convert and undo on the command line', () => {
  const psql = findPsql();

  it.skipIf(!psql)(
    '--dry-run prints SQL that psql runs, and that comes to the same',
    withShop(plainShop, async (shop) => {
      const env = { DATABASE_URL: shop.url };
      await shop.sql.unsafe(`CREATE MATERIALIZED VIEW per_item AS SELECT item, count(*) AS n FROM events GROUP BY item;
        CREATE UNIQUE INDEX per_item_key ON per_item (item); CREATE VIEW busy AS SELECT item FROM per_item WHERE n > 1`);
      const before = await shop.catalogue();
      const run = (script: string) =>
        execFileSync(psql as string, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', shop.url], {
          input: script,
          stdio: ['pipe', 'ignore', 'pipe'],
        });

      const there = await eduschema('partitions convert events --by at --dry-run', { env });
      expect(await shop.catalogue()).toEqual(before);
      run(there.stdout);
      const byHand = await shop.catalogue();
      const back = await eduschema('partitions undo events --dry-run', { env });
      await eduschema('partitions undo events --yes', { env });
      expect(await shop.catalogue()).toEqual(before);
      await eduschema('partitions convert events --by at --yes', { env });

      expect(await shop.catalogue()).toEqual(byHand);
      run(back.stdout);
      expect(await shop.catalogue()).toEqual(before);
      expect(there.stdout).toMatch(
        /-- locks ACCESS EXCLUSIVE on public\.events\n-- waits for whoever reads or writes public\.events\nLOCK TABLE/,
      );
      expect(there.stdout).toContain(
        '-- the primary key (id) becomes (id, at): ON CONFLICT (id) fails from then on',
      );
    }),
    60_000,
  );

  it(
    'asks first, and says what changes for others',
    withShop(plainShop, async (shop) => {
      const env = { DATABASE_URL: shop.url };

      const refused = await eduschema('partitions convert events --by at', { env });
      const answered = await eduschema('partitions convert events --by at', { env, answer: 'yes' });
      const again = await eduschema('partitions convert events --by at --yes --json', { env });

      expect(refused).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('ON CONFLICT (id) fails from then on'),
      });
      expect(answered).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(
          /public\.events is partitioned, with \d partitions; its rows stay in events_before/,
        ),
      });
      expect(again.json()).toMatchObject({ ok: true, rows: [], summary: { table: 'public.events' } });
      const first = again.json().summary.first as Record<string, unknown>;
      expect(first.fileNode).toBe(first.fileNodeBefore);
    }),
  );

  it(
    'undo of what was never begun does nothing',
    withShop(plainShop, async (shop) => {
      const outcome = await eduschema('partitions undo events --yes', { env: { DATABASE_URL: shop.url } });

      expect(outcome).toMatchObject({
        exitCode: 0,
        stdout: 'nothing to do: public.events is not partitioned, and no conversion is under way\n',
      });
    }),
  );

  it(
    'says what is wrong with the command line',
    withShop(plainShop, async (shop) => {
      const env = { DATABASE_URL: shop.url };

      expect(await eduschema('partitions convert events', { env })).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('--by'),
      });
      expect(await eduschema('partitions convert events --by at --unit hour', { env })).toMatchObject({
        exitCode: 2,
      });
      expect(await eduschema('partitions undo nothing --yes', { env })).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('there is no table public.nothing'),
      });
    }),
  );
});
