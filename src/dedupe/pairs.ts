import { quoteName } from '../db/identifiers.ts';
import type { Choices } from './choices.ts';
import { clusterTable } from './cluster.ts';
import { keyParts } from './match.ts';
import { at, equal, imageOf, numbered } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { columnOf, nameOf, type TableFacts } from './table-facts.ts';

/**
 * A temporary table with rows that go and the rows that they go into, of one table: `n`, the columns of both that name
 * them or are referred to (`l1 ...` of the loser, `s1 ...` of the survivor), why, and `was`, the loser before any trigger
 * could change it.
 */
export interface Pairs {
  /** As SQL. */
  readonly name: string;
  /** The number of the table. */
  readonly table: number;
  readonly tracked: readonly string[];
  /** The columns that name a row. */
  readonly key: readonly string[];
  /** How deep in a merge: 0 for the rows that were asked for, more for children that collided. */
  readonly depth: number;
}

/** Pairs of a table that is not made yet. */
export function pairsOf(
  { tables, references }: Scope,
  table: number,
  depth: number,
  key: readonly string[] = nameOf(tables[table] as TableFacts) ?? [],
): Pairs {
  const referred = references
    .filter(({ parent }) => parent === table)
    .flatMap((reference) => reference.referred);
  const tracked = [...new Set([...key, ...referred])];
  return { name: `pg_temp.eduschema_pairs_${depth}`, table, tracked, key, depth };
}

/** `p.l1`: the loser's value in a column; `s` for the survivor's. */
export function side({ tracked }: Pairs, which: 'l' | 's', alias: string, column: string): string {
  const index = tracked.indexOf(column);
  if (index < 0) throw new Error(`${column} is not tracked`);
  return `${alias}.${which}${index + 1}`;
}

/** The same for several columns. */
export function sides(pairs: Pairs, which: 'l' | 's', alias: string, columns: readonly string[]): string[] {
  return columns.map((column) => side(pairs, which, alias, column));
}

/** The statement that makes the table; it is emptied with each COMMIT, or goes. */
export function createPairs(
  scope: Scope,
  { name, table, tracked }: Pairs,
  onCommit: 'DELETE ROWS' | 'DROP',
): string {
  const facts = scope.tables[table] as TableFacts;
  const columns = (which: string) =>
    tracked.map((column, index) => `${which}${index + 1} ${columnOf(facts, column).type}`);
  return `CREATE TEMPORARY TABLE ${name.replace('pg_temp.', '')} (n bigint, why text, was jsonb, ${[...columns('l'), ...columns('s')].join(', ')}) ON COMMIT ${onCommit}`;
}

/** Locks the rows of some clusters, in one order: nobody can refer to them, change or remove them until COMMIT. */
export function lockClusters(scope: Scope, from: number, to: number): string {
  const root = scope.tables[0] as TableFacts;
  const key = nameOf(root) ?? [];
  const all = ['l', 's'].map(
    (which) =>
      `SELECT ${numbered('c', which, key.length).join(', ')} FROM ${clusterTable} c WHERE n BETWEEN ${from} AND ${to}`,
  );
  const names = key.map((_, index) => `k${index + 1}`);
  return `SELECT count(*) FROM (SELECT FROM ${quoteName(root.name)} t JOIN (${all.join(' UNION ')}) c (${names.join(', ')})
    ON ${equal('t', key, numbered('c', 'k', key.length))} ORDER BY ${key.map((column) => at('t', column)).join(', ')} FOR UPDATE OF t) x`;
}

/** Takes the pairs of some clusters whose rows are still there and still the same. */
export function fillPairs(scope: Scope, choices: Choices, pairs: Pairs, from: number, to: number): string {
  const root = scope.tables[0] as TableFacts;
  const name = quoteName(root.name);
  const key = nameOf(root) ?? [];
  const [losers, survivors] = ['l', 's'].map((alias) =>
    keyParts(root, choices.key, choices.match, alias),
  ) as [string[], string[]];
  const same = losers.map((part, index) => ` AND ${part} = ${survivors[index]}`).join('');
  const tracked = ['l', 's'].flatMap((alias) => pairs.tracked.map((column) => at(alias, column)));
  return `INSERT INTO ${pairs.name} SELECT c.n, c.rule, ${imageOf('l', root.columns)}, ${tracked.join(', ')} FROM ${clusterTable} c
    JOIN ${name} l ON ${equal('l', key, numbered('c', 'l', key.length))}
    JOIN ${name} s ON ${equal('s', key, numbered('c', 's', key.length))}
    WHERE c.n BETWEEN ${from} AND ${to}${same}`;
}

/** Locks the rows of pairs, in one order. */
export function lockPairs(scope: Scope, { name, table, key, tracked }: Pairs): string {
  const facts = scope.tables[table] as TableFacts;
  const all = ['l', 's'].map(
    (which) =>
      `SELECT ${key.map((column) => `p.${which}${tracked.indexOf(column) + 1}`).join(', ')} FROM ${name} p`,
  );
  return `SELECT count(*) FROM (SELECT FROM ${quoteName(facts.name)} t JOIN (${all.join(' UNION ')}) c (${key.map((_, index) => `k${index + 1}`).join(', ')})
    ON ${equal('t', key, numbered('c', 'k', key.length))} ORDER BY ${key.map((column) => at('t', column)).join(', ')} FOR UPDATE OF t) x`;
}
