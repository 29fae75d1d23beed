import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf, merge, one, plan, undo } from './duplicates.ts';

const files = `
  CREATE TABLE files (id int PRIMARY KEY, name text, size int, note text, tag varchar(9), seen date, data json, created_at timestamptz);
  INSERT INTO files VALUES (1, 'a', 10, NULL, '', NULL, NULL, '2026-03-01'), (2, 'a', 30, 'two', 'x', '2026-01-02', '{"a": 1,  "a": 2}', '2026-01-01'),
    (3, 'a', 20, 'three', 'y', NULL, NULL, '2026-02-01'), (4, NULL, 1, NULL, NULL, NULL, NULL, NULL), (5, NULL, 1, NULL, NULL, NULL, NULL, NULL);
  CREATE TABLE uses (id int PRIMARY KEY, file int REFERENCES files); INSERT INTO uses VALUES (1, 3), (2, 3), (3, 1);`;
const key = { table: 'files', key: ['name'] };

describe('the row that stays', () => {
  it.each([
    ['oldest', 2],
    ['newest', 1],
    ['most-referenced', 3],
    ['size DESC', 2],
    ["coalesce(note, 'z') = 'three' DESC, id", 3],
  ])('is with %s number %i', (keep, id) =>
    withDatabase(async (test) => {
      await test.sql.unsafe(files);

      await merge(test, { ...key, keep });

      expect(await one(test.sql, `SELECT id FROM files WHERE name = 'a'`)).toBe(id);
    })(),
  );

  it(
    'takes what it has not from the others, in their order, when that is asked for; undo takes it back',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(files);
      const before = await contentsOf(sql, 'files', 'uses');

      await merge(test, { ...key, keep: 'id', fill: true });

      expect((await contentsOf(sql, 'files')).files?.[0]).toBe(
        '(1,a,10,two,x,2026-01-02,"{""a"": 1,  ""a"": 2}","2026-03-01 00:00:00+00")',
      );
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'files', 'uses')).toEqual(before);
    }),
  );

  it(
    'is not filled with what it refers to in its own table: that may go, or be itself',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE folders (id int PRIMARY KEY, name text, note text, above int REFERENCES folders);
        INSERT INTO folders VALUES (1, 'a', NULL, NULL), (2, 'a', 'two', 1), (3, 'c', NULL, NULL), (5, 'c', NULL, NULL), (4, 'c', NULL, 5);`);

      await expect(merge(test, { table: 'folders', key: ['name'], fill: ['above'] })).rejects.toMatchObject({
        code: 'usage',
        message: 'public.folders.above cannot be filled',
      });
      await merge(test, { table: 'folders', key: ['name'], fill: true });

      expect((await contentsOf(sql, 'folders')).folders).toEqual(['(1,a,two,)', '(3,c,,)']);
    }),
  );
});

describe('rows that are the same', () => {
  it(
    'have a value in every column of the key: NULL is not the same as NULL, and that is said',
    withDatabase(async (test) => {
      await test.sql.unsafe(files);

      expect((await plan(test, key)).survey).toMatchObject({ clusters: 1, duplicates: 2, withoutKey: 2 });
    }),
  );

  it.each([
    ['nfc', '교육', '교육'.normalize('NFD'), 'nfc'],
    ['width', 'Excel 1', 'Ｅｘｃｅｌ　１', 'width'],
    ['nfkc', '수학①', '수학1', 'nfkc'],
    ['case', 'Excel', 'EXCEL', 'case'],
    ['space', 'a  b ', '\u00a0a\u3000b\u200b', 'space'],
    ['normalized', ' ＥＸＣＥＬ  교육', ' Excel 교육'.normalize('NFD'), 'nfc+width+case+space'],
    ['normalized', '수학①', '수학1', 'nfkc'],
    ['normalized', 'same', 'same', 'exact'],
    ['normalized', 'a b', 'a\u3000b', 'space'],
    ['normalized', 'a b', 'ａ\u3000b', 'width'],
    ['case,space', ' A', 'a', 'case+space'],
  ])('are seen with %s, and the rule is told: %s', (match, one, other, rule) =>
    withDatabase(async (test) => {
      await test.sql`CREATE TABLE texts (id int PRIMARY KEY, text text, other text)`;
      await test.sql`INSERT INTO texts VALUES (1, ${one}, 'x'), (2, ${other}, 'x'), (3, ${one}, 'y')`;

      const { survey } = await plan(test, { table: 'texts', key: ['text', 'other'], match });

      expect(survey).toMatchObject({ duplicates: 1, rules: { [rule]: 1 } });
      if (one !== other)
        expect((await plan(test, { table: 'texts', key: ['text', 'other'] })).survey.duplicates).toBe(0);
    })(),
  );

  it(
    'are compared as their type compares: numbers by value, and text by its collation',
    withDatabase(async (test) => {
      await test.sql.unsafe(`
        CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE texts (id int PRIMARY KEY, text text COLLATE anycase, n numeric);
        INSERT INTO texts VALUES (1, 'a', 1.0), (2, 'A', 1.00), (3, ' A', 1);`);

      expect((await plan(test, { table: 'texts', key: ['text', 'n'] })).survey.duplicates).toBe(1);
      expect(
        (await plan(test, { table: 'texts', key: ['text', 'n'], match: 'normalized' })).survey.duplicates,
      ).toBe(2);
    }),
  );
});

describe('a file of clusters', () => {
  it(
    'is gone on with by the run that was cut off, whose rows are no longer there',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${files} CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
        CREATE TRIGGER stop BEFORE DELETE ON files FOR EACH ROW WHEN (old.id = 5) EXECUTE FUNCTION stop();`);
      const before = await contentsOf(sql, 'files', 'uses');
      const request = { table: 'files', clusters: '[[1, 3], [4, 5]]', keep: 'id' };
      await expect(merge(test, request, { batchRows: 1 })).rejects.toMatchObject({ code: 'database-error' });
      expect(await one(sql, 'SELECT count(*)::int FROM files')).toBe(4);
      await sql`DROP TRIGGER stop ON files`;

      expect(await merge(test, request)).toMatchObject({ run: 1, tally: { removed: 1 } });

      expect(await one(sql, 'SELECT count(*)::int FROM files')).toBe(3);
      await undo(test);
      expect(await contentsOf(sql, 'files', 'uses')).toEqual(before);
    }),
  );

  it(
    'says which rows are the same, and which stays',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(files);
      const before = await contentsOf(sql, 'files', 'uses');

      await merge(test, { table: 'files', clusters: '[{"rows": [1, 3], "keep": 3}, ["4", 5]]' });

      expect(await one(sql, `SELECT string_agg(id::text, ',' ORDER BY id) FROM files`)).toBe('2,3,4');
      await undo(test);
      expect(await contentsOf(sql, 'files', 'uses')).toEqual(before);
    }),
  );

  it.each([
    ['[[1, 1]]', 'twice'],
    ['[[1, 99]]', 'no row 99'],
    ['[[1]]', 'not two rows'],
    ['[[1, 2], [2, 3]]', 'twice'],
    ['[{"rows": [1, 2], "keep": 3}]', 'keeps a row that is not in it'],
    ['nonsense', 'no JSON'],
    ['{"a": 1}', 'no list'],
    ['[[[1, 2], [3, 4]]]', 'no key'],
  ])('is refused when it is %s', (clusters, reason) =>
    withDatabase(async (test) => {
      await test.sql.unsafe(files);

      await expect(merge(test, { table: 'files', clusters })).rejects.toMatchObject({
        code: 'clusters-invalid',
        message: expect.stringContaining(reason),
      });
    })(),
  );
});
