import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Project, withProject } from '../helpers/project.ts';

/** Writes down that it ran. */
const note = (what: string) => `INSERT INTO seen VALUES ('${what}');`;
const seen = 'CREATE TABLE seen (what text, at serial);';

const seenBy = async ({ sql }: Project) =>
  (await sql<{ what: string }[]>`SELECT what FROM seen ORDER BY at`).map(({ what }) => what);

/** What a run applies, by name. */
const applied = async (project: Project, options = {}) =>
  (await project.migrate(options)).done.map(({ name }) => name.replace('repeatable ', ''));

describe('repeatable migrations', () => {
  it(
    'run after all versioned ones, by name, in the order of its characters, wherever and in which order they were written',
    withProject(
      {
        'repeatable/b.sql': note('b'),
        'repeatable/10.sql': note('10'),
        'repeatable/가.sql': note('가'),
        'repeatable/Z.sql': note('Z'),
        'repeatable/a_b.sql': note('a_b'),
        'repeatable/9.sql': note('9'),
        'repeatable/a.sql': note('a'),
        '2_b.sql': note('2'),
        '10_c.sql': note('10th'),
        '1_a.sql': seen,
      },
      async (project) => {
        const order = ['10', '9', 'Z', 'a', 'a_b', 'b', '가'];

        expect(await applied(project)).toEqual(['1_a', '2_b', '10_c', ...order]);
        expect(await seenBy(project)).toEqual(['2', '10th', ...order]);
        expect(await applied(project)).toEqual([]);

        for (const name of [...order].reverse())
          project.write({ [`repeatable/${name}.sql`]: `${note(name)} -- edited` });
        project.write({ '11_d.sql': note('11th') });
        expect(await applied(project)).toEqual(['11_d', ...order]);
      },
    ),
  );

  it(
    'are applied again when their text changed, and those alone',
    withProject(
      { '1_a.sql': seen, 'repeatable/a.sql': note('a'), 'repeatable/b.sql': note('b') },
      async (project) => {
        await project.migrate();
        project.write({ 'repeatable/b.sql': note('b, edited') });

        expect(await applied(project)).toEqual(['b']);
        // Line ends and a byte order mark are no change.
        project.write({ 'repeatable/a.sql': `\ufeff${note('a')}` });
        expect(await applied(project)).toEqual([]);
        expect(await seenBy(project)).toEqual(['a', 'b', 'b, edited']);
      },
    ),
  );

  it(
    'count what they include, at any depth: an edit there applies those again that include it',
    withProject(
      {
        '1_a.sql': seen,
        'repeatable/a.sql': '\\ir ../include/outer.sql\n',
        'repeatable/b.sql': `\\i _same.sql\n${note('b')}`,
        'repeatable/c.sql': note('c'),
        'include/outer.sql': `${note('outer')}\n\\ir inner.sql\n`,
        'include/inner.sql': note('inner'),
        '_same.sql': note('same'),
      },
      async (project) => {
        expect(await applied(project)).toEqual(['1_a', 'a', 'b', 'c']);

        project.write({ 'include/inner.sql': note('inner, edited') });
        expect(await applied(project)).toEqual(['a']);
        project.write({ '_same.sql': note('same, edited') });
        expect(await applied(project)).toEqual(['b']);

        expect((await seenBy(project)).slice(5)).toEqual(['outer', 'inner, edited', 'same, edited', 'b']);
        expect(await applied(project)).toEqual([]);
        rmSync(join(project.settings.directory, '_same.sql'));
        await expect(project.migrate()).rejects.toMatchObject({
          message: expect.stringContaining('_same.sql'),
        });
      },
    ),
  );

  it(
    'that fail leave no trace, keep those before them, and are applied by the next run',
    withProject(
      {
        '1_a.sql': seen,
        'repeatable/a.sql': note('a'),
        'repeatable/b.sql': `${note('b')} SELECT wrong;`,
        'repeatable/c.sql': note('c'),
      },
      async (project) => {
        await expect(project.migrate()).rejects.toMatchObject({
          message: 'repeatable b failed at line 1 of migrations/repeatable/b.sql (42703)',
        });
        expect(await seenBy(project)).toEqual(['a']);

        project.write({ 'repeatable/b.sql': note('b') });
        expect(await applied(project)).toEqual(['b', 'c']);
        expect(await seenBy(project)).toEqual(['a', 'b', 'c']);
      },
    ),
  );

  it(
    'wait until every version is applied',
    withProject({ '1_a.sql': seen, '2_b.sql': note('2'), 'repeatable/a.sql': note('a') }, async (project) => {
      expect(await applied(project, { to: '1' })).toEqual(['1_a']);
      expect(await applied(project)).toEqual(['2_b', 'a']);
    }),
  );
});
