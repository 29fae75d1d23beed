import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf, merge, one, undo } from './duplicates.ts';

const log = `SELECT string_agg(op || ': ' || problem, '; ' ORDER BY op) FROM schema_versions_dedupe_log`;

describe('dedupe undo, row by row', () => {
  it(
    'leaves the row that a deferred foreign key stands against, and puts back the others',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE shelves (id int PRIMARY KEY); INSERT INTO shelves VALUES (1), (2);
        CREATE TABLE books (id int PRIMARY KEY, name text, shelf int CONSTRAINT stands REFERENCES shelves DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO books VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 1), (4, 'b', 1);`);
      await merge(test, { table: 'books', key: ['name'] });
      await sql`DELETE FROM shelves WHERE id = 2`;

      expect((await undo(test)).problems).toMatchObject([{ table: 'public.books', rows: 1, lost: true }]);

      expect((await contentsOf(sql, 'books')).books).toEqual(['(1,a,1)', '(3,b,1)', '(4,b,1)']);
      expect(await one(sql, log)).toBe(
        'removed: insert or update on table "books" violates foreign key constraint "stands"',
      );
    }),
  );

  it(
    'leaves a child whose old place somebody else has taken, with a key and without, and moves the others',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE books (id int PRIMARY KEY, name text); INSERT INTO books VALUES (1, 'a'), (2, 'a');
        CREATE TABLE clicks (id int PRIMARY KEY, book_id int, day int, UNIQUE (book_id, day)); INSERT INTO clicks VALUES (1, 2, 1), (2, 2, 2), (3, 2, 3);
        CREATE TABLE seen (book_id int, day int); CREATE UNIQUE INDEX ON seen (book_id, day); INSERT INTO seen VALUES (2, 1), (2, 2);`);
      await merge(test, { table: 'books', key: ['name'], references: ['clicks.book_id', 'seen.book_id'] });
      await sql`INSERT INTO clicks VALUES (9, 2, 1)`;
      await sql`INSERT INTO seen VALUES (2, 2)`;

      expect((await undo(test)).problems).toMatchObject([
        { table: 'public.seen', rows: 1, lost: true },
        { table: 'public.clicks', rows: 1, lost: true },
      ]);

      expect(await contentsOf(sql, 'books', 'clicks', 'seen')).toEqual({
        books: ['(1,a)', '(2,a)'],
        clicks: ['(1,1,1)', '(2,2,2)', '(3,2,3)', '(9,2,1)'],
        seen: ['(1,2)', '(2,1)', '(2,2)'],
      });
      expect(await one(sql, log)).toContain('moved: could not be moved back: duplicate key value');
    }),
  );

  it(
    'leaves a value that a constraint keeps, and sets back the others',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE books (id int PRIMARY KEY, name text, note text, hits int);
        INSERT INTO books VALUES (1, 'a', NULL, 1), (2, 'a', 'n', 2), (3, 'b', 'y', 1), (4, 'b', 'z', 5);`);
      await merge(test, { table: 'books', key: ['name'], sum: ['hits'], fill: ['note'] });
      await sql`ALTER TABLE books ALTER note SET NOT NULL`;

      expect((await undo(test)).problems).toMatchObject([
        { problem: expect.stringContaining('could not be set back: null value in column "note"'), rows: 1 },
      ]);

      expect((await contentsOf(sql, 'books')).books).toEqual([
        '(1,a,n,3)',
        '(2,a,n,2)',
        '(3,b,y,1)',
        '(4,b,z,5)',
      ]);
    }),
  );

  it.each([
    ['INSERT', '2020-01-02', []],
    [
      'INSERT OR UPDATE',
      '2030-01-01',
      [
        {
          table: 'public.books',
          problem: 'are back with another changed_at, which a trigger sets',
          rows: 1,
          lost: true,
        },
      ],
    ],
  ] as const)(
    'sets a time as it was that a trigger sets with %s, or says that it could not',
    (events, time, problems) =>
      withDatabase(async (test) => {
        const { sql } = test;
        await sql.unsafe(`CREATE TABLE books (id int PRIMARY KEY, name text, changed_at date); INSERT INTO books VALUES (1, 'a', '2020-01-01'), (2, 'a', '2020-01-02');
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.changed_at := '2030-01-01'; RETURN new; END $$;
        CREATE TRIGGER touch BEFORE ${events} ON books FOR EACH ROW EXECUTE FUNCTION touch();`);
        await merge(test, { table: 'books', key: ['name'] });

        expect((await undo(test)).problems).toEqual(problems);

        expect(await one(sql, 'SELECT changed_at::text FROM books WHERE id = 2')).toBe(time);
        expect(await one(sql, 'SELECT count(*)::int FROM schema_versions_dedupe_log')).toBe(problems.length);
      })(),
  );

  it(
    'says that a time could not be set back where a trigger sets it with every update',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE books (id int PRIMARY KEY, name text, hits int, changed_at date); INSERT INTO books VALUES (1, 'a', 1, '2020-01-01'), (2, 'a', 2, '2020-01-02');
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.changed_at := '2030-01-01'; RETURN new; END $$;
        CREATE TRIGGER touch BEFORE UPDATE ON books FOR EACH ROW EXECUTE FUNCTION touch();`);
      await merge(test, { table: 'books', key: ['name'], sum: ['hits'] });

      expect((await undo(test)).problems).toEqual([
        {
          table: 'public.books',
          problem: 'have another changed_at, which a trigger sets',
          rows: 1,
          lost: true,
        },
      ]);
      expect((await contentsOf(sql, 'books')).books).toEqual(['(1,a,1,2030-01-01)', '(2,a,2,2020-01-02)']);
    }),
  );

  it(
    'sets a sum that nobody has touched since back to the last digit, below zero as well',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE books (id int PRIMARY KEY, name text, a numeric, b float8, c real, d int);
        INSERT INTO books VALUES (1, 'x', 1.5, 0.1, 0.1, -5), (2, 'x', 2.75, 0.2, 0.2, 7)`);
      const before = await contentsOf(sql, 'books');
      await merge(test, { table: 'books', key: ['name'], sum: ['a', 'b', 'c', 'd'] });

      expect((await undo(test)).problems).toEqual([]);

      expect(await contentsOf(sql, 'books')).toEqual(before);
    }),
  );

  it(
    'waits for a later run on another table that has removed children of this one',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE books (id int PRIMARY KEY, name text); INSERT INTO books VALUES (1, 'x'), (2, 'x');
        CREATE TABLE words (id int PRIMARY KEY, name text); INSERT INTO words VALUES (1, 'a'), (2, 'a');
        CREATE TABLE tagged (book int REFERENCES books ON DELETE CASCADE, word int REFERENCES words, PRIMARY KEY (book, word)); INSERT INTO tagged VALUES (2, 1), (2, 2);`);
      const before = await contentsOf(sql, 'books', 'words', 'tagged');
      await merge(test, { table: 'words', key: ['name'] });
      await merge(test, { table: 'books', key: ['name'] });

      await expect(undo(test, 1)).rejects.toMatchObject({
        code: 'usage',
        hint: expect.stringContaining('undo 2'),
      });
      await undo(test);
      await undo(test);
      expect(await contentsOf(sql, 'books', 'words', 'tagged')).toEqual(before);
    }),
  );
});
