import { describe, expect, it } from 'vitest';
import { addMaterials, withLibrary } from '../education/library.ts';
import { withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';

const search = (url: string, ...words: string[]) =>
  eduschema(['search', ...words], { env: { DATABASE_URL: url } });

describe('eduschema search', () => {
  it(
    'shows materials with a text, most downloaded first, and where it was found',
    withLibrary(async ({ sql, url }) => {
      const [first, second, hidden] = await addMaterials(sql, '평생교육 안내', '신입사원 교육', '교육 자료');
      await sql`UPDATE materials SET description = '교육이 아니라 훈련', title = '훈련' WHERE id = ${first}`;
      await sql`UPDATE materials SET is_active = false WHERE id = ${hidden}`;
      await sql`INSERT INTO download_logs (material_id) VALUES (${second}), (${second}), (${first})`;

      const { exitCode, stdout } = await search(url, '교육');
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/rank\s+title\s+category\s+downloads\s+views\s+found in/);
      expect(stdout).toMatch(
        /1\s+신입사원 교육\s+신입사원 교육\s+2\s+0\s+title\n\s+2\s+훈련\s+신입사원 교육\s+1\s+0\s+description/,
      );
      expect(stdout).toContain('2 materials with "교육"');
      expect((await search(url, '교육', '--limit', '1')).stdout).toContain(
        '1 material with "교육"; there may be more (--limit)',
      );
      expect((await search(url, '아니라', '훈련', '--json')).json()).toEqual({
        ok: true,
        rows: [
          {
            rank: 1,
            id: first,
            title: '훈련',
            category: '신입사원 교육',
            downloads: '1',
            views: '0',
            foundIn: 'description',
          },
        ],
        summary: { text: '아니라 훈련', found: 1 },
      });
    }),
  );

  it(
    'takes the text as it is, and says when nothing has it',
    withLibrary(async ({ sql, url }) => {
      await addMaterials(sql, "100% '안전'");

      expect((await search(url, "100% '안")).stdout).toContain('1 material');
      const none = await search(url, '%_');
      expect([none.exitCode, none.stdout]).toEqual([0, 'nothing has "%_"\n']);
      expect((await search(url, '%_', '--exit-code')).exitCode).toBe(1);
      expect((await search(url, '안전', '--exit-code')).exitCode).toBe(0);
      for (const limit of ['-1', '2147483648'])
        expect((await search(url, '안전', '--limit', limit)).stderr).toContain('must be a whole number');
      expect((await search(url)).exitCode).toBe(2);
    }),
  );

  it(
    'names the version that has it where it is missing, and finds it in another schema',
    withDatabase(async ({ url }) => {
      const missing = await search(url, '교육');
      expect(missing.exitCode).toBe(2);
      expect(missing.stderr).toContain('the database has no search_materials(text, integer)');
      expect(missing.stderr).toContain('it comes with version 1.13.0 of the education schema');

      await eduschema('migrate --schema library --dir migrations', {
        cwd: process.cwd(),
        env: { DATABASE_URL: url },
      });
      expect((await search(url, '교육', '--schema', 'library')).stdout).toBe('nothing has "교육"\n');
    }),
  );
});
