import fc from 'fast-check';
import type postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { type Database, withDatabase as openDatabase } from '../../src/db/connect.ts';
import { dedupe } from '../../src/dedupe/dedupe.ts';
import { undoDedupe } from '../../src/dedupe/undo.ts';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf } from './duplicates.ts';
import { anyCase, type Case, render } from './library-of-cases.ts';

/** `DEDUPE_CASES=5000 npx vitest run test/dedupe/properties.test.ts` takes longer, and finds more. */
const numRuns = Number(process.env.DEDUPE_CASES ?? 80);
const seed = process.env.DEDUPE_SEED ? { seed: Number(process.env.DEDUPE_SEED) } : {};

let made = 0;

describe('any schema with any duplicates', () => {
  it(
    'has after a merge no duplicates, all children, the same sums, no orphans; and after an undo what it had before',
    withDatabase(async (test) => {
      const session = test.connect({ max: 1, idle_timeout: 0 });
      await openDatabase(test.target, {}, async (database) => {
        await fc.assert(
          fc.asyncProperty(anyCase, (one) => holds(session, database, one)),
          { numRuns, ...seed, endOnFailure: false },
        );
      });
    }),
    3_600_000,
  );
});

async function holds(sql: postgres.Sql, database: Database, one: Case): Promise<void> {
  const schema = `case_${++made}`;
  const { sql: ddl, tables } = render(one);
  await sql.unsafe(`CREATE SCHEMA ${schema}; SET search_path = ${schema}; ${ddl}`);
  try {
    const names = tables.map((table) => `${schema}.${table}`);
    const [before, sums, groups] = [
      await contentsOf(sql, ...names),
      await sumOf(sql),
      await groupsOf(sql, one),
    ];
    const journal = { schema, name: 'journal' };
    const request = {
      table: { schema, name: 'root' },
      key: ['name'],
      keep: one.keep,
      match: one.match,
      sum: ['hits'],
      fill: one.fill ? (['note'] as const) : undefined,
    };
    const { run, tally, survey } = await dedupe(database, request, { journal, batchRows: one.batchRows });

    expect(tally.removed).toBe(survey.duplicates);
    if (run === undefined) {
      expect(await contentsOf(sql, ...names)).toEqual(before);
      return;
    }
    expect(await sumOf(sql)).toBe(sums);
    expect(await repeated(sql, one)).toEqual([]);
    expect(await missing(sql, tables, before, schema)).toEqual([]);
    expect(changedGroups(groups, await groupsOf(sql, one))).toEqual([]);

    const { problems } = await undoDedupe(database, run, { journal }, async () => {});
    expect(problems).toEqual([]);
    expect(await contentsOf(sql, ...names)).toEqual(before);
  } finally {
    await sql.unsafe(`SET client_min_messages = warning; DROP SCHEMA ${schema} CASCADE`);
  }
}

async function sumOf(sql: postgres.Sql): Promise<string> {
  const [row] = await sql`SELECT coalesce(sum(hits), 0)::text AS sum FROM root`;
  return row?.sum;
}

/** Names, as they are compared, that more than one row has. */
async function repeated(sql: postgres.Sql, one: Case): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`SELECT name FROM root WHERE name IS NOT NULL`;
  const seen = rows.map(({ name }) => fold(name, one.match));
  return seen.filter((name, index) => seen.indexOf(name) < index);
}

/** Tables in which rows are neither there nor in the log. */
async function missing(
  sql: postgres.Sql,
  tables: readonly string[],
  before: Record<string, string[]>,
  schema: string,
): Promise<string[]> {
  const logged = await sql.unsafe<{ name: string; rows: number }[]>(
    `SELECT r.targets -> 'tables' -> l.target -> 'name' ->> 'name' AS name, count(*)::int AS rows FROM journal_dedupe_log l JOIN journal_dedupe r USING (run) WHERE op = 'removed' GROUP BY 1`,
  );
  const wrong: string[] = [];
  for (const table of tables) {
    const [now] = await sql.unsafe<[{ rows: number }]>(`SELECT count(*)::int AS rows FROM ${table}`);
    const gone = logged.find(({ name }) => name === table)?.rows ?? 0;
    const was = before[`${schema}.${table}`]?.length ?? 0;
    if (now.rows + gone !== was) wrong.push(`${table}: ${was} before, ${now.rows} now, ${gone} in the log`);
  }
  return wrong;
}

/** For each row of children with an id of their own: the name, as it is compared, of what it refers to. */
async function groupsOf(sql: postgres.Sql, one: Case): Promise<Map<string, string>> {
  const groups = new Map<string, string>();
  for (const [n, child] of one.children.entries()) {
    if (child.parent >= 0 || ['keyless', 'tagged'].includes(child.kind)) continue;
    const on =
      child.kind === 'by-code'
        ? 'r.code = c.ref'
        : one.key === 'pair'
          ? 'r.id = c.ref AND r.id2 = c.ref2'
          : 'r.id = c.ref';
    const rows = await sql.unsafe<{ id: number; name: string | null; code: string }[]>(
      `SELECT c.id, r.name, r.code FROM c${n} c JOIN root r ON ${on}`,
    );
    for (const { id, name, code } of rows)
      groups.set(`c${n} ${id}`, name === null ? code : fold(name, one.match));
  }
  return groups;
}

function fold(name: string, match: string): string {
  if (match === 'exact') return name;
  if (match === 'normalized') return name.normalize('NFKC').trim().toLowerCase();
  return name.normalize('NFC').trim();
}

function changedGroups(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...after].filter(([row, name]) => before.get(row) !== name).map(([row]) => row);
}
