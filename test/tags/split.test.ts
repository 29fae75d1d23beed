import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseColumnName, parseName } from '../../src/db/parse-name.ts';
import { splitTags } from '../../src/tags/split.ts';
import { withLibrary } from './library.ts';

describe('tags split', () => {
  it(
    'takes texts apart at commas of all kinds, semicolons and new lines, and leaves out blanks and repetitions',
    withLibrary(async ({ put, split, tagsOf }) => {
      await put(
        '안전, 교육，보건、 소방;훈련\r\n필수',
        ' , ,,안전,\u3000 안전 ,',
        '',
        null,
        '안전  교육,\t안전 교육',
      );
      const result = await split();

      expect(await tagsOf()).toEqual({
        1: ['교육', '보건', '소방', '안전', '필수', '훈련'],
        2: ['안전'],
        5: ['안전 교육'],
      });
      expect(result).toMatchObject({
        from: 'public.materials_old.tags_string',
        tags: 7,
        made: 7,
        added: 8,
        proof: { missing: 0, more: 0, same: 8 },
        refused: [],
        renamed: null,
      });
    }),
  );

  it(
    'joins case, width and Unicode forms under the spelling that is used most, or that is there already',
    withLibrary(async ({ sql, put, split, tagsOf }) => {
      await sql`INSERT INTO tags (name) VALUES ('PDF')`;
      await put(
        'Excel,pdf',
        'Excel,Pdf',
        'EXCEL',
        'ｅｘｃｅｌ',
        '교육'.normalize('NFD'),
        '교육'.normalize('NFD'),
        '교육',
      );
      expect(await split()).toMatchObject({ tags: 3, made: 2, added: 9 });

      expect(await tagsOf()).toMatchObject({
        1: ['Excel', 'PDF'],
        2: ['Excel', 'PDF'],
        3: ['Excel'],
        4: ['Excel'],
      });
      const [tag] = await sql`SELECT name = normalize('교육', NFC) AS is_nfc FROM tags WHERE name LIKE '교%'`;
      expect(tag).toEqual({ is_nfc: true });
    }),
  );

  it(
    'changes nothing when it runs again, and adds what has come since',
    withLibrary(async ({ sql, put, split, tagsOf }) => {
      await put('a,b', 'b');
      await split();
      const before = await sql`SELECT * FROM tags ORDER BY id`;
      expect(await split()).toMatchObject({ made: 0, added: 0, proof: { missing: 0, more: 0, same: 3 } });
      expect(await sql`SELECT * FROM tags ORDER BY id`).toEqual(before);

      await put('a,b', 'b,c');
      expect(await split()).toMatchObject({ made: 1, added: 1 });
      expect(await tagsOf()).toEqual({ 1: ['a', 'b'], 2: ['b', 'c'] });
    }),
  );

  it(
    'leaves tags alone that are in the tables only, and counts them',
    withLibrary(async ({ sql, put, split, tagsOf }) => {
      await put('a', 'b');
      await sql`INSERT INTO tags (name) VALUES ('own')`;
      await sql`INSERT INTO material_tags SELECT 1, id FROM tags`;
      expect((await split()).proof).toEqual({ missing: 0, more: 1, same: 2, examples: [] });
      expect(await tagsOf()).toEqual({ 1: ['a', 'own'], 2: ['b'] });
    }),
  );

  it(
    'lists what cannot go with its ids and goes on with the rest',
    withLibrary(async ({ folder, sql, put, split, tagsOf }) => {
      const long = '가'.repeat(51);
      await put(`a,${long}`, `b,${long}`, 'c', '"d');
      await sql`INSERT INTO materials_old VALUES (99, 'of nobody')`;
      await sql`ALTER TABLE tags ADD CONSTRAINT no_c CHECK (name <> 'c')`;
      const report = join(folder, 'refused.csv');
      const { refused, refusedCount } = await split({ quotes: true }, {}, report);

      expect(await tagsOf()).toEqual({ 1: ['a'], 2: ['b'] });
      expect(refusedCount).toBe(5);
      expect(refused.map(({ id, reason }) => [id, reason]).sort()).toEqual([
        ['1', 'too long: 51 characters of 50'],
        ['2', 'too long: 51 characters of 50'],
        ['3', expect.stringContaining('violates check constraint "no_c"')],
        ['4', 'a double quote without its pair'],
        ['99', 'not in public.materials: no id is id'],
      ]);
      const lines = readFileSync(report, 'utf8').trim().split('\n');
      expect(lines).toHaveLength(6);
      expect(lines).toContain(`1,${long},too long: 51 characters of 50`);
    }),
  );

  it(
    'finds the one owner in a batch whose tags a trigger refuses',
    withLibrary(async ({ sql, put, split, tagsOf }) => {
      await put('a', 'a', 'a,b', 'a', 'b', 'a', 'a');
      await sql.unsafe(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.material_id IN (3, 6) THEN RAISE 'not for %', NEW.material_id; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE INSERT ON material_tags FOR EACH ROW EXECUTE FUNCTION no()`);
      const { refused } = await split();

      expect(refused.map(({ id, reason }) => [id, reason])).toEqual([
        ['3', 'not for 3'],
        ['6', 'not for 6'],
      ]);
      expect(await tagsOf()).toEqual({ 1: ['a'], 2: ['a'], 4: ['a'], 5: ['b'], 7: ['a'] });
    }),
  );

  it(
    'keeps commas between quotes when it is asked to',
    withLibrary(async ({ put, split, tagsOf }) => {
      await put('"Kim, Lee",a', 'say ""x, "a ""b"", c";d', '"","e"');
      await split({ quotes: true });
      expect(await tagsOf()).toEqual({ 1: ['Kim, Lee', 'a'], 2: ['a "b", c', 'd', 'say x'], 3: ['e'] });
    }),
  );

  it(
    'takes other separators, of one character or several',
    withLibrary(async ({ put, split, tagsOf }) => {
      await put('a / b|c', 'd/e||f');
      await split({ separators: ['|', ' / ', '||'] });
      expect(await tagsOf()).toEqual({ 1: ['a', 'b', 'c'], 2: ['d/e', 'f'] });
    }),
  );

  it(
    'reads an array of the owners themselves, whose elements are tags as they are',
    withLibrary(async ({ sql, split, tagsOf }) => {
      await sql.unsafe(`DROP TABLE materials_old; ALTER TABLE materials ADD tags text[];
        INSERT INTO materials (id, tags) VALUES (1, '{" a","b, c",NULL,A}'), (2, NULL), (3, '{}')`);
      expect(await split()).toMatchObject({ from: 'public.materials.tags', added: 2 });
      expect(await tagsOf()).toEqual({ 1: ['A', 'b, c'] });
      await split({ separators: [','] });
      expect(await tagsOf()).toEqual({ 1: ['A', 'b', 'b, c', 'c'] });
    }),
  );

  it(
    'works on tables of any name and key',
    withLibrary(async ({ sql, split }) => {
      await sql.unsafe(`CREATE SCHEMA "Büro";
        CREATE TABLE "Büro"."문서" (code uuid PRIMARY KEY, "key words" varchar(200));
        CREATE TABLE "Büro".words (n serial PRIMARY KEY, word text UNIQUE);
        CREATE TABLE "Büro".doc_words (word int REFERENCES "Büro".words, doc uuid REFERENCES "Büro"."문서", UNIQUE (word, doc));
        INSERT INTO "Büro"."문서" VALUES (gen_random_uuid(), 'x,y'), (gen_random_uuid(), 'y')`);
      const wishes = {
        from: parseColumnName('Büro.문서."key words"'),
        tags: parseColumnName('Büro.words.word'),
        links: parseName('Büro.doc_words'),
      };
      expect(await split(wishes)).toMatchObject({ made: 2, added: 3 });
    }),
  );

  it(
    'goes on in batches by an id of characters of a length',
    withLibrary(async ({ sql, split }) => {
      await sql.unsafe(`CREATE TABLE docs (code char(3) PRIMARY KEY, words text);
        CREATE TABLE doc_tags (doc char(3) REFERENCES docs, tag bigint REFERENCES tags, PRIMARY KEY (doc, tag));
        INSERT INTO docs VALUES ('aaa', 'x,y'), ('aab', 'z'), ('aac', 'x'), ('abc', 'q')`);
      const wishes = { from: parseColumnName('docs.words'), links: parseName('doc_tags'), batch: 1 };
      expect(await split(wishes)).toMatchObject({ made: 4, added: 5, proof: { missing: 0, same: 5 } });
    }),
  );

  it(
    'ends a quotation with the element of an array that it is in',
    withLibrary(async ({ sql, split, tagsOf }) => {
      await sql.unsafe(`ALTER TABLE materials ADD tags text[]; DROP TABLE materials_old;
        INSERT INTO materials (id, tags) VALUES (1, ARRAY['"a, b",c', NULL, 'd']), (2, ARRAY['5" disk', 'p,q']), (3, ARRAY['5" disk', '"e"'])`);
      const { refused } = await split({ quotes: true, separators: [','] });
      expect(refused.map(({ id, reason }) => [id, reason]).sort()).toEqual([
        ['2', 'a double quote without its pair'],
        ['3', 'a double quote without its pair'],
      ]);
      expect(await tagsOf()).toEqual({ 1: ['a, b', 'c', 'd'] });
    }),
  );

  it(
    'does not rename a column of which policies hide texts from its owner',
    withLibrary(async ({ sql, put, createUser, open }) => {
      await put('a', 'b');
      const { target, name } = await createUser();
      await sql.unsafe(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${name}; GRANT CREATE ON SCHEMA public TO ${name};
        ALTER TABLE materials_old OWNER TO ${name}; ALTER TABLE materials_old FORCE ROW LEVEL SECURITY;
        ALTER TABLE materials_old ENABLE ROW LEVEL SECURITY; CREATE POLICY first ON materials_old USING (id = 1)`);
      const asOwner = open(
        (database) =>
          splitTags(
            database,
            { tags: parseColumnName('tags.name'), links: parseName('material_tags'), rename: 'before' },
            'public',
            {},
          ),
        target,
      );
      await expect(asOwner).rejects.toMatchObject({ code: 'permission-denied' });
      expect(await sql`SELECT tags_string FROM materials_old ORDER BY id`).toHaveLength(2);
    }),
  );

  it(
    'renames the column at the end, but not when something could not go',
    withLibrary(async ({ sql, put, split }) => {
      await put('a', `b,${'x'.repeat(60)}`);
      await expect(split({ rename: 'tags_before' })).rejects.toMatchObject({ code: 'proof-failed' });
      await put('a', 'b');
      expect(await split({ rename: 'tags_before' })).toMatchObject({ renamed: 'tags_before' });
      expect(await sql`SELECT tags_before FROM materials_old ORDER BY id`).toEqual([
        { tags_before: 'a' },
        { tags_before: 'b' },
      ]);
    }),
  );

  it(
    'shows before what it would do, and does nothing',
    withLibrary(async ({ sql, put, preview }) => {
      await sql`INSERT INTO tags (name) VALUES ('there')`;
      await put('Excel,There', 'Excel', 'EXCEL', 'x'.repeat(51));
      await sql`INSERT INTO materials_old VALUES (77, 'a')`;

      expect(await preview()).toEqual({
        from: 'public.materials_old.tags_string',
        tags: [
          { name: 'there', uses: 1, spellings: ['There'], isNew: false, refused: null },
          { name: 'Excel', uses: 3, spellings: ['Excel', 'EXCEL'], isNew: true, refused: null },
          {
            name: 'x'.repeat(51),
            uses: 1,
            spellings: ['x'.repeat(51)],
            isNew: false,
            refused: 'too long: 51 characters of 50',
          },
        ],
        stray: [{ id: '77', text: 'a', reason: 'not in public.materials: no id is id' }],
      });
      expect(await sql`SELECT count(*)::int AS n FROM tags`).toEqual([{ n: 1 }]);
    }),
  );
});
