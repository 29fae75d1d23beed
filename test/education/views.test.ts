import { expect, test } from 'vitest';
import { addMaterials, withLibrary } from './library.ts';

test(
  'monthly_kpi and category_performance add up the active materials, months as in Seoul',
  withLibrary(async ({ sql }) => {
    const [safety] = await sql`SELECT id FROM categories WHERE name = '안전 교육'`;
    await sql`
      INSERT INTO materials (title, category_id, file_size, is_featured, is_active, download_count, view_count, created_at) VALUES
        ('소방', ${safety?.id}, 100, true,  true,  30, 200, '2026-02-28 15:00:00+00'),
        ('응급', ${safety?.id}, 300, false, true,  10, 100, '2026-03-31 14:59:59+00'),
        ('보고', 1,             500, false, true,  60, 300, '2026-03-31 15:00:00+00'),
        ('숨은', ${safety?.id}, 900, true,  false, 99, 999, '2026-03-31 15:00:00+00')`;

    expect(
      await sql`SELECT month::text, materials_uploaded, featured_materials, avg_file_size, total_downloads, active_categories FROM monthly_kpi`,
    ).toEqual([
      {
        month: '2026-04-01',
        materials_uploaded: '1',
        featured_materials: '0',
        avg_file_size: '500',
        total_downloads: '60',
        active_categories: '1',
      },
      {
        month: '2026-03-01',
        materials_uploaded: '2',
        featured_materials: '1',
        avg_file_size: '200',
        total_downloads: '40',
        active_categories: '1',
      },
    ]);
    const performance = await sql`SELECT * FROM category_performance`;
    expect(performance.slice(0, 3)).toEqual([
      {
        category_name: '신입사원 교육',
        material_count: '1',
        total_downloads: '60',
        avg_downloads: '60.00',
        total_views: '300',
        download_percentage: '60.00',
      },
      {
        category_name: '안전 교육',
        material_count: '2',
        total_downloads: '40',
        avg_downloads: '20.00',
        total_views: '300',
        download_percentage: '40.00',
      },
      expect.objectContaining({ material_count: '0', total_downloads: '0' }),
    ]);
  }),
);

test(
  'monthly_growth compares with the month before, even one without downloads',
  withLibrary(async ({ sql }) => {
    const [id] = await addMaterials(sql, '소방');
    await sql`
      INSERT INTO download_logs (material_id, download_at)
      SELECT ${id}, t::timestamptz FROM (VALUES ('2026-01-31 15:00:00+00', 4), ('2026-02-28 14:59:59+00', 2), ('2026-04-10', 3), ('2026-05-10', 4)) v (t, n), generate_series(1, n)`;

    expect(
      await sql`SELECT month::text, downloads::int, prev_month::int, growth_rate FROM monthly_growth`,
    ).toEqual([
      { month: '2026-05-01', downloads: 4, prev_month: 3, growth_rate: '33.33' },
      { month: '2026-04-01', downloads: 3, prev_month: 0, growth_rate: null },
      { month: '2026-03-01', downloads: 0, prev_month: 6, growth_rate: '-100.00' },
      { month: '2026-02-01', downloads: 6, prev_month: null, growth_rate: null },
    ]);
  }),
);

test(
  'refresh_popular_materials shows what happened since, logs itself, and does without readers waiting',
  withLibrary(async ({ sql, connect }) => {
    const [first, second] = await addMaterials(sql, '하나', '둘');
    await sql`INSERT INTO view_logs (material_id) SELECT ${second} FROM generate_series(1, 25)`;
    await sql`INSERT INTO download_logs (material_id) VALUES (${first})`;
    expect(await sql`SELECT FROM popular_materials`).toHaveLength(0);

    const reader = await connect({ max: 1 }).reserve();
    await reader`BEGIN`;
    await reader`SELECT FROM popular_materials`;
    await sql`SELECT refresh_popular_materials()`;
    await reader`ROLLBACK`;
    reader.release();

    expect(
      await sql`SELECT id, popularity_score FROM popular_materials ORDER BY popularity_score DESC`,
    ).toEqual([
      { id: second, popularity_score: '2.5' },
      { id: first, popularity_score: '1.0' },
    ]);
    await sql`REFRESH MATERIALIZED VIEW popular_materials WITH NO DATA`;
    await sql`SELECT refresh_popular_materials()`;
    expect(
      await sql`SELECT matview_name, row_count, is_concurrent, duration > '0' AS took FROM matview_refreshes ORDER BY id`,
    ).toEqual([
      { matview_name: 'popular_materials', row_count: '2', is_concurrent: true, took: true },
      { matview_name: 'popular_materials', row_count: '2', is_concurrent: false, took: true },
    ]);
  }),
);

test(
  'recommend_materials: what is popular in the visitor’s categories, without what they have',
  withLibrary(async ({ sql }) => {
    await sql`
      INSERT INTO materials (title, category_id, download_count, is_active) VALUES
        ('가진 것', 1, 900, true), ('인기', 1, 500, true), ('덜 인기', 1, 100, true), ('숨은', 1, 999, false),
        ('다른 분야', 2, 800, true), ('오래전 분야', 3, 700, true), ('옛것', 3, 600, true)`;
    await sql`INSERT INTO download_logs (material_id, user_ip, download_at)
              SELECT id, '192.168.1.100', now() - CASE title WHEN '옛것' THEN interval '31 days' ELSE interval '1 day' END FROM materials WHERE title IN ('가진 것', '옛것')`;
    await sql`INSERT INTO download_logs (material_id, user_ip) SELECT id, '10.0.0.1' FROM materials WHERE title = '다른 분야'`;
    const recommended = async (more = '') =>
      (await sql.unsafe(`SELECT title FROM recommend_materials('192.168.1.100'${more})`)).map(
        (row) => row.title,
      );

    expect(await recommended()).toEqual(['인기', '덜 인기']);
    expect(await recommended(', 1')).toEqual(['인기']);
    expect(await recommended(`, 5, '90 days'`)).toEqual(['오래전 분야', '인기', '덜 인기']);
    expect(await sql`SELECT FROM recommend_materials('172.16.0.1')`).toHaveLength(0);
  }),
);

test(
  'db_activity_summary counts, and check_db_health warns by thresholds that can be changed',
  withLibrary(async ({ sql, connect }) => {
    expect(await sql`SELECT metric FROM db_activity_summary WHERE value >= 0`).toHaveLength(4);
    expect(await sql`SELECT * FROM check_db_health()`).toEqual([]);

    const busy = connect({ max: 2 });
    const sleeping = busy`SELECT pg_sleep(1)`.catch(() => {});
    const idle = await busy.reserve();
    await idle`BEGIN`;
    await idle`SELECT 1`;
    await sql`SELECT refresh_popular_materials(), pg_sleep(0.2)`;
    await sql`UPDATE health_thresholds SET value = CASE name WHEN 'partition_runway' THEN 1000 ELSE 0 END`;

    const alerts = await sql<
      { alert_type: string; message: string; severity: string }[]
    >`SELECT DISTINCT alert_type, severity FROM check_db_health() ORDER BY 1`;
    await idle`ROLLBACK`;
    idle.release();
    await sleeping;
    expect(alerts.map((alert) => `${alert.alert_type}: ${alert.severity}`)).toEqual([
      'High Connection Count: CRITICAL',
      'High Disk Usage: CRITICAL',
      'Idle in Transaction: WARNING',
      'Long Running Query: WARNING',
      'Partitions Running Out: WARNING',
      'Stale Popular Materials: WARNING',
    ]);
  }),
);
