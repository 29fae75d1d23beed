import type { Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import type { EnsureOptions } from '../../src/partitions/ensure/situation.ts';
import { describeCatalogue } from '../helpers/catalogue.ts';
import { createDatabase, dropDatabase, type TestDatabase } from '../helpers/database.ts';
import { withKillAt } from './kill-at.ts';
import { attachMonth, ensureIn, makeLogs, month } from './logs.ts';
import { differences } from './traffic.ts';

const rows = 60;

/** A table with a foreign key and a default partition in which rows wait, or none; with a gap where none do. */
async function prepare(sql: Sql, waiting: boolean): Promise<void> {
  await sql.unsafe('CREATE TABLE things (id int PRIMARY KEY); INSERT INTO things VALUES (1)');
  await makeLogs(sql, {
    from: waiting ? 0 : -2,
    to: waiting ? 0 : -2,
    fallback: true,
    more: ', thing int DEFAULT 1 REFERENCES things ON DELETE CASCADE',
  });
  if (!waiting) await attachMonth(sql, 0);
  const at = waiting
    ? `timestamptz '${month(1)} 00:00+09' + (n % 28) * interval '1 day'`
    : `timestamptz '1999-01-01'`;
  await sql.unsafe(`INSERT INTO logs (id, at, note) SELECT n, ${at}, 'note ' || n FROM generate_series(1, ${rows}) n;
    CREATE TABLE control AS SELECT id, at, note FROM logs`);
}

/** What is not in the future is not attached behind a CHECK. */
const closeGap = `CREATE TABLE logs_gap PARTITION OF logs FOR VALUES FROM ('${month(-1)} 00:00+09') TO ('${month(0)} 00:00+09')`;

/** Each with how many runs it takes at the least: one for each statement of DDL, and one that is not killed. */
const cases: readonly (readonly [string, boolean, string, Partial<EnsureOptions>, number])[] = [
  ['rows wait for none', false, '', {}, 16],
  ['a CHECK on the default partition comes first', false, closeGap, { limits: { rows: 5, bytes: 0 } }, 14],
  ['few rows wait', true, '', {}, 8],
  ['many rows wait', true, '', { limits: { rows: 5, bytes: 1e9 } }, 21],
  [
    'many rows wait, others among them',
    true,
    `INSERT INTO logs (id, at, note) VALUES (1000, '1999-01-01', 'odd'); INSERT INTO control VALUES (1000, '1999-01-01', 'odd')`,
    { limits: { rows: 5, bytes: 1e9 } },
    28,
  ],
];

describe.each(cases)('ensure that is killed, when %s,', (_, waiting, more, options, least) => {
  const all = { sources: { flags: { ahead: waiting ? '1mo' : '2mo' } }, ...options };
  const run = (test: TestDatabase) => ensureIn(test, all);

  async function inNew<T>(use: (test: TestDatabase) => Promise<T>): Promise<T> {
    const test = await createDatabase();
    try {
      await prepare(test.sql, waiting);
      if (more) await test.sql.unsafe(more);
      return await use(test);
    } finally {
      await dropDatabase(test);
    }
  }

  it('at any statement of its own leaves every row where all see it, and a rerun comes to what an undisturbed run does', async () => {
    const control = await inNew(async (test) => {
      await run(test);
      return describeCatalogue(test.sql);
    });
    let kills = 0;
    for (let killed = true; killed; kills++) {
      killed = await inNew(async (test) => {
        const outcome = await withKillAt(test.sql, kills + 1, () => run(test));
        expect(await differences(test.sql), `after kill ${kills + 1}`).toEqual([]);

        await run(test);

        expect(await differences(test.sql), `after a rerun after kill ${kills + 1}`).toEqual([]);
        expect(await describeCatalogue(test.sql), `after kill ${kills + 1}`).toEqual(control);
        return outcome.killed;
      });
    }
    expect(kills).toBeGreaterThanOrEqual(least);
  }, 300_000);
});
