import { describe, expect, it } from 'vitest';
import { withDatabase as openDatabase } from '../../src/db/connect.ts';
import type { DedupePlan } from '../../src/dedupe/dedupe.ts';
import { dedupeAndEnforce } from '../../src/dedupe/enforce.ts';
import { findSimilar } from '../../src/dedupe/similar.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { contentsOf, journal, merge, one, undo } from './duplicates.ts';

const books = `CREATE TABLE books (id int PRIMARY KEY, name text, size int); INSERT INTO books VALUES (1, 'a', 1), (2, 'A ', 2), (3, 'b', 3), (4, NULL, 4), (5, NULL, 5);`;
const request = { table: { schema: 'public', name: 'books' }, key: ['name'], match: 'normalized' };

const enforce = (
  { target }: TestDatabase,
  more: object = {},
  approve?: (plan: DedupePlan) => Promise<void>,
) =>
  openDatabase(target, {}, (database) =>
    dedupeAndEnforce(database, { ...request, ...more }, { journal }, approve),
  );

describe('dedupe --enforce', () => {
  it(
    'makes a unique index by the same rule, which undo takes away',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(books);
      const before = await contentsOf(sql, 'books');

      expect(await enforce(test)).toMatchObject({
        run: 1,
        enforced: { index: 'public.books_name_no_duplicates', made: true },
      });

      await expect(sql`INSERT INTO books VALUES (6, ' ａ')`).rejects.toThrow('books_name_no_duplicates');
      await sql`INSERT INTO books VALUES (6, NULL)`;
      expect(await enforce(test)).toMatchObject({ run: undefined, enforced: { made: false } });
      await sql`DELETE FROM books WHERE id = 6`;
      expect(await undo(test)).toMatchObject({ index: 'public.books_name_no_duplicates', problems: [] });
      expect(await contentsOf(sql, 'books')).toEqual(before);
      expect(await one(sql, `SELECT to_regclass('books_name_no_duplicates')`)).toBe(null);
    }),
  );

  it(
    'is taken away by an undo of a run that was before it, too: it would keep out what comes back',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(books);
      const before = await contentsOf(sql, 'books');
      await merge(test, { table: 'books', key: ['name'], match: 'normalized' });
      expect(await enforce(test)).toMatchObject({ run: undefined, enforced: { made: true } });

      expect(await undo(test)).toMatchObject({ index: 'public.books_name_no_duplicates', problems: [] });

      expect(await contentsOf(sql, 'books')).toEqual(before);
    }),
  );

  it(
    'merges what came meanwhile as well, and takes the place of an index that was cut off',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(books);
      await sql`CREATE UNIQUE INDEX CONCURRENTLY books_name_no_duplicates ON books (lower(btrim(name)))`.catch(
        () => {},
      );
      let asked = 0;

      const result = await enforce(test, {}, async () => {
        if (asked++ === 0) await sql`INSERT INTO books VALUES (7, 'B')`;
      });

      expect(asked).toBe(2);
      expect(result).toMatchObject({ tally: { removed: 2 }, enforced: { made: true } });
      expect(await one(sql, 'SELECT count(*)::int FROM books')).toBe(4);
    }),
  );

  it(
    'is refused for a partitioned table, and where another index has the name',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${books} CREATE TABLE parts (id int PRIMARY KEY, name text) PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (1, 'a'), (2, 'a');
        CREATE INDEX books_name_no_duplicates ON books (size);`);

      await expect(enforce(test, { table: { schema: 'public', name: 'parts' } })).rejects.toMatchObject({
        code: 'table-unsuitable',
      });
      expect(await one(sql, 'SELECT count(*)::int FROM parts')).toBe(2);
      await expect(enforce(test)).rejects.toMatchObject({ code: 'index-invalid' });
    }),
  );
});

describe('dedupe --similar', () => {
  const similar = ({ target }: TestDatabase, share: number) =>
    openDatabase(target, {}, (database) =>
      findSimilar(database, { ...request, match: undefined }, share, { journal }),
    );

  it(
    'needs pg_trgm, and says how to get it',
    withDatabase(async (test) => {
      await test.sql.unsafe(books);

      await expect(similar(test, 0.5)).rejects.toMatchObject({
        code: 'extension-missing',
        hint: expect.stringContaining('CREATE EXTENSION pg_trgm'),
      });
    }),
  );

  it(
    'proposes what is alike, in the form that --clusters takes, and merges nothing',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE EXTENSION pg_trgm; ${books}
        INSERT INTO books VALUES (10, '신입사원 정보보안 교육 2026'), (11, '신입사원 정보보안 교육  2026 '), (12, '신입사원 정보 보안 교육 2026'), (13, '리더십 워크숍');`);
      const before = await contentsOf(sql, 'books');

      const found = await similar(test, 0.8);

      expect(found.clusters.map(({ rows }) => [...rows].sort())).toEqual(
        expect.arrayContaining([
          ['10', '11', '12'],
          ['1', '2'],
        ]),
      );
      expect(found.clusters).toHaveLength(2);
      expect(await contentsOf(sql, 'books')).toEqual(before);
      await merge(test, { table: 'books', clusters: JSON.stringify({ ok: true, rows: found.clusters }) });
      expect(await one(sql, `SELECT string_agg(id::text, ',' ORDER BY id) FROM books`)).toBe('1,3,4,5,10,13');
    }),
  );
});
