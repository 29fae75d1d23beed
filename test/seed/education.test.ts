import { describe, expect, it } from 'vitest';
import { checksumOf, countRows, few, withSeeds, wrongCounters } from './education.ts';

/** What a table of the manifest says again from the database. */
const queries: Record<string, string> = {
  users:
    'SELECT id, username, email, full_name, department, position, is_admin, is_active, last_login, created_at, updated_at FROM users ORDER BY id',
  user_permissions:
    'SELECT user_id, permission_id, granted_at, granted_by FROM user_permissions ORDER BY user_id, permission_id',
  materials: `SELECT id, title, description, category_id, file_path, file_name, original_file_name, file_size, mime_type,
                     difficulty_level, estimated_time, uploaded_by, is_featured, is_active, view_count, download_count, created_at, updated_at
              FROM materials ORDER BY id`,
  material_tags: 'SELECT material_id, tag_id FROM material_tags ORDER BY material_id, tag_id',
  download_logs:
    'SELECT id, material_id, user_ip, user_agent, download_at, referer_url, session_id FROM download_logs ORDER BY id',
  view_logs:
    'SELECT id, material_id, user_ip, user_agent, viewed_at, session_id, view_duration FROM view_logs ORDER BY id',
};

describe('eduschema seed', () => {
  it(
    'makes the default of a day, the same on every server, and the database has it byte for byte',
    withSeeds(async ({ sql, seed }) => {
      const { exitCode, json } = await seed('--as-of 2026-11-01 --json');

      expect(exitCode).toBe(0);
      const manifest = json().rows.map(({ table, rows, checksum }) => [table, rows, checksum]);
      expect(manifest).toMatchInlineSnapshot(`
        [
          [
            "users",
            250,
            "fe3ee542888963c316ec52fcf504bdc6f22c4a4dbc252da801eea675bb463666",
          ],
          [
            "user_permissions",
            622,
            "4c25a0008119767589101d7314a34e0c900df4b6f2f63e3e726ffaf6e5aa56a3",
          ],
          [
            "tags",
            45,
            null,
          ],
          [
            "materials",
            10000,
            "39b6994e4e161564fe4e41dda7b5ccf21f3c2f91525ae348dc8230cccdf1a3ca",
          ],
          [
            "material_tags",
            32510,
            "5e32142dbd960a2a416ea0713538ebde9ebeaaa41b692d22ef8461444424b41a",
          ],
          [
            "download_logs",
            50000,
            "bc0e86dbb23863e699dc4faf355368a3ffec2d5b65efeb8188f6d7a8d16e8ed8",
          ],
          [
            "view_logs",
            300000,
            "3b11001af5da0466e4c194ada29709de49d9765db77bf9f34d293bdb51a96da4",
          ],
        ]
      `);
      for (const [table, , checksum] of manifest)
        if (queries[String(table)])
          expect(await checksumOf(sql, queries[String(table)] ?? ''), String(table)).toBe(checksum);
      expect(await countRows(sql)).toMatchObject({
        materials: 10_000,
        download_logs: 50_000,
        view_logs: 300_000,
      });
      expect(await wrongCounters(sql)).toEqual([]);
    }),
    300_000,
  );

  it(
    'is believable: unequal categories, hours of work, seasons, favourites, and nothing before it was there',
    withSeeds(async ({ sql, seed }) => {
      await seed('--materials 2000 --downloads 20000 --views 20000 --as-of 2026-11-01');
      const one = async (query: string) => Object.values((await sql.unsafe(query))[0] ?? {})[0];

      const shares = await sql`
        SELECT name, count(*)::int AS n FROM materials m JOIN categories c ON c.id = category_id GROUP BY 1 ORDER BY 2 DESC`;
      expect(shares).toHaveLength(6);
      expect(shares[0]?.n).toBeGreaterThan(3 * (shares[5]?.n ?? 0));
      const atWork = await one(
        `SELECT avg((extract(hour FROM download_at AT TIME ZONE 'Asia/Seoul') BETWEEN 8 AND 18)::int)::float8 FROM download_logs`,
      );
      expect(atWork).toBeGreaterThan(0.75);
      const weekend = await one(
        `SELECT avg((extract(isodow FROM viewed_at AT TIME ZONE 'Asia/Seoul') > 5)::int)::float8 FROM view_logs`,
      );
      expect(weekend).toBeLessThan(0.1);
      const topTenth = await one(
        `SELECT sum(n) / 20000 FROM (SELECT count(*)::float8 AS n FROM download_logs GROUP BY material_id ORDER BY 1 DESC LIMIT 200) t`,
      );
      expect(topTenth).toBeGreaterThan(0.6);
      // Who is downloaded much is looked at much.
      expect(await one('SELECT corr(download_count, view_count) FROM materials')).toBeGreaterThan(0.9);
      const months = await sql<{ n: number }[]>`
        SELECT count(*)::int AS n FROM view_logs GROUP BY date_trunc('month', viewed_at AT TIME ZONE 'Asia/Seoul') ORDER BY date_trunc('month', viewed_at AT TIME ZONE 'Asia/Seoul')`;
      expect(months[1]?.n).toBeGreaterThan(1.3 * (months[0]?.n ?? 0));
      const inOrder = await one(
        'SELECT avg((at >= before)::int)::float8 FROM (SELECT download_at AS at, lag(download_at) OVER (ORDER BY id) AS before FROM download_logs) t',
      );
      expect(inOrder).toBeGreaterThan(0.98);
      expect(inOrder).toBeLessThan(1);

      expect(
        await sql`SELECT l.id FROM download_logs l JOIN materials m ON m.id = material_id WHERE m.created_at > download_at`,
      ).toEqual([]);
      expect(
        await sql`SELECT m.id FROM materials m JOIN users u ON u.id = uploaded_by WHERE u.created_at > m.created_at`,
      ).toEqual([]);
      expect(
        await sql`SELECT id FROM materials WHERE updated_at < created_at OR created_at >= '2026-11-01 00:00+09'
                  UNION ALL SELECT id FROM users WHERE last_login < created_at OR updated_at >= '2026-11-01 00:00+09'`,
      ).toEqual([]);
      expect(
        await sql`SELECT min(download_at) >= timestamptz '2026-11-01 00:00+09' - interval '90 days' AS begins,
                         max(download_at) < '2026-11-01 00:00+09' AS ends FROM download_logs`,
      ).toEqual([{ begins: true, ends: true }]);
      expect(
        await sql`SELECT id FROM materials WHERE mime_type = 'video/mp4' AND file_size < 12000000 OR file_name NOT LIKE '%.' || reverse(split_part(reverse(original_file_name), '.', 1))`,
      ).toEqual([]);
    }),
    120_000,
  );

  it(
    'gives no two materials the same title, whatever way titles are compared',
    withSeeds(async ({ sql, seed }) => {
      await seed('--materials 8000 --downloads 0 --as-of 2026-11-01');

      expect(
        await sql`
          SELECT lower(regexp_replace(normalize(title, NFKC), '^\\d{4}년 |\\s+', '', 'g')) AS same FROM materials GROUP BY 1 HAVING count(*) > 1`,
      ).toEqual([]);
      expect(await sql`SELECT id FROM materials WHERE title IS NOT NFC NORMALIZED`).toEqual([]);
    }),
    120_000,
  );

  it(
    'leaves partitions, sequences, statistics, the popular ones and the audit log as they should be',
    withSeeds(async ({ sql, seed }) => {
      expect(
        (await seed('--materials 300 --downloads 2000 --views 3000 --as-of 2025-03-15 --days 200')).exitCode,
      ).toBe(0);

      const counts = await countRows(sql);
      expect(
        await sql`SELECT FROM download_logs_default UNION ALL SELECT FROM view_logs_default`,
      ).toHaveLength(0);
      const [next] = await sql`
        SELECT nextval('download_logs_id_seq')::int AS downloads, nextval('view_logs_id_seq')::int AS views,
               nextval(pg_get_serial_sequence('materials', 'id'))::int AS materials, nextval(pg_get_serial_sequence('users', 'id'))::int AS users`;
      expect(next).toEqual({ downloads: 2001, views: 3001, materials: 301, users: 9 });
      const [plain] = await sql`
        SELECT (SELECT reltuples::int FROM pg_class WHERE oid = 'materials'::regclass) AS materials,
               (SELECT sum(reltuples)::int FROM pg_class c JOIN pg_inherits i ON inhrelid = c.oid
                WHERE inhparent = 'view_logs'::regclass AND reltuples > 0) AS views,
               (SELECT count(*)::int > 0 FROM pg_stats WHERE tablename = 'view_logs' AND inherited) AS inherited,
               (SELECT count(*)::int > 0 FROM pg_stats WHERE tablename = 'audit_log' AND inherited) AS audited`;
      expect(plain).toEqual({ materials: 300, views: 3000, inherited: true, audited: true });
      expect(await sql`SELECT count(*)::int AS n FROM popular_materials`).toEqual(
        await sql`SELECT count(*)::int AS n FROM materials WHERE is_active`,
      );
      const audited = await sql`
        SELECT table_name, operation, count(*)::int AS n FROM audit_log WHERE table_name <> 'permissions' AND table_name <> 'categories' GROUP BY 1, 2 ORDER BY 1`;
      expect(audited).toEqual(
        ['material_tags', 'materials', 'tags', 'user_permissions', 'users'].map((table) => ({
          table_name: table,
          operation: 'INSERT',
          n: counts[table],
        })),
      );
      expect(
        await sql`SELECT a.row_key FROM audit_log a JOIN materials m ON m.id::text = a.row_key
                  WHERE a.table_name = 'materials' AND (a.new_values ->> 'title' IS DISTINCT FROM m.title
                     OR (a.new_values ->> 'download_count')::int <> m.download_count)`,
      ).toEqual([]);
      expect(await sql`SELECT alert_type FROM check_db_health() WHERE alert_type LIKE '%Partition%'`).toEqual(
        [],
      );
    }),
  );

  it(
    'gives the same rows again after a reset, and other ones with another seed',
    withSeeds(async ({ seed }) => {
      const manifest = async (line: string) =>
        (await seed(`${line} --json`))
          .json()
          .rows.map(({ table, rows, checksum }) => [table, rows, checksum]);
      const first = await manifest(few);

      await seed('--reset --yes');
      expect(await manifest(few)).toEqual(first);
      await seed('--reset --yes');
      const other = await manifest(`${few} --seed 2`);
      expect(other.map(([table, rows]) => [table, rows])).not.toEqual([]);
      for (const [index, [table, , checksum]] of other.entries())
        if (checksum !== null) expect(checksum, String(table)).not.toBe(first[index]?.[2]);
    }),
    120_000,
  );

  it(
    'does nothing again when it was done, and refuses to do something else',
    withSeeds(async ({ sql, seed }) => {
      const first = await seed(`${few} --json`);
      const again = await seed('--json');
      const otherwise = await seed('--materials 301');

      expect(again.exitCode).toBe(0);
      expect(
        again.json().rows.map(({ table, rows, checksum, state }) => [table, rows, checksum, state]),
      ).toEqual(
        first.json().rows.map(({ table, rows, checksum }) => [table, rows, checksum, 'there already']),
      );
      expect((await seed('')).stdout).toContain('nothing to do: all seeds are there already');
      expect(otherwise.exitCode).toBe(2);
      expect(otherwise.stderr).toContain('education is seeded already, with materials 300, not 301');
      expect(await countRows(sql)).toMatchObject({ materials: 300, download_logs: 2000, view_logs: 3000 });
    }),
  );

  it(
    'keeps the rows that were there, and takes other keys',
    withSeeds(async ({ sql, seed }) => {
      await sql`INSERT INTO users (username, email) VALUES ('anna', 'anna@example.com')`;
      await sql`INSERT INTO tags (name) VALUES ('EXCEL'), ('my own')`;
      await sql`INSERT INTO materials (id, title) VALUES (9007199254740995, 'mine'), (12, 'mine too')`;
      await sql`SELECT setval(pg_get_serial_sequence('materials', 'id'), 12)`;
      await sql`INSERT INTO download_logs (material_id) VALUES (12), (12)`;
      const own = () =>
        sql`SELECT id, title, download_count, updated_at FROM materials WHERE title LIKE 'mine%' ORDER BY id`;
      const before = await own();

      expect((await seed()).exitCode).toBe(0);
      expect(await own()).toEqual(before);
      expect(await sql`SELECT count(*)::int AS n FROM tags WHERE lower(name) = 'excel'`).toEqual([{ n: 1 }]);
      expect(
        await sql`SELECT min(id)::text AS least, count(*)::int AS n FROM materials WHERE title NOT LIKE 'mine%'`,
      ).toEqual([{ least: '9007199254740996', n: 300 }]);
      expect(await wrongCounters(sql)).toEqual([]);
      await sql`INSERT INTO materials (title) VALUES ('mine, later')`;
      await sql`INSERT INTO download_logs (material_id) SELECT max(id) FROM materials`;

      expect((await seed('--reset --yes')).exitCode).toBe(0);
      expect(await countRows(sql)).toMatchObject({
        materials: 3,
        users: 1,
        tags: 2,
        download_logs: 3,
        view_logs: 0,
      });
      expect((await own()).slice(0, 2)).toEqual(before);
    }),
  );

  it(
    'adds more, to the same library and to the same counters',
    withSeeds(async ({ sql, seed }) => {
      await seed();
      const added = await seed('--append --downloads 500 --json');
      const more = await seed('--append --materials 100 --views 700 --downloads 0 --days 30 --json');

      expect(added.json().rows.map(({ table, rows, run }) => [table, rows, run])).toEqual(
        expect.arrayContaining([
          ['download_logs', 500, 2],
          ['view_logs', 3000, 2],
          ['materials', 0, 2],
        ]),
      );
      expect(more.exitCode).toBe(0);
      expect(await countRows(sql)).toMatchObject({ materials: 400, download_logs: 2500, view_logs: 6700 });
      expect(await wrongCounters(sql)).toEqual([]);
      expect(await sql`SELECT count(DISTINCT material_id) > 300 AS also_new FROM view_logs`).toEqual([
        { also_new: true },
      ]);
      expect(
        await sql`SELECT l.id FROM download_logs l JOIN materials m ON m.id = material_id WHERE m.created_at > download_at`,
      ).toEqual([]);
      // Counters are no change of a material.
      expect(await sql`SELECT count(*)::int AS n FROM audit_log WHERE operation = 'UPDATE'`).toEqual([
        { n: 0 },
      ]);

      expect((await seed('--append')).stderr).toContain('--append does not say what to add');
      expect((await seed('--reset --yes')).exitCode).toBe(0);
      expect(await countRows(sql)).toMatchObject({ materials: 0, users: 0, download_logs: 0, view_logs: 0 });
    }),
    120_000,
  );

  it(
    'makes duplicates of every kind and old tags, and says which',
    withSeeds(async ({ sql, seed }) => {
      const { exitCode } = await seed(
        '--materials 2000 --downloads 500 --views 0 --dirty 3% --as-of 2026-11-01',
      );
      expect(exitCode).toBe(0);

      const kinds = await sql<{ kind: string; n: number }[]>`
        SELECT kind, count(*)::int AS n FROM seeded_dirt WHERE table_name = 'materials' GROUP BY 1 ORDER BY 1`;
      expect(kinds.map(({ kind }) => kind)).toEqual([
        'case',
        'exact',
        'full-width',
        'mixed',
        'nfd',
        'spaces',
      ]);
      expect(kinds.reduce((sum, { n }) => sum + n, 0)).toBe(60);
      const key = (title: string) => `lower(regexp_replace(normalize(${title}, NFKC), '\\s+', '', 'g'))`;
      expect(
        await sql.unsafe(
          `SELECT d.* FROM seeded_dirt d JOIN materials m ON m.id = d.row_id JOIN materials o ON o.id = d.original_id
           WHERE ${key('m.title')} <> ${key('o.title')} OR lower(m.file_name) <> lower(o.file_name) OR o.id >= m.id
              OR (m.title = o.title AND m.file_name = o.file_name) <> (d.kind = 'exact')`,
        ),
      ).toEqual([]);
      // No other duplicates than these, and no dirty original.
      const [found] = await sql.unsafe<{ groups: number; more: number }[]>(
        `SELECT count(*)::int AS groups, sum(n - 1)::int AS more FROM (SELECT count(*) AS n FROM materials GROUP BY ${key('title')}, lower(file_name) HAVING count(*) > 1) t`,
      );
      expect(found?.more).toBe(60);
      expect(
        await sql`SELECT FROM seeded_dirt a JOIN seeded_dirt b ON b.row_id = a.original_id AND b.table_name = 'materials'`,
      ).toHaveLength(0);

      const old = await sql<{ kind: string; n: number }[]>`
        SELECT kind, count(*)::int AS n FROM seeded_dirt WHERE table_name = 'materials_old' GROUP BY 1 ORDER BY 1`;
      expect(old).toHaveLength(10);
      expect(await sql`SELECT count(*)::int AS n FROM materials_old o JOIN materials m USING (id)`).toEqual([
        { n: 400 },
      ]);
      expect(
        await sql`SELECT d.kind FROM seeded_dirt d JOIN materials_old o ON o.id = d.row_id
                  WHERE d.table_name = 'materials_old' AND d.kind = 'plain'
                    AND (SELECT array_agg(btrim(t, E' \\n') ORDER BY n) FROM regexp_split_to_table(o.tags_string, ' / |[,，、;|\\n]') WITH ORDINALITY s (t, n)) IS DISTINCT FROM d.expected`,
      ).toEqual([]);
      expect(
        await sql`SELECT count(*)::int > 0 AS some FROM materials_old WHERE tags_string IS NULL`,
      ).toEqual([{ some: true }]);

      await seed('--reset --yes');
      expect(
        await sql`SELECT to_regclass('materials_old') AS old, to_regclass('seeded_dirt') AS dirt`,
      ).toEqual([{ old: null, dirt: null }]);
    }),
    120_000,
  );

  it(
    'has as much as is asked, down to nothing',
    withSeeds(async ({ sql, seed }) => {
      expect((await seed('--materials 0 --downloads 0')).exitCode).toBe(0);
      expect(await countRows(sql)).toMatchObject({ materials: 0, users: 0, download_logs: 0, view_logs: 0 });
      await seed('--reset --yes');

      expect((await seed('--materials 1 --downloads 3 --views 0 --days 1 --as-of 2026-11-01')).exitCode).toBe(
        0,
      );
      expect(await countRows(sql)).toMatchObject({ materials: 1, users: 1, download_logs: 3, view_logs: 0 });
      expect(await wrongCounters(sql)).toEqual([]);
    }),
  );
});
