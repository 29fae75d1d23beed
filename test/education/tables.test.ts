import { describe, expect, test } from 'vitest';
import { addMaterials, withLibrary } from './library.ts';

describe('what the tables refuse', () => {
  const refused: readonly [what: string, sql: string, constraint: string][] = [
    [
      'a file over 100 MB',
      `INSERT INTO materials (title, file_size) VALUES ('a', 104857601)`,
      'materials_file_size_at_most_100_mb',
    ],
    [
      'a file of negative size',
      `INSERT INTO materials (title, file_size) VALUES ('a', -1)`,
      'materials_file_size_not_negative',
    ],
    [
      'a difficulty of 6',
      `INSERT INTO materials (title, difficulty_level) VALUES ('a', 6)`,
      'materials_difficulty_level_1_to_5',
    ],
    ['a blank title', `INSERT INTO materials (title) VALUES ('  ')`, 'materials_title_not_blank'],
    [
      'a category that is not there',
      `INSERT INTO materials (title, category_id) VALUES ('a', 999)`,
      'materials_category_id_fkey',
    ],
    ['a tag in other case', `INSERT INTO tags (name) VALUES ('Excel'), ('EXCEL')`, 'tags_name_key'],
    [
      'a tag in other Unicode form',
      `INSERT INTO tags (name) VALUES ('교육'), (normalize('교육', NFD))`,
      'tags_name_key',
    ],
    ['a tag with spaces around it', `INSERT INTO tags (name) VALUES (' 교육')`, 'tags_name_trimmed'],
    [
      'a permission in other case',
      `INSERT INTO permissions (name) VALUES ('Materials.View')`,
      'permissions_name_key',
    ],
    [
      'a colour that is none',
      `INSERT INTO categories (name, color) VALUES ('a', 'red')`,
      'categories_color_is_hex',
    ],
    [
      'an address without @',
      `INSERT INTO users (username, email) VALUES ('a', 'b')`,
      'users_email_has_at_sign',
    ],
  ];

  test(
    'is named by its constraint',
    withLibrary(async ({ sql }) => {
      for (const [what, statement, constraint] of refused) {
        await expect(sql.unsafe(statement), what).rejects.toMatchObject({ constraint_name: constraint });
      }
      await sql`INSERT INTO materials (title, file_size) VALUES ('정확히 100 MB', 104857600)`;
    }),
  );
});

test(
  'six categories and the permissions are there, once',
  withLibrary(async ({ sql }) => {
    const categories = await sql<{ name: string }[]>`SELECT name FROM categories ORDER BY sort_order`;

    expect(categories.map((row) => row.name)).toEqual([
      '신입사원 교육',
      '리더십',
      '컴플라이언스',
      'IT 기술',
      '비즈니스 스킬',
      '안전 교육',
    ]);
    expect(await sql`SELECT FROM permissions`).toHaveLength(10);
  }),
);

test(
  'every foreign key has an index that begins with it, and every table a comment',
  withLibrary(async ({ sql }) => {
    const bare = await sql`
      SELECT conrelid::regclass, conname FROM pg_constraint c
       WHERE contype = 'f' AND conparentid = 0 AND NOT EXISTS (
         SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL AND i.indkey[0] = c.conkey[1])`;
    const mute = await sql`
      SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
         AND NOT relispartition AND relname !~ '^schema_versions' AND obj_description(oid, 'pg_class') IS NULL`;

    expect(bare).toEqual([]);
    expect(mute).toEqual([]);
  }),
);

test(
  'deleting a category, a user or a material leaves what it should',
  withLibrary(async ({ sql }) => {
    const [kept, gone] = await addMaterials(sql, '남는 자료', '없어질 자료');
    await sql`INSERT INTO users (username, email) VALUES ('kim', 'kim@example.com')`;
    await sql`UPDATE materials SET uploaded_by = (SELECT id FROM users)`;
    await sql`INSERT INTO download_logs (material_id) SELECT id FROM materials`;
    await sql`INSERT INTO view_logs (material_id) SELECT id FROM materials`;

    await sql`DELETE FROM categories WHERE id = (SELECT min(id) FROM categories)`;
    await sql`DELETE FROM users`;
    await sql`DELETE FROM materials WHERE id = ${gone}`;

    expect(await sql`SELECT id, category_id, uploaded_by, download_count, view_count FROM materials`).toEqual(
      [{ id: kept, category_id: null, uploaded_by: null, download_count: '1', view_count: '1' }],
    );
    expect(
      await sql`SELECT material_id FROM download_logs UNION ALL SELECT material_id FROM view_logs`,
    ).toEqual([{ material_id: kept }, { material_id: kept }]);
  }),
);

describe('updated_at', () => {
  test(
    'moves when the content changes, and only then',
    withLibrary(async ({ sql }) => {
      const [id] = await addMaterials(sql, '보고서 작성');
      const long = '2020-01-01 00:00:00+00';
      const moved = async (change: string) => {
        await sql`UPDATE materials SET updated_at = ${long} WHERE id = ${id}`;
        await sql.unsafe(change);
        const [row] = await sql`SELECT updated_at > ${long} AS moved FROM materials WHERE id = ${id}`;
        return row?.moved;
      };

      expect(await moved(`UPDATE materials SET title = '보고서 작성법'`)).toBe(true);
      expect(await moved(`UPDATE materials SET is_active = false`)).toBe(true);
      expect(await moved(`UPDATE materials SET title = title, description = description`)).toBe(false);
      expect(await moved(`UPDATE materials SET download_count = 5, view_count = 7`)).toBe(false);
      expect(await moved(`INSERT INTO download_logs (material_id) SELECT id FROM materials`)).toBe(false);
    }),
  );

  test(
    'of a user stays when they sign in',
    withLibrary(async ({ sql }) => {
      await sql`INSERT INTO users (username, email, updated_at) VALUES ('kim', 'kim@example.com', '2020-01-01')`;
      await sql`UPDATE users SET last_login = now()`;
      expect(await sql`SELECT FROM users WHERE updated_at = '2020-01-01'`).toHaveLength(1);
      await sql`UPDATE users SET position = '팀장'`;
      expect(await sql`SELECT FROM users WHERE updated_at = '2020-01-01'`).toHaveLength(0);
    }),
  );
});
