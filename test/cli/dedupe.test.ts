import { describe, expect, it } from 'vitest';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { eduschema, type Surroundings } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';

const library = `
  CREATE TABLE materials (id int PRIMARY KEY, title text, file_name text, download_count int NOT NULL DEFAULT 0);
  CREATE TABLE logs (id int PRIMARY KEY, material_id int REFERENCES materials ON DELETE CASCADE);
  INSERT INTO materials VALUES (1, 'a', 'f', 3), (2, 'a', 'f', 4), (3, 'A', 'f', 1), (4, 'b', NULL, 0), (5, 'b', NULL, 0);
  INSERT INTO logs VALUES (1, 1), (2, 2), (3, 3);`;

const run = ({ url }: TestDatabase, line: string, more: Surroundings = {}) =>
  eduschema(line, { env: { DATABASE_URL: url }, ...more });

describe('eduschema dedupe', () => {
  it(
    'shows what it would do, does it when told, and takes it back',
    withDatabase(async (test) => {
      await test.sql.unsafe(library);

      const dry = await run(test, 'dedupe --dry-run');
      expect(dry.exitCode).toBe(0);
      expect(dry.stdout).toContain('1 duplicate of 1 row in public.materials; nothing was changed');
      expect(dry.stdout).toMatch(/public\.logs\.material_id +logs_material_id_fkey +1 +0/);
      expect(dry.stdout).toContain('2 rows (exact) into 1: a | f');
      expect(dry.stdout).toContain('2 rows without a value in title or file_name: not the same as anything');
      expect((await run(test, 'dedupe --dry-run --json --match normalized')).json()).toMatchObject({
        ok: true,
        rows: [{ reference: 'public.logs.material_id', by: 'logs_material_id_fkey', rows: 2, collisions: 0 }],
        summary: {
          clusters: 1,
          duplicates: 2,
          withoutKey: 2,
          rules: { case: 1 },
          sums: ['public.materials.download_count'],
        },
      });

      expect((await run(test, 'dedupe')).exitCode).toBe(2);
      const asked = await run(test, 'dedupe', { answer: 'no' });
      expect(asked.stderr).toContain(
        '1 duplicate of 1 row will be merged into them, and 1 row that refer to them moved.',
      );
      expect(await test.sql`SELECT FROM materials`).toHaveLength(5);

      const done = await run(test, 'dedupe --yes');
      expect(done.exitCode).toBe(0);
      expect(done.stdout).toContain('1 duplicate of 1 row in public.materials merged');
      expect(done.stdout).toContain('sum of public.materials.download_count: 7 before, 7 after');
      expect(done.stdout).toContain('to take it back: eduschema dedupe undo 1');
      expect((await run(test, 'dedupe --yes')).stdout).toContain('no duplicates in public.materials');

      const undone = await run(test, 'dedupe undo --yes --json');
      expect(undone.json()).toMatchObject({
        ok: true,
        rows: expect.arrayContaining([
          { table: 'public.materials', restored: 1, moved: 0, changed: 1, left: 0 },
        ]),
        summary: { run: 1, table: 'public.materials', problems: [] },
      });
      expect(await test.sql`SELECT FROM materials`).toHaveLength(5);
    }),
  );

  it(
    'ends with 1 when an undo could not put back everything',
    withDatabase(async (test) => {
      await test.sql.unsafe(library);
      await run(test, 'dedupe --yes');
      await test.sql`UPDATE materials SET id = 2 WHERE id = 5`;

      const undone = await run(test, 'dedupe undo 1 --yes');

      expect(undone.stderr + undone.exitCode).toBe('1');
      expect(undone.stdout).toContain(
        'could not be put back: duplicate key value violates unique constraint "materials_pkey"',
      );
    }),
  );

  it('takes clusters from a file, and refuses options that contradict it', () =>
    withFolder({ 'clusters.json': '[[4, 5]]' }, (folder) =>
      withDatabase(async (test) => {
        await test.sql.unsafe(library);

        const wrong = await run(test, 'dedupe --clusters clusters.json --key title --yes', { cwd: folder });
        expect(wrong.exitCode).toBe(2);
        expect((await run(test, 'dedupe --clusters none.json --yes', { cwd: folder })).stderr).toContain(
          'cannot read',
        );
        expect((await run(test, 'dedupe --clusters clusters.json --yes', { cwd: folder })).stdout).toContain(
          '1 duplicate',
        );
        expect(await test.sql`SELECT FROM materials WHERE id = 5`).toHaveLength(0);
      })(),
    ));

  it(
    'can be interrupted: whole batches stay, and the next run goes on',
    withDatabase(async (test) => {
      await test.sql.unsafe(`${library} INSERT INTO materials SELECT n, 'c' || n % 300, 'f' FROM generate_series(10, 3000) n;
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN old; END $$;
        CREATE TRIGGER slow BEFORE DELETE ON materials FOR EACH ROW EXECUTE FUNCTION slow();`);

      const stopped = await run(test, 'dedupe --yes --batch-rows 50', {
        onStart: (interrupt) => setTimeout(interrupt, 4000),
      });
      const again = await run(test, 'dedupe --yes');

      expect(stopped.exitCode).toBe(130);
      expect(again.stdout).toContain('undo 1');
      expect(
        await test.sql`SELECT FROM materials WHERE file_name IS NOT NULL GROUP BY title, file_name HAVING count(*) > 1`,
      ).toHaveLength(0);
    }),
  );

  it(
    'explains what is wrong on the command line',
    withDatabase(async (test) => {
      await test.sql.unsafe(library);

      for (const [line, words] of [
        ['dedupe --similar 2', '--similar is "2"'],
        ['dedupe --key nope --yes', 'has no column nope'],
        ['dedupe logs --yes', 'add --key'],
        ['dedupe undo x --yes', 'x is no number of a run'],
        ['dedupe undo --yes', 'there is no run to undo'],
      ] as const) {
        const { exitCode, stderr } = await run(test, line);
        expect({ line, exitCode }).toEqual({ line, exitCode: 2 });
        expect(stderr).toContain(words);
      }
    }),
  );
});
