import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import { describeCatalogue } from '../../helpers/catalogue.ts';
import { withDatabase } from '../../helpers/database.ts';
import { differences, makeLibrary, splitLogs } from './library.ts';
import { startWriter } from './writer.ts';

/** What the catalogue says of the table, without its partitions, what eduschema made, and who takes part in it. */
async function aboutLogs(sql: Sql): Promise<string[]> {
  const lines = await describeCatalogue(sql);
  return lines.filter(
    (line) =>
      /\blogs(?!_(?:\d{4}|default|before|eduschema))/.test(line) &&
      !/logs_(?:\d{4}|default|before|eduschema)/.test(line),
  );
}

describe('partitions convert --method split', () => {
  it(
    'puts the rows into months, with all that belongs to the table, and keeps the old one aside',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 3000);
      const before = await aboutLogs(sql);
      const rows = await sql`SELECT * FROM logs ORDER BY id`;
      const counted = await sql`SELECT id, downloads FROM materials ORDER BY id`;

      const result = await splitLogs(test);

      expect(await sql`SELECT * FROM logs ORDER BY id`).toEqual(rows);
      expect(await sql`SELECT * FROM logs_before_split ORDER BY id`).toEqual(rows);
      expect(await sql`SELECT id, downloads FROM materials ORDER BY id`).toEqual(counted);
      const after = await aboutLogs(sql);
      expect(before.filter((line) => !after.includes(line)).map(firstWords)).toEqual([
        'comment on table public.logs',
        'constraint logs_pkey on public.logs',
        'index CREATE INDEX logs_material',
        'index CREATE INDEX logs_recent',
        'index CREATE UNIQUE INDEX',
        'relation public.logs kind r',
      ]);
      expect(after.filter((line) => !before.includes(line))).toEqual([
        expect.stringContaining(
          '{"eduschema":{"partitions":{"zone":"Asia/Seoul","unit":"month","ahead":"3mo"}}}',
        ),
        'constraint logs_pkey on public.logs PRIMARY KEY (id, at) validated t',
        expect.stringContaining(
          'INDEX logs_material ON ONLY public.logs USING btree (material_id, at) valid t',
        ),
        expect.stringContaining(
          'INDEX logs_recent ON ONLY public.logs USING btree (reader_id) INCLUDE (pages) WHERE (pages > 10) valid t',
        ),
        expect.stringContaining('INDEX logs_pkey ON ONLY public.logs USING btree (id, at) valid t'),
        expect.stringContaining('relation public.logs kind p'),
      ]);
      expect(result).toMatchObject({ partitions: 9, split: { old: { name: 'logs_before_split' } } });
      expect(result.split?.proof).toMatchObject({ noted: 0 });
      expect(result.split?.proof?.periods.reduce((sum, { rows: [old] }) => sum + old, 0)).toBe(3000);
    }),
    60_000,
  );

  it(
    'goes on to count, to number, to check and to cascade as before',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 500);
      await splitLogs(test);

      await sql`INSERT INTO logs (material_id, agent) VALUES (1, 'NEW'), (1, 'NEW')`;
      expect(await sql`SELECT id::int, agent FROM logs WHERE id > 500 ORDER BY id`).toEqual([
        { id: 501, agent: 'new' },
        { id: 502, agent: 'new' },
      ]);
      expect(await sql`SELECT downloads FROM materials WHERE id = 1`).toEqual([{ downloads: 27 }]);
      await expect(sql`INSERT INTO logs (material_id) VALUES (99)`).rejects.toMatchObject({ code: '23503' });
      await expect(sql`DELETE FROM readers WHERE id = 1`).rejects.toMatchObject({ code: '23503' });
      await sql`DELETE FROM materials WHERE id = 1`;
      expect(await sql`SELECT count(*)::int FROM logs WHERE material_id = 1`).toEqual([{ count: 0 }]);
      await sql`DELETE FROM logs WHERE reader_id = 1`;
      await sql`DELETE FROM readers WHERE id = 1`;
      expect(await sql`SELECT pg_get_viewdef('recent') LIKE '%FROM logs%' AS bound`).toEqual([
        { bound: true },
      ]);
      expect(await sql`EXPLAIN (COSTS off) SELECT FROM recent WHERE at > now()`).not.toEqual([]);
    }),
    60_000,
  );

  it(
    'loses nothing that is written meanwhile, and makes no statement of the application fail',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 20_000);
      const writer = await startWriter(test);

      const result = await splitLogs(test, { batchMs: 5, pauseMs: 20 });
      await sleep(200);
      await writer.stop();

      expect(writer.errors).toEqual([]);
      for (const count of Object.values(writer.counts)) expect(count).toBeGreaterThan(3);
      expect(await differences(sql)).toEqual([]);
      expect(result.split?.proof?.periods.every(({ equal }) => equal)).toBe(true);
      expect(result.lockedMs).toBeGreaterThan(0);
    }),
    120_000,
  );
});

const firstWords = (line: string) => line.split(/:|\n/)[0]?.split(' ').slice(0, 4).join(' ');
