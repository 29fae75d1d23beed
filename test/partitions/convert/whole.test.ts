import { describe, expect, it } from 'vitest';
import { richShop, withShop } from './shop.ts';

const chosen = { widen: ['events_code', 'events_serial'], dropIncoming: ['of_event'] };

describe('a table with everything that a table can have', () => {
  it(
    'is partitioned with all of it, in the file that it was in',
    withShop(
      async ({ createUser }) => richShop((await createUser()).name),
      async ({ sql, describe: look, convert, contents }) => {
        const before = await look();
        const rows = await contents();

        const result = await convert(chosen);

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
          foreignKeys: before.foreignKeys,
          triggers: before.triggers,
          rules: before.rules,
          policies: before.policies,
          rowSecurity: true,
          statistics: before.statistics,
          checks: before.checks.length === 0 ? [] : expect.arrayContaining([...before.checks]),
        });
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
        expect(after.indexes.find(({ name }) => name === 'events_code')).toMatchObject({
          keys: [null, null, 'at'],
          partial: true,
        });
        expect(after.comment).toMatch(/^What happened\.\nTwo lines\.\n\{"eduschema":\{"partitions":/);
        const [first] = result.converted;
        expect(first?.fileNode).toBe(before.fileNode);
        expect(first?.oid).toBe(before.oid);
        expect(await contents()).toEqual(rows);
        expect(await sql`SELECT conname FROM pg_constraint WHERE conname ~ 'eduschema'`).toEqual([]);
        expect(await sql`SELECT relname FROM pg_class WHERE relname ~ 'eduschema'`).toEqual([]);
      },
    ),
    60_000,
  );

  it(
    'is what it was when that is undone, and keeps what was written meanwhile',
    withShop(
      async ({ createUser }) => richShop((await createUser()).name),
      async ({ sql, convert, undo, catalogue, contents, describe: look }) => {
        const before = await catalogue();
        const { fileNode } = await look();
        await convert(chosen);
        await sql`INSERT INTO events (item, code, amount, at)
                  SELECT i % 10 + 1, 'later ' || i, i, now() + i * interval '1 hour' FROM generate_series(1, 3000) i`;
        const rows = await contents();

        const result = await undo();

        expect(await catalogue()).toEqual(before);
        expect(await contents()).toEqual(rows);
        expect((await look()).fileNode).toBe(fileNode);
        expect(result.moved).toBeGreaterThan(1000);
        const [next] =
          await sql`INSERT INTO events (item) VALUES (1) RETURNING id > (SELECT max(id) FROM events) AS higher`;
        expect(next?.higher).toBe(true);
      },
    ),
    60_000,
  );
});
