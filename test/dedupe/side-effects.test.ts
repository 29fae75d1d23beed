import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf, merge, one } from './duplicates.ts';

/** 20 books that are there twice, each with two loans, and one loan that stays with the book that stays. */
const library = `
  CREATE TABLE books (id bigint PRIMARY KEY, name text);
  CREATE TABLE loans (id bigint PRIMARY KEY, book bigint REFERENCES books ON DELETE CASCADE, seen int DEFAULT 0) PARTITION BY RANGE (id);
  CREATE TABLE loans_a PARTITION OF loans FOR VALUES FROM (0) TO (50);
  CREATE TABLE loans_b PARTITION OF loans FOR VALUES FROM (50) TO (1000);
  CREATE INDEX ON loans (book);
  INSERT INTO books SELECT n, 'book ' || n % 20 FROM generate_series(0, 39) n;
  INSERT INTO loans SELECT n, n % 40 FROM generate_series(0, 119) n WHERE n < 80 OR n % 40 < 20;`;
const request = { table: 'books', key: ['name'] };
const trigger = (event: string, condition: string, body: string) => `
  CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN coalesce(new, old); END $$;
  CREATE TRIGGER meddle ${event} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION meddle();`;

describe('what triggers do to other rows than those that are moved', () => {
  it(
    'does not keep the rows of later batches from being told as counted in the first',
    withDatabase(async (test) => {
      await test.sql.unsafe(library);
      const { tally } = await merge(test, request, { batchRows: 3 });

      expect([...tally.movements.values()]).toEqual([
        { before: 40, after: 40, moved: 40, astray: 0, cut: 0, gone: 0 },
      ]);
    }),
  );

  it.each([
    ['removes children of a row that stays', 'DELETE FROM loans WHERE book = new.book AND id <> new.id;'],
    ['takes them away from it', 'UPDATE loans SET book = NULL WHERE book = new.book AND id <> new.id;'],
    ['empties the table', 'IF new.id = 75 THEN SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM loans; END IF;'],
  ])('is found in a late batch where it %s, and nothing of that batch is changed', async (_, body) => {
    await withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library + trigger('AFTER UPDATE OF book ON loans', 'new.id = 75', body));

      await expect(merge(test, request, { batchRows: 3 })).rejects.toMatchObject({
        code: 'proof-failed',
        message: expect.stringMatching(/public\.loans\.book/),
      });

      expect(await one(sql, 'SELECT count(*)::int FROM loans')).toBe(100);
      expect(await one(sql, 'SELECT count(*)::int FROM loans l JOIN books b ON b.id = l.book')).toBe(100);
      expect(await one(sql, 'SELECT count(*)::int FROM books')).toBeLessThan(40);
    })();
  });

  it(
    'is found where a trigger sends a row to another one than the row that stays',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library + trigger('BEFORE UPDATE ON loans', 'new.id = 75', 'new.book = 1;'));

      await expect(merge(test, request, { batchRows: 3 })).rejects.toMatchObject({ code: 'proof-failed' });
      expect(await one(sql, 'SELECT count(*)::int FROM loans WHERE book = 1 AND id = 75')).toBe(0);
    }),
  );

  it(
    'is found where the removal of a row takes children of the one that stays along',
    withDatabase(async (test) => {
      const { sql } = test;
      const body = 'DELETE FROM loans WHERE book = old.id - 20;';
      await sql.unsafe(library + trigger('AFTER DELETE ON books', 'old.id = 35', body));

      await expect(merge(test, request, { batchRows: 3 })).rejects.toMatchObject({ code: 'proof-failed' });
      expect(await one(sql, 'SELECT count(*)::int FROM loans')).toBe(100);
    }),
  );

  it(
    'does no harm where it changes something else in the child: rows are counted then',
    withDatabase(async (test) => {
      const { sql } = test;
      const body = 'UPDATE loans SET seen = seen + 1 WHERE id = 3;';
      await sql.unsafe(library + trigger('AFTER UPDATE OF book ON loans', 'new.id > 60', body));

      const { tally } = await merge(test, request, { batchRows: 3 });

      expect([...tally.movements.values()]).toMatchObject([{ before: 40, after: 40, moved: 40 }]);
      expect(await one(sql, 'SELECT seen FROM loans WHERE id = 3')).toBe(19);
      expect(await one(sql, 'SELECT count(*)::int FROM books')).toBe(20);
      expect((await contentsOf(sql, 'loans')).loans).toHaveLength(100);
    }),
  );

  it(
    'is counted in each batch where the server keeps no statistics',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library + trigger('BEFORE UPDATE ON loans', 'new.id = 75', 'new.book = 1;'));
      await sql.unsafe(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END $$`,
      );

      await expect(merge(test, request, { batchRows: 3 })).rejects.toMatchObject({ code: 'proof-failed' });
      await sql`DROP TRIGGER meddle ON loans`;
      const { tally } = await merge(test, request, { batchRows: 3 });
      expect([...tally.movements.values()][0]?.moved).toBeGreaterThan(0);
      expect(await one(sql, 'SELECT count(*)::int FROM loans l JOIN books b ON b.id = l.book')).toBe(100);
    }),
  );
});
