import fc from 'fast-check';
import type postgres from 'postgres';
import { describe, expect, test } from 'vitest';
import { migrate } from '../../src/index.ts';
import { withDatabase } from '../helpers/database.ts';
import { addMaterials, asRole, withLibrary } from './library.ts';

const titlesOf = async (sql: postgres.Sql | postgres.TransactionSql, query: string) =>
  (await sql<{ title: string }[]>`SELECT title FROM search_materials(${query}, 0) ORDER BY title`).map(
    (row) => row.title,
  );

describe('search_materials finds', () => {
  const shelf = [
    '개인정보 보호',
    '신입사원 교육',
    '평생교육 100%',
    'Excel_실무',
    String.raw`C:\자료`,
    "O'Neill & 팀",
    '安全 教育 😀',
    'A B',
  ];
  const cases: readonly [query: string, titles: readonly string[]][] = [
    ['교', ['신입사원 교육', '평생교육 100%']],
    ['교육', ['신입사원 교육', '평생교육 100%']],
    ['생교육', ['평생교육 100%']],
    ['인정', ['개인정보 보호']],
    ['보 보', ['개인정보 보호']],
    ['개인정보', ['개인정보 보호']],
    ['excel', ['Excel_실무']],
    ['EXCEL_실', ['Excel_실무']],
    ['l실', []],
    ['%', ['평생교육 100%']],
    ['0%', ['평생교육 100%']],
    ['교%육', []],
    ['_', ['Excel_실무']],
    ['\\', [String.raw`C:\자료`]],
    [':\\자', [String.raw`C:\자료`]],
    ["'", ["O'Neill & 팀"]],
    ["o'n", ["O'Neill & 팀"]],
    ['& ', ["O'Neill & 팀"]],
    ['教', ['安全 教育 😀']],
    ['😀', ['安全 教育 😀']],
    ['복지', []],
    ['\n', []],
    ['', shelf],
  ];

  test(
    'words of any length, and %, _ and \\ as themselves',
    withLibrary(async ({ sql }) => {
      await addMaterials(sql, ...shelf);
      for (const [query, titles] of cases) {
        expect(await titlesOf(sql, query), `query ${query}`).toEqual([...titles].sort());
      }
    }),
  );

  test(
    'composed and decomposed Hangul alike, in title and description',
    withLibrary(async ({ sql }) => {
      await sql`INSERT INTO materials (title, description) VALUES (normalize('교육 과정', NFD), null), ('맥에서', normalize('한글 교육', NFD)), ('윈도', '교육')`;
      expect(await sql`SELECT in_title FROM search_materials('교육') ORDER BY id`).toEqual([
        { in_title: true },
        { in_title: false },
        { in_title: false },
      ]);
      expect(await sql`SELECT FROM search_materials(normalize('교육', NFD))`).toHaveLength(3);
    }),
  );

  test(
    'longer texts also where many rows before them have but their pairs',
    withLibrary(async ({ sql }) => {
      // 정보보호 has the pairs 정보, 보보 and 보호; so do the others, which do not hold it.
      await sql`
        INSERT INTO materials (title, download_count)
        SELECT CASE WHEN n IN (7, 230, 231, 400) THEN '정보보호 ' ELSE '보보 정보 보호 ' END || n, 1000 - n FROM generate_series(1, 500) n`;
      for (const limit of [1, 2, 3, 4, 20, 60, 0]) {
        const found = await sql<
          { title: string }[]
        >`SELECT title FROM search_materials('정보보호', ${limit})`;
        expect(
          found.map(({ title }) => title),
          `limit ${limit}`,
        ).toEqual(
          ['정보보호 7', '정보보호 230', '정보보호 231', '정보보호 400'].slice(0, limit || undefined),
        );
      }
    }),
  );

  test(
    'the twenty most downloaded of a frequent, a rare and a missing word, whoever has how many downloads',
    withLibrary(async ({ sql }) => {
      // A few in each power of two, with equal counts among them, most without a download; 복지 in rows of the last alone.
      await sql`
        INSERT INTO materials (title, description, is_active, download_count)
        SELECT CASE WHEN n % 2 = 0 THEN '교육 ' ELSE '과정 ' END || n, CASE WHEN n > 2900 THEN '사내 복지' WHEN n % 97 = 0 THEN '개인정보' END, n % 31 <> 0,
               CASE WHEN n < 1200 THEN 100000 / (1 + n * n / 7) ELSE 0 END
        FROM generate_series(0, 3000) n`;
      for (const query of ['교육', '정', '복지', '개인정보', '육 1', '없음', '']) {
        for (const limit of [1, 2, 20, 100, 1000, 0]) {
          const found = await sql`SELECT id FROM search_materials(${query}, ${limit})`;
          const wanted = await sql`
            SELECT id FROM materials WHERE is_active AND (strpos(title, ${query}) > 0 OR strpos(description, ${query}) > 0)
            ORDER BY download_count DESC, id DESC LIMIT ${limit === 0 ? null : limit}`;
          expect(
            found.map(({ id }) => id),
            `${query}, limit ${limit}`,
          ).toEqual(wanted.map(({ id }) => id));
        }
      }
    }),
  );

  test(
    'them by an index that few downloads write to: the others stay within their page',
    withLibrary(async ({ sql }) => {
      const [id] = await addMaterials(sql, '교육');
      for (let n = 0; n < 70; n++) await sql`INSERT INTO download_logs (material_id) VALUES (${id})`;

      expect(await sql`SELECT download_count, download_magnitude FROM materials`).toEqual([
        { download_count: '70', download_magnitude: 7 },
      ]);
      await sql`SELECT pg_stat_force_next_flush()`.catch(() => sql`SELECT pg_sleep(1.2)`);
      const [{ others } = {}] =
        await sql`SELECT n_tup_upd - n_tup_hot_upd AS others FROM pg_stat_user_tables WHERE relname = 'materials'`;
      // One for each power of two up to 64.
      expect(Number(others)).toBe(7);
      await sql`UPDATE materials SET download_count = 5000`;
      expect(
        await sql`SELECT FROM audit_log WHERE table_name = 'materials' AND operation = 'UPDATE'`,
      ).toHaveLength(0);
    }),
  );

  test(
    'the most downloaded first, as many as asked, with the category',
    withLibrary(async ({ sql }) => {
      const [, second, third] = await addMaterials(sql, '교육 하나', '교육 둘', '교육 셋');
      await sql`INSERT INTO download_logs (material_id) VALUES (${second}), (${second}), (${third})`;
      expect(await sql`SELECT title, category_name, download_count FROM search_materials('교육', 2)`).toEqual(
        [
          { title: '교육 둘', category_name: '신입사원 교육', download_count: '2' },
          { title: '교육 셋', category_name: '신입사원 교육', download_count: '1' },
        ],
      );
    }),
  );
});

