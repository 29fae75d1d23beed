import { describe, expect, it } from 'vitest';
import type { ConvertRequest } from '../../../src/partitions/convert/request.ts';
import { plainShop, type Shop, withShop } from './shop.ts';

/** What stands in the way, one line each. */
async function obstaclesOf(shop: Shop, request: Partial<ConvertRequest> = {}): Promise<string[]> {
  const before = await shop.catalogue();
  const error = await shop.prepare(request).then(
    () => undefined,
    (reason) => reason,
  );
  expect(await shop.catalogue()).toEqual(before);
  return ((error?.details?.obstacles ?? []) as { what: string; remedy: string }[]).map(
    ({ what, remedy }) => `${what}: ${remedy}`,
  );
}

/** Changes to the plain shop, and what is said of each. */
const cases: readonly [title: string, sql: string, obstacles: (string | RegExp)[]][] = [
  [
    'a unique constraint without the column',
    'ALTER TABLE events ADD CONSTRAINT notes UNIQUE (note)',
    [
      /^notes is unique over \(note\), and partitions cannot keep that.*: --widen notes makes it unique over \(note, at\); or drop it$/,
    ],
  ],
  [
    'a foreign key to a key that goes',
    'CREATE TABLE o (event bigint CONSTRAINT to_event REFERENCES events)',
    [
      /^to_event of public\.o references \(id\), .*: --drop-incoming-fk to_event drops it; undo brings it back$/,
    ],
  ],
  [
    'a foreign key to itself',
    'ALTER TABLE events ADD parent bigint CONSTRAINT up REFERENCES events',
    [/^up of public\.events references \(id\)/],
  ],
  [
    'rows without a time',
    'ALTER TABLE events ALTER at DROP NOT NULL; INSERT INTO events (item, at) VALUES (1, NULL)',
    ['1 row has no at: give them one: UPDATE ... WHERE at IS NULL'],
  ],
  [
    'rows at infinity',
    `INSERT INTO events (item, at) VALUES (1, 'infinity'), (1, 'infinity')`,
    ['2 rows have at = infinity, which is in no period: give them a time'],
  ],
  [
    'rows behind the end',
    `INSERT INTO events (item, at) VALUES (1, '2199-01-01 12:00Z')`,
    [
      /^1 row has at from \d{4}-\d\d-01 on, where the first partition is to end \(the latest: 2199-01-01 12:00:00\+00 UTC\): --from <day> sets a later end; or correct them$/,
    ],
  ],
  [
    'a table that others inherit from',
    'CREATE TABLE child () INHERITS (events)',
    [/^1 tables inherit from public\.events/],
  ],
  [
    'a table that inherits',
    'CREATE TABLE top (item int NOT NULL); ALTER TABLE events INHERIT top',
    [/^public\.events inherits from another table/],
  ],
  [
    'a constraint that is not validated',
    'ALTER TABLE events ADD CONSTRAINT late CHECK (item > 0) NOT VALID',
    ['the constraint late is not validated: ALTER TABLE public.events VALIDATE CONSTRAINT late'],
  ],
  [
    'a constraint that is not inherited',
    'ALTER TABLE events ADD CONSTRAINT own CHECK (item > 0) NO INHERIT',
    [/^the constraint own is NO INHERIT/],
  ],
  [
    'an exclusion constraint',
    'ALTER TABLE events ADD CONSTRAINT apart EXCLUDE USING btree (note WITH =)',
    [/^apart excludes overlaps/],
  ],
  [
    'a row trigger with a transition table',
    'CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER seer AFTER INSERT ON events REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION f()',
    [/^the trigger seer is FOR EACH ROW with a transition table/],
  ],
  [
    'a function over its rows',
    'CREATE FUNCTION title(e events) RETURNS text LANGUAGE sql AS $$ SELECT e.note $$',
    [/^function public\.title\(public\.events\) is bound to the table, and cannot be bound to another/],
  ],
  [
    'a view that groups by its key',
    'CREATE VIEW grouped AS SELECT id, note FROM events GROUP BY id',
    [/^view public\.grouped is bound to the table/],
  ],
  [
    'a materialized view of a materialized view',
    'CREATE MATERIALIZED VIEW one AS SELECT count(*) FROM events; CREATE MATERIALIZED VIEW two AS SELECT * FROM one',
    [/^materialized view public\.two is bound to the materialized view public\.one/],
  ],
  [
    'a publication with another partitioned table',
    'CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE PUBLICATION mixed FOR TABLE events, parts',
    [/^the publication mixed publishes partitions by their own names.*publish_via_partition_root = true/],
  ],
  [
    'a table of that name',
    'CREATE TABLE events_default (); CREATE TABLE events_pkey_eduschema ()',
    [
      'public.events_default exists already, and the conversion needs its name: rename it',
      'public.events_pkey_eduschema exists already, and the conversion needs its name: rename it',
    ],
  ],
  [
    'a stranger where the twin would be',
    'CREATE TABLE events_eduschema ()',
    [/^public\.events_eduschema exists already/],
  ],
  [
    'two keys that would be one',
    'CREATE UNIQUE INDEX twice ON events (id, at)',
    [/^(twice and events_pkey|events_pkey and twice) would be the same unique index/],
  ],
];

