import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openClient } from '../helpers/clients.ts';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf, merge, one, plan, undo } from './duplicates.ts';

/** Things 1 and 2 are the same, 3 and 4 as well, 5 is alone. */
const things = `
  CREATE TABLE things (id bigint PRIMARY KEY, name text, code text UNIQUE, hits integer, parent_id bigint REFERENCES things);
  INSERT INTO things VALUES (1, 'a', 'one', 1), (2, 'a', 'two', 2), (3, 'b', 'three', NULL), (4, 'b', 'four', 4), (5, 'c', 'five', 5);`;

const key = { table: 'things', key: ['name'] };

/** What merging and undoing must leave as it was. */
const merged = (
  ddl: string,
  tables: string[],
  check: (test: Parameters<Parameters<typeof withDatabase>[0]>[0]) => Promise<void>,
  request = {},
) =>
  withDatabase(async (test) => {
    await test.sql.unsafe(things + ddl);
    const before = await contentsOf(test.sql, 'things', ...tables);

    await merge(test, { ...key, ...request });

    expect(await one(test.sql, `SELECT string_agg(id::text, ',' ORDER BY id) FROM things`)).toBe('1,3,5');
    await check(test);
    const undone = await undo(test);
    expect(undone.problems).toEqual([]);
    expect(await contentsOf(test.sql, 'things', ...tables)).toEqual(before);
  });

