import { expect, test } from 'vitest';
import { addMaterials, withLibrary } from './library.ts';

const counters = `SELECT sum(download_count)::int AS downloads, sum(view_count)::int AS views FROM materials`;

test(
  'stay exact, without a deadlock, under 32 writers that hit the same materials in different orders',
  withLibrary(async ({ sql, connect }) => {
    const ids = await addMaterials(sql, ...Array.from({ length: 12 }, (_, i) => `자료 ${i}`));
    const writers = connect({ max: 32 });

    await Promise.all(
      Array.from({ length: 32 }, async (_, writer) => {
        for (let round = 0; round < 10; round++) {
          // Each writer has an order of its own, some of them the exact reverse of others', and some rows twice.
          const order = ids.map(
            (_, i) => ids[(i * (writer % 2 ? 5 : 7) + writer + round) % ids.length] ?? '',
          );
          if (round % 2) order.reverse();
          await writers`INSERT INTO download_logs (material_id) SELECT unnest(${[...order, order[0] ?? '']}::bigint[])`;
          await writers`INSERT INTO view_logs (material_id) SELECT unnest(${order}::bigint[])`;
        }
      }),
    );

    expect(await sql.unsafe(counters)).toEqual([{ downloads: 32 * 10 * 13, views: 32 * 10 * 12 }]);
    expect(
      await sql`SELECT FROM materials m WHERE download_count <> (SELECT count(*) FROM download_logs l WHERE l.material_id = m.id)`,
    ).toHaveLength(0);
  }),
);

test(
  'take 50,000 rows in one statement',
  withLibrary(async ({ sql }) => {
    await sql`INSERT INTO materials (title) SELECT '자료 ' || i FROM generate_series(1, 2000) i`;
    await sql`
      INSERT INTO download_logs (material_id, user_ip)
      SELECT m.id, '192.168.1.1' FROM materials m, generate_series(1, 25)`;

    expect(
      await sql`SELECT download_count::int, count(*)::int AS materials FROM materials GROUP BY 1`,
    ).toEqual([{ download_count: 25, materials: 2000 }]);
  }),
);

test(
  'count what happened: removing or moving logs takes nothing back',
  withLibrary(async ({ sql }) => {
    const [first, second] = await addMaterials(sql, '하나', '둘');
    await sql`INSERT INTO download_logs (material_id) SELECT ${first} FROM generate_series(1, 4)`;

    await sql`UPDATE download_logs SET material_id = ${second} WHERE id IN (SELECT id FROM download_logs LIMIT 1)`;
    await sql`DELETE FROM download_logs WHERE id IN (SELECT id FROM download_logs LIMIT 1)`;
    const [month] = await sql<{ name: string }[]>`
      SELECT relname AS name FROM pg_class WHERE oid = (SELECT tableoid FROM download_logs LIMIT 1)`;
    await sql.unsafe(`ALTER TABLE download_logs DETACH PARTITION ${month?.name}; DROP TABLE ${month?.name}`);
    await sql`TRUNCATE download_logs`;

    expect(await sql`SELECT id, download_count FROM materials ORDER BY id`).toEqual([
      { id: first, download_count: '4' },
      { id: second, download_count: '0' },
    ]);
  }),
);

test(
  'are not undone by an insert that fails',
  withLibrary(async ({ sql }) => {
    const [id] = await addMaterials(sql, '하나');
    await expect(sql`INSERT INTO download_logs (material_id) VALUES (${id}), (999999)`).rejects.toThrow(
      'foreign key',
    );
    await sql`INSERT INTO download_logs (material_id) SELECT ${id} WHERE false`;
    expect(await sql.unsafe(counters)).toEqual([{ downloads: 0, views: 0 }]);
  }),
);
