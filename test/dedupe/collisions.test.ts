import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf, merge, one, plan, undo } from './duplicates.ts';

const things = `CREATE TABLE things (id bigint PRIMARY KEY, name text);
  INSERT INTO things VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'b');`;
const key = { table: 'things', key: ['name'] };

describe('children that would be twice in a unique index', () => {
  it(
    'are merged when they say the same, else kept aside whole; undo brings them back',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things}
        CREATE TABLE tagged (thing bigint REFERENCES things ON DELETE CASCADE, tag int, note text, PRIMARY KEY (thing, tag));
        INSERT INTO tagged VALUES (1, 10, 'x'), (2, 10, 'x'), (3, 10, 'other'), (2, 20, 'y'), (3, 20, 'z'), (4, 10, 'x');`);
      const before = await contentsOf(sql, 'things', 'tagged');
      const { survey } = await plan(test, key);
      expect(survey.children).toMatchObject([{ rows: 4, collisions: 3 }]);

      const { tally } = await merge(test, key);

      expect((await contentsOf(sql, 'tagged')).tagged).toEqual(['(1,10,x)', '(1,20,y)', '(4,10,x)']);
      expect([...tally.collisions.values()]).toEqual([{ merged: 1, aside: 2 }]);
      expect([...tally.movements.values()]).toMatchObject([{ before: 4, after: 1, moved: 1, gone: 3 }]);
      const log =
        await sql`SELECT old_values, note FROM schema_versions_dedupe_log WHERE op = 'removed' AND note IN ('merged', 'kept aside') ORDER BY old_values ->> 'note'`;
      expect(log.map(({ old_values, note }) => [old_values.note, note])).toEqual([
        ['other', 'kept aside'],
        ['x', 'merged'],
        ['z', 'kept aside'],
      ]);
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'things', 'tagged')).toEqual(before);
    }),
  );

  it(
    'take what refers to them along, however deep it goes',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things}
        CREATE TABLE courses (id int PRIMARY KEY, thing bigint NOT NULL REFERENCES things ON DELETE CASCADE, day date, UNIQUE (thing, day));
        CREATE TABLE lessons (id int PRIMARY KEY, course int NOT NULL REFERENCES courses ON DELETE CASCADE, hour int, UNIQUE (course, hour));
        CREATE TABLE marks (id int PRIMARY KEY, lesson int NOT NULL REFERENCES lessons ON DELETE CASCADE, mark int);
        INSERT INTO courses VALUES (1, 1, '2026-01-01'), (2, 2, '2026-01-01'), (3, 2, '2026-01-02');
        INSERT INTO lessons VALUES (1, 1, 8), (2, 2, 8), (3, 2, 9), (4, 3, 8);
        INSERT INTO marks VALUES (1, 1, 10), (2, 2, 20), (3, 3, 30), (4, 4, 40);`);
      const before = await contentsOf(sql, 'things', 'courses', 'lessons', 'marks');

      await merge(test, key);

      expect(await contentsOf(sql, 'courses', 'lessons', 'marks')).toEqual({
        courses: ['(1,1,2026-01-01)', '(3,1,2026-01-02)'],
        lessons: ['(1,1,8)', '(3,1,9)', '(4,3,8)'],
        marks: ['(1,1,10)', '(2,1,20)', '(3,3,30)', '(4,4,40)'],
      });
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'things', 'courses', 'lessons', 'marks')).toEqual(before);
    }),
  );

  it(
    'in a tree are merged with all below them, as two folders are',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(
        `
        CREATE TABLE folders (id int PRIMARY KEY, parent int REFERENCES folders ON DELETE CASCADE, name text, size int, UNIQUE (parent, name));
        INSERT INTO folders VALUES (1, NULL, 'root', 1), (2, NULL, 'root', 2), (3, 1, 'x', 3), (4, 2, 'x', 4), (5, 4, 'y', 5), (6, 3, 'y', 6), (7, 5, 'z', 7);`.replace(
          'NULLS DISTINCT ',
          '',
        ),
      );
      const before = await contentsOf(sql, 'folders');

      await merge(test, { table: 'folders', clusters: '[[1, 2]]', sum: ['size'] });

      expect((await contentsOf(sql, 'folders')).folders).toEqual([
        '(1,,root,3)',
        '(3,1,x,7)',
        '(6,3,y,11)',
        '(7,6,z,7)',
      ]);
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'folders')).toEqual(before);
    }),
  );

  it(
    'have their counters summed where that is asked for',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things}
        CREATE TABLE stats (thing bigint PRIMARY KEY REFERENCES things, hits int, note text);
        INSERT INTO stats VALUES (1, 10, 'x'), (2, 5, 'x'), (3, NULL, 'y');`);
      const before = await contentsOf(sql, 'things', 'stats');

      await merge(test, { ...key, sum: ['stats.hits'] });

      expect((await contentsOf(sql, 'stats')).stats).toEqual(['(1,15,x)']);
      await sql`UPDATE stats SET hits = hits + 100`;
      expect((await undo(test)).problems).toEqual([]);
      await sql`UPDATE stats SET hits = hits - 100 WHERE thing = 1`;
      expect(await contentsOf(sql, 'things', 'stats')).toEqual(before);
    }),
  );

  it(
    'are found in partial indexes and indexes over expressions, and rows without a value do not collide',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things}
        CREATE TABLE notes (id int PRIMARY KEY, thing bigint REFERENCES things, title text, is_open bool, place int, UNIQUE (thing, place));
        CREATE UNIQUE INDEX ON notes (thing, lower(title)) WHERE is_open;
        INSERT INTO notes VALUES (1, 1, 'Hello', true, NULL), (2, 2, 'hello', true, NULL), (3, 2, 'HELLO', false, NULL), (4, 3, 'other', true, NULL);`);
      const before = await contentsOf(sql, 'things', 'notes');

      await merge(test, key);

      expect((await contentsOf(sql, 'notes')).notes).toEqual([
        '(1,1,Hello,t,)',
        '(3,1,HELLO,f,)',
        '(4,1,other,t,)',
      ]);
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'things', 'notes')).toEqual(before);
    }),
  );

  it(
    'of a table with a unique index for its only key are known by it',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things}
        CREATE TABLE tagged (thing bigint REFERENCES things, tag int, UNIQUE (thing, tag));
        INSERT INTO tagged VALUES (1, 10), (2, 10), (2, NULL), (3, NULL);`);
      const before = await contentsOf(sql, 'things', 'tagged');

      await merge(test, key);

      expect((await contentsOf(sql, 'tagged')).tagged).toEqual(['(1,)', '(1,)', '(1,10)']);
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'things', 'tagged')).toEqual(before);
    }),
  );

  it(
    'by an exclusion constraint stop the batch with its name, and nothing is changed',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE EXTENSION btree_gist; ${things}
        CREATE TABLE bookings (id int PRIMARY KEY, thing bigint REFERENCES things, during daterange, CONSTRAINT one_at_a_time EXCLUDE USING gist (thing WITH =, during WITH &&));
        INSERT INTO bookings VALUES (1, 1, '[2026-01-01,2026-02-01)'), (2, 2, '[2026-01-15,2026-03-01)');`);
      const before = await contentsOf(sql, 'things', 'bookings');

      await expect(merge(test, key)).rejects.toMatchObject({
        code: 'database-error',
        excerpt: expect.stringContaining('one_at_a_time'),
      });

      expect(await contentsOf(sql, 'things', 'bookings')).toEqual(before);
      expect(await one(sql, 'SELECT count(*)::int FROM schema_versions_dedupe_log')).toBe(0);
    }),
  );
});
