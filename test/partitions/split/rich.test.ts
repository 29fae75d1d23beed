import { describe, expect, it } from 'vitest';
import { richShop, withShop } from '../convert/shop.ts';

const chosen = {
  method: 'split',
  widen: ['events_code', 'events_serial'],
  dropIncoming: ['of_event'],
} as const;

describe('a table with everything that a table can have', () => {
  it(
    'is split with all of it',
    withShop(
      async ({ createUser }) => richShop((await createUser()).name),
      async ({ sql, describe: look, convert, contents }) => {
        const before = await look();
        const rows = await contents();

        await convert(chosen);

        const after = await look();
        expect(after).toMatchObject({
          kind: 'p',
          owner: before.owner,
          grants: before.grants,
          columns: before.columns.map((column) => ({
            ...column,
            notNull: column.notNull || column.name === 'at',
          })),
          sequences: before.sequences,
          triggers: before.triggers,
          rules: before.rules,
          policies: before.policies,
          rowSecurity: true,
          statistics: before.statistics,
        });
        expect(after.foreignKeys).toEqual(before.foreignKeys);
        expect(after.checks).toEqual(expect.arrayContaining([...before.checks]));
        expect(after.dependents).toEqual(before.dependents);
        expect(after.incomingKeys).toEqual(before.incomingKeys.filter(({ name }) => name === 'of_number'));
        expect(after.indexes.map(({ name }) => name).sort()).toEqual(
          before.indexes.map(({ name }) => name).sort(),
        );
        expect(after.indexes.find(({ name }) => name === 'events_key')).toMatchObject({
          keys: ['id', 'at'],
          includes: ['code'],
          comment: "the key's index",
          constraint: { type: 'p', comment: 'key' },
        });
        expect(after.indexes.find(({ name }) => name === 'events_serial')).toMatchObject({
          keys: ['number', 'at'],
          constraint: { type: 'u', deferrable: true, deferred: true, comment: 'by number' },
        });
        expect(await contents()).toEqual(rows);
        expect(
          await sql`SELECT DISTINCT c.reloptions::text AS options FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                    WHERE h.inhparent = 'events'::regclass`,
        ).toEqual([{ options: '{fillfactor=80}' }]);
      },
    ),
    90_000,
  );

  it(
    'is what it was when that is undone, and keeps what was written meanwhile',
    withShop(
      async ({ createUser }) => richShop((await createUser()).name),
      async ({ sql, convert, undo, catalogue, contents }) => {
        const before = await catalogue();
        await convert(chosen);
        await sql`INSERT INTO events (item, code, amount, at)
                  SELECT i % 10 + 1, 'later ' || i, i, now() - i * interval '1 hour' FROM generate_series(1, 3000) i`;
        await sql`UPDATE events SET state = 'old' WHERE id % 5 = 0`;
        await sql`DELETE FROM events WHERE id % 11 = 0`;
        const rows = await contents();

        await undo();

        expect(await catalogue()).toEqual(before);
        expect(await contents()).toEqual(rows);
      },
    ),
    90_000,
  );
});
