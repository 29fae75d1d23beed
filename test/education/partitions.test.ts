import { expect, test } from 'vitest';
import { migrate } from '../../src/index.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { addMaterials, withLibrary } from './library.ts';

/** Month partitions with their bounds on the clock of Seoul. */
const boundsOf = ({ sql }: TestDatabase, table: string) => sql<
  { name: string; lower: string; upper: string }[]
>`
  SELECT c.relname AS name, to_char(b.bounds[1]::timestamptz AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-DD HH24:MI:SS') AS lower,
         to_char(b.bounds[2]::timestamptz AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-DD HH24:MI:SS') AS upper
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
         LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('(.+)'\\) TO \\('(.+)'\\)$$)) b (bounds)
   WHERE i.inhparent = ${table}::regclass AND b.bounds IS NOT NULL ORDER BY 1`;

for (const zone of ['UTC', 'America/New_York', 'Pacific/Kiritimati']) {
  test(
    `cover three months ahead, with midnights of Seoul, for a session in ${zone}`,
    withDatabase(async (database) => {
      await database.sql.unsafe(`ALTER DATABASE ${database.name} SET timezone = '${zone}'`);
      await migrate({ url: database.url, directory: 'migrations' });

      const [today] = await database.sql`SELECT to_char(now() AT TIME ZONE 'Asia/Seoul', 'YYYY-MM') AS month`;
      for (const [table, back] of [
        ['download_logs', 3],
        ['view_logs', 3],
        ['audit_log', 0],
      ] as const) {
        const months = Array.from({ length: back + 5 }, (_, i) => firstOfMonth(today?.month, i - back));
        expect(await boundsOf(database, table)).toEqual(
          months.slice(0, -1).map((lower, i) => ({
            name: `${table}_${lower.slice(0, 4)}_${lower.slice(5, 7)}`,
            lower: `${lower} 00:00:00`,
            upper: `${months[i + 1]} 00:00:00`,
          })),
        );
      }
    }),
  );
}

test(
  'rows without a month of their own are kept, counted, reported, and moved when their month is made',
  withLibrary(async ({ sql }) => {
    const [id] = await addMaterials(sql, '리더십 입문');
    await sql`INSERT INTO download_logs (material_id, download_at) SELECT ${id}, now() + interval '5 months' FROM generate_series(1, 3)`;
    expect(await sql`SELECT FROM download_logs_default`).toHaveLength(3);
    expect(await sql`SELECT alert_type FROM check_db_health()`).toEqual([
      { alert_type: 'Rows in Default Partition' },
    ]);

    await sql`SELECT create_month_partitions('download_logs', 0, 6)`;

    expect(await sql`SELECT FROM download_logs_default`).toHaveLength(0);
    expect(await sql`SELECT FROM download_logs`).toHaveLength(3);
    expect(await sql`SELECT download_count FROM materials`).toEqual([{ download_count: '3' }]);
    expect(await sql`SELECT create_month_partitions('download_logs', 0, 6) AS made`).toEqual([{ made: 0 }]);
  }),
);

test(
  'a new partition gives nobody a way around its parent',
  withLibrary(async ({ sql }) => {
    await sql`SELECT create_month_partitions(t::regclass, 0, 12) FROM unnest(ARRAY['download_logs', 'view_logs', 'audit_log']) t`;

    const reachable = await sql`
      SELECT c.relname, r.rolname FROM pg_class c, pg_roles r
       WHERE c.relispartition AND c.relkind = 'r' AND r.rolname LIKE 'education\\_%' AND has_table_privilege(r.rolname, c.oid, 'select, insert, update, delete')`;
    expect(reachable).toEqual([]);
  }),
);

function firstOfMonth(month: string, offset: number): string {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number - 1 + offset, 1)).toISOString().slice(0, 10);
}