describe('what stands in the way is named before anything is done', () => {
  it.each(cases)('%s', async (_, change, expected) => {
    await withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(change);

      const found = await obstaclesOf(shop);

      expect(found).toEqual(
        expected.map((line) => (typeof line === 'string' ? line : expect.stringMatching(line))),
      );
    })();
  });

  it(
    'several are named at once, and names that are none',
    withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(
        'ALTER TABLE events ADD CONSTRAINT notes UNIQUE (note); CREATE TABLE child () INHERITS (events)',
      );

      expect(await obstaclesOf(shop, { widen: ['notse'], dropIncoming: ['nobody'] })).toHaveLength(4);
    }),
  );

  it(
    'an index that is invalid',
    withShop(plainShop, async (shop) => {
      await shop.sql`CREATE UNIQUE INDEX CONCURRENTLY twice ON events (item)`.catch(() => {});

      expect(await obstaclesOf(shop, { widen: ['twice'] })).toEqual([
        'the index twice is invalid: REINDEX INDEX CONCURRENTLY twice, or DROP INDEX CONCURRENTLY twice',
      ]);
    }),
  );

  it(
    'a later end makes room for rows that lie ahead',
    withShop(plainShop, async (shop) => {
      await shop.sql`INSERT INTO events (item, at) VALUES (1, '2031-03-01 12:00+09')`;

      const { converted } = await shop.convert({ from: '2031-04-01' });

      expect(converted[0]?.name.name).toBe('events_before_2031_04');
      await expect(shop.prepare({ from: '2031-04-02' })).resolves.toBeUndefined();
    }),
  );

  it.each([
    [{ by: 'nothing' }, 'usage', 'public.events has no column nothing', 'columns with a time: at'],
    [
      { by: 'note' },
      'table-unsuitable',
      'note of public.events is text, which is no time',
      'columns with a time: at',
    ],
    [{ from: '2031-04-02' }, 'usage', 'no month begins on 2031-04-02', 'the month begins on 2031-04-01'],
    [
      { from: '2020-01-01' },
      'usage',
      '--from 2020-01-01 is past, or begins within the hour',
      'name a later day',
    ],
    [{ from: 'soon' }, 'usage', '--from soon is no day', '2027-01-01'],
    [{ zone: 'Asia/Seuol' }, 'usage', 'the server knows no time zone "Asia/Seuol"', ''],
    [{ ahead: 'long' }, 'usage', '--ahead is "long", which is no length of time', ''],
    [
      { table: { schema: 'public', name: 'nothing' } },
      'table-missing',
      'there is no table public.nothing',
      '',
    ],
    [{ table: { schema: 'public', name: 'recent' } }, 'table-unsuitable', 'public.recent is no table', ''],
  ] as const)('%o', async (request, code, message, hint) => {
    await withShop(plainShop, async (shop) => {
      await expect(shop.prepare(request)).rejects.toMatchObject({
        code,
        message,
        hint: expect.stringContaining(hint),
      });
    })();
  });

  it(
    'a generated column, and an unlogged and a temporary table',
    withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(`CREATE UNLOGGED TABLE quick (at date);
        CREATE TABLE made (day date, at date GENERATED ALWAYS AS (day) STORED)`);

      expect(await obstaclesOf(shop, { table: { schema: 'public', name: 'quick' } })).toEqual([
        'public.quick is unlogged: ALTER TABLE public.quick SET LOGGED',
      ]);
      await expect(shop.prepare({ table: { schema: 'public', name: 'made' } })).rejects.toMatchObject({
        message: 'at of public.made is generated, which no partition key can be',
      });
    }),
  );

  it(
    'a table that is partitioned by another column; by this one there is nothing to do',
    withShop(plainShop, async (shop) => {
      await shop.sql`CREATE TABLE parts (at date, day date) PARTITION BY RANGE (day)`;
      const table = { schema: 'public', name: 'parts' };

      await expect(shop.prepare({ table })).rejects.toMatchObject({
        code: 'table-unsuitable',
        message: 'public.parts is partitioned by day already',
      });
      expect(await shop.prepare({ table, by: 'day' })).toBeUndefined();
    }),
  );

  it(
    'a table of somebody else, and what is bound to it and belongs to somebody else',
    withShop(plainShop, async (shop) => {
      const owner = await shop.createUser();
      await shop.sql.unsafe(`GRANT CREATE ON SCHEMA public TO ${owner.name}`);
      const asOwner = shop.as(owner.target);

      await expect(asOwner.prepare()).rejects.toMatchObject({
        code: 'permission-denied',
        message: 'public.events belongs to postgres',
      });
      await shop.sql.unsafe(`ALTER TABLE events OWNER TO ${owner.name}`);
      expect(await obstaclesOf(asOwner)).toEqual([
        'the view public.recent belongs to postgres: use a role that may act as postgres',
      ]);
    }),
  );
});
