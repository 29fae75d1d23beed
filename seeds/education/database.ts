import { EduschemaError, type SeedLoaded, type SeedSql } from 'eduschema';

/** Makes the partitions of both logs for the months of these times. */
export async function makePartitions(sql: SeedSql, from: number, to: number): Promise<void> {
  for (const log of ['download_logs', 'view_logs'])
    await sql`
      SELECT create_month_partitions(${log}::text::regclass, this_month - first_month, last_month - this_month)
      FROM (SELECT months[1] AS this_month, months[2] AS first_month, months[3] AS last_month
            FROM (SELECT array_agg((extract(year FROM local) * 12 + extract(month FROM local))::int ORDER BY n) AS months
                  FROM (VALUES (1, now()), (2, to_timestamp(${from / 1000}::float8)), (3, to_timestamp(${to / 1000}::float8))) AS times (n, at),
                       LATERAL (SELECT at AT TIME ZONE education_time_zone() AS local) AS zoned) AS m) AS n`;
}

/**
 * Adds the logs of this run to the counters of materials of runs before it, as the triggers would: locked in the order
 * of their ids, and not in the audit log.
 */
export async function countForOlder(sql: SeedSql, keysOf: SeedLoaded['keysOf']): Promise<void> {
  const [downloads, views] = [rangeOf(keysOf('download_logs')), rangeOf(keysOf('view_logs'))];
  const newer = String(keysOf('materials')?.first ?? 2n ** 63n - 1n);
  await sql`
    CREATE TEMPORARY TABLE seed_counts ON COMMIT DROP AS
    SELECT material_id, sum(downloads) AS downloads, sum(views) AS views
    FROM (SELECT material_id, count(*) AS downloads, 0 AS views FROM download_logs
          WHERE id BETWEEN ${sql.unsafe(downloads)} AND material_id < ${sql.unsafe(newer)} GROUP BY 1
          UNION ALL
          SELECT material_id, 0, count(*) FROM view_logs
          WHERE id BETWEEN ${sql.unsafe(views)} AND material_id < ${sql.unsafe(newer)} GROUP BY 1) AS counted
    GROUP BY 1`;
  await sql`SELECT FROM materials WHERE id IN (SELECT material_id FROM seed_counts) ORDER BY id FOR NO KEY UPDATE`;
  await sql`SELECT set_config('eduschema.counting', 'on', true)`;
  await sql`
    UPDATE materials m SET download_count = m.download_count + c.downloads, view_count = m.view_count + c.views
    FROM seed_counts c WHERE m.id = c.material_id`;
  await sql`SELECT set_config('eduschema.counting', '', true)`;
}

const rangeOf = (keys: { first: bigint; last: bigint } | undefined) =>
  `${keys?.first ?? 1} AND ${keys?.last ?? 0}`;

const mark = 'Made by eduschema seed --dirty; eduschema seed --reset drops it.';

/** The table of the time before tags had one of their own, and what was made dirty. Throws when there is another of that name. */
export async function makeLegacyTables(sql: SeedSql): Promise<void> {
  const tables = {
    materials_old: 'id bigint PRIMARY KEY, title varchar(200), tags_string text',
    seeded_dirt:
      'table_name text NOT NULL, row_id bigint NOT NULL, kind text NOT NULL, original_id bigint, expected text[]',
  };
  for (const [name, columns] of Object.entries(tables)) {
    const [found] = await sql`
      SELECT obj_description(to_regclass(${name})::oid, 'pg_class') IS NOT DISTINCT FROM ${mark} AS ours
      WHERE to_regclass(${name}) IS NOT NULL`;
    if (found && !found.ours)
      throw new EduschemaError(
        'table-unsuitable',
        `there is a table ${name} already, and it is not one of ours`,
        {
          hint: 'rename it, or leave --dirty out; nothing was changed',
        },
      );
    if (!found) await sql.unsafe(`CREATE TABLE ${name} (${columns}); COMMENT ON TABLE ${name} IS '${mark}'`);
  }
}

/** Drops them when they are ours, and empty. */
export async function dropLegacyTables(sql: SeedSql): Promise<void> {
  for (const name of ['materials_old', 'seeded_dirt']) {
    const [found] = await sql`
      SELECT obj_description(to_regclass(${name})::oid, 'pg_class') = ${mark} AS ours WHERE to_regclass(${name}) IS NOT NULL`;
    if (found?.ours && (await sql`SELECT FROM ${sql(name)} LIMIT 1`).length === 0)
      await sql`DROP TABLE ${sql(name)}`;
  }
}
