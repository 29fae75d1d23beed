import { expect, test } from 'vitest';
import { addMaterials, asRole, withLibrary } from './library.ts';

const entries = `SELECT operation, row_key, old_values, new_values FROM audit_log WHERE table_name = 'materials' ORDER BY id`;

test(
  'an update keeps the keys that changed, an insert and a delete the whole row',
  withLibrary(async ({ sql }) => {
    const [id] = await addMaterials(sql, '보고서');
    await sql`UPDATE materials SET title = '보고서 작성', description = '처음부터 끝까지' WHERE id = ${id}`;
    await sql`UPDATE materials SET title = title`;
    await sql`DELETE FROM materials`;

    const [insert, update, remove, ...rest] = await sql.unsafe(entries);
    expect(insert).toMatchObject({
      operation: 'INSERT',
      row_key: id,
      old_values: null,
      new_values: { title: '보고서', is_active: true },
    });
    expect(update).toEqual({
      operation: 'UPDATE',
      row_key: id,
      old_values: { title: '보고서', description: null },
      new_values: { title: '보고서 작성', description: '처음부터 끝까지' },
    });
    expect(remove).toMatchObject({
      operation: 'DELETE',
      row_key: id,
      new_values: null,
      old_values: { title: '보고서 작성' },
    });
    expect(rest).toEqual([]);
  }),
);

test(
  'counters are not audited, set by the trigger or by hand; content changed beside them is',
  withLibrary(async ({ sql }) => {
    const [id] = await addMaterials(sql, '보고서');
    await sql`INSERT INTO download_logs (material_id) VALUES (${id})`;
    await sql`UPDATE materials SET view_count = 100`;
    await sql.begin(async (transaction) => {
      await transaction`INSERT INTO view_logs (material_id) VALUES (${id})`;
      await transaction`UPDATE materials SET title = '발표', download_count = 7`;
    });

    expect((await sql.unsafe(entries)).slice(1)).toEqual([
      { operation: 'UPDATE', row_key: id, old_values: { title: '보고서' }, new_values: { title: '발표' } },
    ]);
  }),
);

test(
  'an ordinary role cannot pass its change off as counting',
  withLibrary(async ({ sql }) => {
    await addMaterials(sql, '보고서');
    await asRole(sql, 'education_app', async (app) => {
      await app`SELECT set_config('eduschema.counting', 'on', true)`;
      await app`UPDATE materials SET title = '발표'`;
    });
    expect((await sql.unsafe(entries)).map((row) => row.operation)).toEqual(['INSERT', 'UPDATE']);
  }),
);

test(
  'says who it was, for whom, in which transaction',
  withLibrary(async ({ sql, connectAs, createUser }) => {
    const user = await createUser();
    await sql.unsafe(`GRANT education_app TO ${user.name}`);
    const app = await connectAs(user.name);

    await app.begin(async (transaction) => {
      await transaction`SET LOCAL ROLE education_app`;
      await transaction`SELECT set_config('app.user_id', 'kim', true)`;
      await transaction`INSERT INTO tags (name) VALUES ('엑셀'), ('파이썬')`;
      await transaction`INSERT INTO materials (title) VALUES ('보고서')`;
    });
    await app.end();

    const written = await sql`
      SELECT table_name, row_key, user_name, role_name, app_user, transaction_id FROM audit_log WHERE app_user IS NOT NULL ORDER BY id`;
    expect(written.map((row) => row.table_name)).toEqual(['tags', 'tags', 'materials']);
    expect(new Set(written.map((row) => row.transaction_id)).size).toBe(1);
    expect(written[2]).toMatchObject({ user_name: user.name, role_name: 'education_app', app_user: 'kim' });
    await sql.unsafe(`REVOKE education_app FROM ${user.name}`);
  }),
);

test(
  'covers every table of the library, keys of two columns, changed keys, bulk and TRUNCATE',
  withLibrary(async ({ sql }) => {
    await sql`INSERT INTO users (username, email) VALUES ('kim', 'kim@example.com')`;
    await sql`INSERT INTO tags (name) VALUES ('엑셀')`;
    await sql`INSERT INTO materials (title) SELECT '자료 ' || i FROM generate_series(1, 1000) i`;
    await sql`INSERT INTO material_tags SELECT m.id, t.id FROM materials m, tags t`;
    await sql`INSERT INTO user_permissions (user_id, permission_id) SELECT u.id, p.id FROM users u, permissions p`;
    await sql`UPDATE materials SET difficulty_level = 2`;
    await sql`UPDATE tags SET id = id + 1000 WHERE id NOT IN (SELECT tag_id FROM material_tags)`;
    await sql`DELETE FROM material_tags`;
    await sql`UPDATE tags SET id = id + 1000`;
    await sql`TRUNCATE users CASCADE`;

    const counts = await sql`
      SELECT table_name AS t, operation AS o, count(*)::int AS n FROM audit_log WHERE table_name NOT IN ('categories', 'permissions')
       GROUP BY 1, 2 ORDER BY 1, 2`;
    expect(counts.map((row) => `${row.t} ${row.o} ${row.n}`)).toEqual([
      'material_tags DELETE 1000',
      'material_tags INSERT 1000',
      'material_tags TRUNCATE 1',
      'materials INSERT 1000',
      'materials TRUNCATE 1',
      'materials UPDATE 1000',
      'tags INSERT 1',
      'tags UPDATE 2',
      'user_permissions INSERT 10',
      'user_permissions TRUNCATE 1',
      'users INSERT 1',
      'users TRUNCATE 1',
    ]);
    expect(
      await sql`SELECT FROM audit_log WHERE table_name = 'material_tags' AND row_key ~ '^[0-9]+,[0-9]+$'`,
    ).toHaveLength(2000);
  }),
);

test(
  'can be read by administrators and written by nobody',
  withLibrary(async ({ sql }) => {
    await addMaterials(sql, '보고서');
    expect(
      await asRole(
        sql,
        'education_admin',
        (admin) => admin`SELECT FROM audit_log WHERE table_name = 'materials'`,
      ),
    ).toHaveLength(1);
    for (const role of ['education_readonly', 'education_app']) {
      await expect(
        asRole(sql, role, (other) => other`SELECT FROM audit_log`),
        role,
      ).rejects.toThrow('permission denied');
    }
    for (const role of ['education_readonly', 'education_app', 'education_admin']) {
      for (const change of [
        `INSERT INTO audit_log (table_name, operation) VALUES ('x', 'INSERT')`,
        `UPDATE audit_log SET user_name = 'x'`,
        'DELETE FROM audit_log',
        'TRUNCATE audit_log',
      ]) {
        await expect(
          asRole(sql, role, (other) => other.unsafe(change)),
          `${role}: ${change}`,
        ).rejects.toThrow('permission denied');
      }
    }
  }),
);
