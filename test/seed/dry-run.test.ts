import { describe, expect, it } from 'vitest';
import { foreseeSeed, seed as seedByCode } from '../../src/index.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { clone, countRows, few, withSeeds } from './education.ts';

describe('eduschema seed --dry-run', () => {
  it(
    'says what would be written, and is right about it',
    withSeeds(async ({ sql, seed }) => {
      const before = await countRows(sql);
      const foreseen = await seed(`${few} --dry-run --json`);

      expect(foreseen.json().error).toBeUndefined();
      expect(await countRows(sql)).toEqual(before);
      expect(await sql`SELECT to_regclass('schema_versions_seeds') AS journal`).toEqual([{ journal: null }]);
      const logs = foreseen.json().rows.find(({ table }) => table === 'view_logs');
      expect(logs).toMatchObject({ state: 'to seed', rows: 3000, lacksPartitions: false });
      expect(String(logs?.from)).toMatch(/^2026-08-0[2-4]T/);
      expect(String(logs?.to)).toMatch(/^2026-10-31T/);

      const done = (await seed(`${few} --json`)).json().rows;
      const counted = foreseen.json().rows.filter(({ rows }) => rows !== 0);
      expect(counted.map(({ table, rows }) => [table, rows])).toEqual(
        done.map(({ table, rows }) => [table, rows]),
      );
      const used = await sql<{ name: string }[]>`
        SELECT DISTINCT 'public.' || tableoid::regclass AS name FROM view_logs ORDER BY 1`;
      expect(logs?.partitions).toEqual(used.map(({ name }) => name));
    }),
    60_000,
  );

  it(
    'says what is there, what would be added, and what would be removed',
    withSeeds(async ({ sql, seed }) => {
      await seed();
      const again = await seed('--dry-run');
      const more = await seed('--append --downloads 500 --dry-run --json');
      const other = await seed('--materials 301 --dry-run');
      const removed = await seed('--reset --dry-run');

      expect(again.stdout).toContain('nothing to do: all seeds are there already');
      expect(more.json().rows.filter(({ rows }) => Number(rows) > 0)).toMatchObject([
        { table: 'download_logs', rows: 500, run: 2 },
        { table: 'view_logs', rows: 3000, run: 2 },
      ]);
      expect(other.stderr).toContain('education is seeded already, with materials 300, not 301');
      expect(removed.stdout).toMatch(/view_logs +3,000/);
      expect(removed.stdout).toContain('would be removed');
      expect(await countRows(sql)).toMatchObject({ materials: 300, download_logs: 2000, view_logs: 3000 });
    }),
    60_000,
  );

  it(
    'says where partitions are lacking, and which schema is too old',
    withSeeds(async ({ url, seed }) => {
      const far = await seed(`${few} --days 400 --dry-run`);
      const dirty = await seed(`${few} --dirty 10% --dry-run`);
      await eduschema('rollback --to 1.4.0 --yes', { cwd: clone, env: { DATABASE_URL: url } });
      const behind = await seed('--dry-run');

      expect(far.stdout).toContain('view_logs has no partition for some of these times');
      expect(dirty.stdout).toMatch(/materials_old +to seed +60/);
      expect(behind.exitCode).toBe(2);
      expect(behind.stderr).toContain('needs version 1.13.0 of the schema; the database is at 1.4.0');
    }),
    60_000,
  );

  it(
    'is in the API, as seed is',
    withSeeds(async ({ sql, url }) => {
      const options = { values: { materials: 20, downloads: '30' }, asOf: '2026-11-01' };
      const foreseen = await foreseeSeed({ url, ...options });
      const events: string[] = [];
      const made = await seedByCode({
        ...{ url, ...options },
        onProgress: (event) => events.push('name' in event ? event.name : event.type),
      });
      const again = await seedByCode({ sql });

      expect(foreseen.find(({ table }) => table === 'download_logs')?.rows).toBe(30);
      expect(made.rows.find(({ table }) => table === 'view_logs')).toMatchObject({
        ...{ state: 'seeded', rows: 180, checksum: expect.stringMatching(/^[0-9a-f]{64}$/) },
      });
      expect(events).toContain('education: view_logs');
      expect(again.rows.every(({ state }) => state === 'there already')).toBe(true);
      expect(await countRows(sql)).toMatchObject({ materials: 20, download_logs: 30, view_logs: 180 });
      await expect(seedByCode({ url, directory: 'nowhere' })).rejects.toMatchObject({
        code: 'folder-missing',
      });
      await expect(seedByCode({ url, values: { materials: -1 } })).rejects.toMatchObject({ code: 'usage' });
    }),
    60_000,
  );
});