/** Few letters, so that queries hit: Hangul in both forms, lone jamo, both cases, digits, wildcards, white space. */
const letter = fc.constantFrom(
  ...'교육과정각가',
  ...'교각'.normalize('NFD'),
  'ㅋ',
  'ㅠ',
  ...'aAbB1%_\\\'":&|!*',
  'É',
  'é',
  'é'.normalize('NFD'),
  ' ',
  '\n',
  '\t',
  '\u0002',
  '😀',
  'ß',
  'İ',
);
const text = (maxLength: number) => fc.array(letter, { maxLength }).map((letters) => letters.join(''));

test(
  'search_materials finds exactly what ILIKE over the normalised texts finds',
  withLibrary(async ({ sql }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(text(12), fc.option(text(20))), { minLength: 1, maxLength: 60 }),
        fc.array(text(5), { minLength: 10, maxLength: 30 }),
        async (rows, queries) => {
          await sql`DELETE FROM materials`;
          await sql`
            INSERT INTO materials (title, description)
            SELECT 't' || title, description FROM unnest(${rows.map(([title]) => title)}::text[], ${rows.map(([, description]) => description)}::text[]) r (title, description)`;
          const missedOrInvented = await sql`
            SELECT q FROM unnest(${queries}::text[]) q,
                   LATERAL (SELECT '%' || regexp_replace(normalize(q), '([%_\\\\])', '\\\\\\1', 'g') || '%') p (pattern)
             WHERE (SELECT array_agg(id ORDER BY id) FROM materials WHERE normalize(title) ILIKE pattern OR normalize(description) ILIKE pattern)
                   IS DISTINCT FROM (SELECT array_agg(id ORDER BY id) FROM search_materials(q, 0))`;
          expect(missedOrInvented).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  }),
);

test(
  'needs no extension and no locale: the same in a database of locale C',
  withDatabase(async ({ url, name, sql }) => {
    const plain = `${name}_c`;
    await sql.unsafe(
      `CREATE DATABASE ${plain} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
    );
    const inPlain = new URL(url);
    inPlain.pathname = `/${plain}`;
    const { default: connect } = await import('postgres');
    const other = connect(inPlain.href, { onnotice: () => {} });
    try {
      await migrate({ url: inPlain.href, directory: 'migrations' });
      await addMaterials(other, '평생교육 Excel', '각');
      expect(await titlesOf(other, '교')).toEqual(['평생교육 Excel']);
      expect(await titlesOf(other, '교육')).toEqual(['평생교육 Excel']);
      expect(await titlesOf(other, '생교육 e')).toEqual(['평생교육 Excel']);
      expect(await titlesOf(other, '가')).toEqual([]);
      expect(await other`SELECT extname FROM pg_extension`).toEqual([{ extname: 'plpgsql' }]);
    } finally {
      await other.end({ timeout: 1 });
      await sql.unsafe(`DROP DATABASE ${plain} WITH (FORCE)`);
    }
  }),
);

test(
  'search asks the index, also for a role behind the row policies',
  withLibrary(async ({ sql }) => {
    await sql`INSERT INTO materials (title, description) SELECT '자료 ' || i, md5(i::text) || CASE WHEN i = 777 THEN ' 복지' ELSE ' 교육' END FROM generate_series(1, 5000) i`;
    await sql.unsafe('ANALYZE materials');
    for (const query of ['복', '복지', '777', '없는 낱말']) {
      const [plan] = await sql`
        EXPLAIN (FORMAT json) SELECT id FROM materials WHERE material_search_pairs(title, description) @@ search_query(search_text(${query}))`;
      expect(JSON.stringify(plan), query).toContain('idx_materials_search');
    }

    await asRole(sql, 'education_app', async (app) => {
      const used = async () =>
        (await app`SELECT pg_stat_get_xact_numscans('idx_materials_search'::regclass)::int AS n`)[0]?.n;
      const before = await used();
      expect(await titlesOf(app, '복지')).toEqual(['자료 777']);
      expect(await used()).toBe(before + 1);
    });
  }),
);
