import { describe, expect, it } from 'vitest';
import { withSeeds, wrongCounters } from '../seed/education.ts';
import { contentsOf, library, merge, one, plan, undo } from './duplicates.ts';

const some = '--materials 240 --downloads 800 --views 800 --as-of 2026-11-01';

describe('dedupe of the education schema', () => {
  it(
    'merges materials of one title and file, moves their logs and tags, sums their counters, and can be undone',
    withSeeds(async (database) => {
      const { sql, seed } = database;
      await seed(`${some} --dirty 20%`);
      const logs = await sql`SELECT count(*)::int AS n FROM download_logs`;
      const downloads = await one<string>(sql, 'SELECT sum(download_count) FROM materials');
      const before = await contentsOf(sql, ...library);

      const { tally, survey } = await merge(database);

      expect(survey.duplicates).toBeGreaterThan(3);
      expect(tally.removed).toBe(survey.duplicates);
      expect(await sql`SELECT count(*)::int AS n FROM download_logs`).toEqual(logs);
      expect(await one(sql, 'SELECT sum(download_count) FROM materials')).toBe(downloads);
      expect(await wrongCounters(sql)).toEqual([]);
      expect(
        await sql`SELECT title, file_name FROM materials WHERE file_name IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1`,
      ).toEqual([]);

      const result = await undo(database);

      expect(result.problems).toEqual([]);
      expect(await contentsOf(sql, ...library)).toEqual(before);
    }),
  );

  it(
    'sees more of them as the same when forms of Unicode, width, case and blanks do not count, and says which rule did it',
    withSeeds(async (database) => {
      const { sql, seed } = database;
      await seed(`${some} --dirty 20%`);
      const before = await contentsOf(sql, ...library);
      const exact = await plan(database);

      const normalized = await plan(database, { match: 'normalized' });
      await merge(database, { match: 'normalized' });

      expect(normalized.survey.duplicates).toBeGreaterThan(exact.survey.duplicates);
      expect(Object.keys(normalized.survey.rules)).toEqual(
        expect.arrayContaining(['exact', 'nfc', 'width', 'case', 'space']),
      );
      expect(await plan(database, { match: 'normalized' })).toMatchObject({ survey: { duplicates: 0 } });
      expect(await wrongCounters(sql)).toEqual([]);

      await undo(database);

      expect(await contentsOf(sql, ...library)).toEqual(before);
    }),
  );

  it(
    'counts what would be done, and changes nothing',
    withSeeds(async (database) => {
      const { sql, seed } = database;
      await seed(`${some} --dirty 20%`);
      const before = await contentsOf(sql, ...library);

      const { survey, scope } = await plan(database);

      expect(survey.children.map(({ reference }) => scope.references[reference]?.constraint).sort()).toEqual([
        'download_logs_material_id_fkey',
        'material_tags_material_id_fkey',
        'view_logs_material_id_fkey',
      ]);
      expect(survey.children.every(({ rows }) => rows > 0)).toBe(true);
      expect(survey.biggest[0]).toMatchObject({ rule: 'exact', values: { title: expect.any(String) } });
      expect(await contentsOf(sql, ...library)).toEqual(before);
      expect(await one(sql, `SELECT to_regclass('schema_versions_dedupe')`)).toBe(null);
    }),
  );
});