describe('what refers to duplicates', () => {
  it(
    'by a foreign key is moved, whatever ON DELETE says',
    merged(
      `CREATE TABLE a (id int PRIMARY KEY, thing bigint REFERENCES things ON DELETE CASCADE);
       CREATE TABLE b (id int PRIMARY KEY, thing bigint REFERENCES things ON DELETE SET NULL);
       CREATE TABLE c (id int PRIMARY KEY, thing bigint DEFAULT 5 REFERENCES things ON DELETE SET DEFAULT);
       CREATE TABLE d (id int PRIMARY KEY, thing bigint NOT NULL REFERENCES things ON DELETE RESTRICT);
       INSERT INTO a VALUES (1, 1), (2, 2), (3, 4); INSERT INTO b VALUES (1, 2), (2, NULL); INSERT INTO c VALUES (1, 4); INSERT INTO d VALUES (1, 2);`,
      ['a', 'b', 'c', 'd'],
      async ({ sql }) => {
        expect(await contentsOf(sql, 'a', 'b', 'c', 'd')).toEqual({
          a: ['(1,1)', '(2,1)', '(3,3)'],
          b: ['(1,1)', '(2,)'],
          c: ['(1,3)'],
          d: ['(1,1)'],
        });
      },
    ),
  );

  it(
    'by a column that is unique, and not by the primary key, is moved to that of the row that stays',
    merged(
      `CREATE TABLE notes (id int PRIMARY KEY, code text REFERENCES things (code)); INSERT INTO notes VALUES (1, 'two'), (2, 'four'), (3, 'five');`,
      ['notes'],
      async ({ sql }) => {
        expect((await contentsOf(sql, 'notes')).notes).toEqual(['(1,one)', '(2,three)', '(3,five)']);
      },
    ),
  );

  it(
    'by several columns is moved',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`
        CREATE TABLE rooms (house int, room int, name text, PRIMARY KEY (house, room));
        CREATE TABLE beds (id int PRIMARY KEY, house int, room int, FOREIGN KEY (house, room) REFERENCES rooms);
        INSERT INTO rooms VALUES (1, 1, 'a'), (2, 7, 'a'), (1, 2, 'b'); INSERT INTO beds VALUES (1, 1, 1), (2, 2, 7), (3, 2, NULL);`);
      const before = await contentsOf(sql, 'rooms', 'beds');

      await merge(test, { table: 'rooms', key: ['name'] });

      expect(await contentsOf(sql, 'rooms', 'beds')).toEqual({
        rooms: ['(1,1,a)', '(1,2,b)'],
        beds: ['(1,1,1)', '(2,1,1)', '(3,2,)'],
      });
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'rooms', 'beds')).toEqual(before);
    }),
  );

  it(
    'by a deferrable foreign key is moved',
    merged(
      `CREATE TABLE a (id int PRIMARY KEY, thing bigint REFERENCES things DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1, 2), (2, 4);`,
      ['a'],
      async ({ sql }) => {
        expect((await contentsOf(sql, 'a')).a).toEqual(['(1,1)', '(2,3)']);
      },
    ),
  );

  it(
    'from a partitioned table, and from one partition of another alone, is moved',
    merged(
      `CREATE TABLE logs (id int, at date, thing bigint REFERENCES things ON DELETE CASCADE, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
       CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
       CREATE TABLE logs_2 PARTITION OF logs DEFAULT;
       CREATE TABLE other (id int PRIMARY KEY, thing bigint) PARTITION BY RANGE (id);
       CREATE TABLE other_1 PARTITION OF other FOR VALUES FROM (1) TO (10);
       ALTER TABLE other_1 ADD FOREIGN KEY (thing) REFERENCES things ON DELETE CASCADE;
       INSERT INTO logs VALUES (1, '2026-01-02', 2), (2, '2026-03-01', 4); INSERT INTO other VALUES (1, 2);`,
      ['logs', 'other'],
      async ({ sql }) => {
        expect(await contentsOf(sql, 'logs', 'other')).toEqual({
          logs: ['(1,2026-01-02,1)', '(2,2026-03-01,3)'],
          other: ['(1,1)'],
        });
      },
    ),
  );

  it(
    'from the table itself that goes round in a circle afterwards is told; a long chain and a circle elsewhere are not',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`
        CREATE TABLE folders (id int PRIMARY KEY, name text, parent_id int REFERENCES folders);
        INSERT INTO folders VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'a', NULL), (4, 'c', NULL), (7, 'x', NULL), (8, 'y', 7), (10, 'd', NULL), (11, 'd', 10);
        UPDATE folders SET parent_id = 2 WHERE id = 1; UPDATE folders SET parent_id = 4 WHERE id = 2; UPDATE folders SET parent_id = 3 WHERE id = 4;
        UPDATE folders SET parent_id = 8 WHERE id = 7;
        INSERT INTO folders SELECT n, 'n' || n, nullif(n - 1, 99) FROM generate_series(100, 400) n;
        INSERT INTO folders VALUES (500, 'n400', 400);`);
      const before = await contentsOf(sql, 'folders');

      const { circles } = await merge(test, { table: 'folders', key: ['name'] });

      expect(circles).toEqual([{ reference: 0, rows: ['1', '2', '4'] }]);
      await undo(test);
      expect(await contentsOf(sql, 'folders')).toEqual(before);
    }),
  );

  it(
    'from the table itself is moved, and a row that would come to refer to itself refers to nothing',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(
        `${things} UPDATE things SET parent_id = 2 WHERE id IN (1, 5); UPDATE things SET parent_id = 4 WHERE id = 4; UPDATE things SET parent_id = 1 WHERE id = 2`,
      );
      const before = await contentsOf(sql, 'things');

      const { tally } = await merge(test, key);

      expect((await contentsOf(sql, 'things')).things).toEqual([
        '(1,a,one,1,)',
        '(3,b,three,,)',
        '(5,c,five,5,1)',
      ]);
      expect([...tally.movements.values()]).toMatchObject([{ moved: 2, cut: 1 }]);
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'things')).toEqual(before);
    }),
  );

  it(
    'from a table without a key is moved and moved back, also where several rows are the same',
    merged(
      `CREATE TABLE seen (thing bigint REFERENCES things ON DELETE CASCADE, at date); INSERT INTO seen VALUES (1, '2026-01-01'), (2, '2026-01-01'), (2, '2026-01-01'), (2, NULL), (4, '2026-01-01');`,
      ['seen'],
      async ({ sql }) => {
        expect(await one(sql, 'SELECT count(*)::int FROM seen WHERE thing = 1')).toBe(4);
      },
    ),
  );

  it(
    'by two foreign keys, both in the primary key, is moved by both',
    merged(
      `CREATE TABLE pairs (a bigint REFERENCES things, b bigint REFERENCES things, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES (2, 4), (1, 5), (5, 2);`,
      ['pairs'],
      async ({ sql }) => {
        expect((await contentsOf(sql, 'pairs')).pairs).toEqual(['(1,3)', '(1,5)', '(5,1)']);
      },
    ),
  );

  it(
    'without a foreign key is named, and has to be declared or ignored',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things} CREATE TABLE clicks (id int PRIMARY KEY, thing_id integer, old_thing_id bigint, thing_ids text);
        INSERT INTO clicks VALUES (1, 2, 4, 'x');`);
      const before = await contentsOf(sql, 'things', 'clicks');

      await expect(merge(test, key)).rejects.toMatchObject({
        code: 'reference-undeclared',
        details: { columns: ['public.clicks.old_thing_id', 'public.clicks.thing_id'] },
      });
      expect(await contentsOf(sql, 'things', 'clicks')).toEqual(before);
      await merge(test, {
        ...key,
        references: ['clicks.thing_id'],
        ignoreReferences: ['public.clicks.old_thing_id'],
      });

      expect((await contentsOf(sql, 'clicks')).clicks).toEqual(['(1,1,4,x)']);
      await undo(test);
      expect(await contentsOf(sql, 'things', 'clicks')).toEqual(before);
    }),
  );

  it(
    'without a foreign key is locked while a batch is at work: what was about to be written is moved as well',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(
        `${things} CREATE TABLE clicks (id int PRIMARY KEY, thing_id bigint); INSERT INTO clicks VALUES (1, 2);`,
      );
      const client = await openClient(test, 'application');
      await client.begin('INSERT INTO clicks VALUES (2, 4)');

      const merging = merge(test, { ...key, references: ['clicks.thing_id'] });
      await sleep(1500);
      await client.sql.unsafe('COMMIT');
      await merging;

      expect((await contentsOf(sql, 'clicks')).clicks).toEqual(['(1,1)', '(2,3)']);
    }),
  );

  it(
    'to a partitioned table, or to one partition of it alone, is moved',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`
        CREATE TABLE parts (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10); CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
        CREATE TABLE a (id int PRIMARY KEY, part int REFERENCES parts ON DELETE CASCADE);
        CREATE TABLE b (id int PRIMARY KEY, part int REFERENCES parts_1 ON DELETE CASCADE);
        INSERT INTO parts VALUES (1, 'x'), (2, 'x'), (20, 'x'); INSERT INTO a VALUES (1, 2), (2, 20); INSERT INTO b VALUES (1, 2);`);
      const before = await contentsOf(sql, 'parts', 'a', 'b');

      await merge(test, { table: 'parts', key: ['name'] });

      expect(await contentsOf(sql, 'parts', 'a', 'b')).toEqual({
        parts: ['(1,x)'],
        a: ['(1,1)', '(2,1)'],
        b: ['(1,1)'],
      });
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'parts', 'a', 'b')).toEqual(before);
    }),
  );

  it(
    'is refused where it is a stretch of time, as no row can stand for it',
    withDatabase(async (test) => {
      if ((await one<number>(test.sql, `SELECT current_setting('server_version_num')::int`)) < 180000) return;
      await test.sql.unsafe(`CREATE EXTENSION btree_gist; CREATE TABLE jobs (id int, during daterange, name text, PRIMARY KEY (id, during WITHOUT OVERLAPS));
        CREATE TABLE shifts (job int, during daterange, FOREIGN KEY (job, PERIOD during) REFERENCES jobs (id, PERIOD during));`);

      await expect(plan(test, { table: 'jobs', key: ['name'] })).rejects.toMatchObject({
        code: 'table-unsuitable',
      });
    }),
  );

  it(
    'by a type of an extension is found as that type compares, wherever the extension is',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
        CREATE TABLE codes (code ext.citext PRIMARY KEY, name ext.citext); INSERT INTO codes VALUES ('A', 'x'), ('B', 'X');
        CREATE TABLE uses (id int PRIMARY KEY, code ext.citext REFERENCES codes ON DELETE CASCADE); INSERT INTO uses VALUES (1, 'b'), (2, 'B'), (3, 'a');`);

      await merge(test, { table: 'codes', key: ['name'] });

      expect(await contentsOf(sql, 'codes', 'uses')).toEqual({
        codes: ['(A,x)'],
        uses: ['(1,A)', '(2,A)', '(3,a)'],
      });
    }),
  );

  it(
    'by looser rules than those of = is refused, as it would cascade to rows that were not found',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE codes (code char(5) PRIMARY KEY, name text); INSERT INTO codes VALUES ('A', 'x'), ('B', 'x');
        CREATE TABLE uses (id int PRIMARY KEY, code text REFERENCES codes ON DELETE CASCADE); INSERT INTO uses VALUES (1, 'B  ');`);

      await expect(merge(test, { table: 'codes', key: ['name'] })).rejects.toMatchObject({
        code: 'table-unsuitable',
        message: expect.stringContaining('uses_code_fkey of public.uses compares code'),
      });
      await sql`ALTER TABLE uses ALTER code TYPE char(7)`;
      await merge(test, { table: 'codes', key: ['name'] });
      expect(await one(sql, 'SELECT code::text FROM uses')).toBe('A');
    }),
  );

  it(
    'and is referred to itself, with ON UPDATE SET NULL, is refused: what refers to it would be cut off',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${things}
        CREATE TABLE labels (thing bigint REFERENCES things, label int, PRIMARY KEY (thing, label)); INSERT INTO labels VALUES (2, 7);
        CREATE TABLE votes (thing bigint, label int, CONSTRAINT voted FOREIGN KEY (thing, label) REFERENCES labels ON UPDATE SET NULL); INSERT INTO votes VALUES (2, 7);`);

      await expect(merge(test, key)).rejects.toMatchObject({
        code: 'table-unsuitable',
        hint: 'make voted ON UPDATE CASCADE',
      });
      await sql`ALTER TABLE votes DROP CONSTRAINT voted, ADD FOREIGN KEY (thing, label) REFERENCES labels ON UPDATE CASCADE`;
      await merge(test, key);
      expect(await contentsOf(sql, 'votes')).toEqual({ votes: ['(1,7)'] });
      await undo(test);
      expect(await contentsOf(sql, 'votes')).toEqual({ votes: ['(2,7)'] });
    }),
  );
});
