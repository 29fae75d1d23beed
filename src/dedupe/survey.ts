import type { TransactionSql } from 'postgres';
import type { Choices } from './choices.ts';
import { describeClusters, type Found, type ShownCluster } from './cluster.ts';
import { collidingRows, collisionKey } from './collisions.ts';
import { createPairs, fillPairs, pairsOf } from './pairs.ts';
import { countOrphans } from './proof.ts';
import { numbered } from './row-sql.ts';
import { collidingIndexes, type Scope } from './scope.ts';
import type { TableFacts } from './table-facts.ts';

/** What was found, as a person wants to see it before anything is done. */
export interface Survey extends Found {
  /** What refers to rows that would go; empty when nobody was to be asked. */
  readonly children: readonly ChildCount[];
  readonly biggest: readonly ShownCluster[];
  /** Clusters by what made them. */
  readonly rules: Readonly<Record<string, number>>;
}

export interface ChildCount {
  /** The number of the reference. */
  readonly reference: number;
  readonly rows: number;
  /** Rows that would be the same as another in a unique index. */
  readonly collisions: number;
}

/** How many clusters are shown. */
const shownClusters = 10;

/** Counts what hangs on the duplicates in the table of clusters. */
export async function takeSurvey(
  sql: TransactionSql,
  scope: Scope,
  choices: Choices,
  found: Found,
): Promise<Survey> {
  const { biggest, rules } = await describeClusters(sql, scope, choices, shownClusters);
  const pairs = pairsOf(scope, 0, 0);
  await sql.unsafe(createPairs(scope, pairs, 'DROP'));
  await sql.unsafe(fillPairs(scope, { ...choices, key: [] }, pairs, 1, found.duplicates));
  await sql.unsafe(`ANALYZE ${pairs.name}`);
  const references = [...scope.references.entries()].filter(([, { parent }]) => parent === 0);
  const [rows = {}] =
    references.length > 0
      ? await sql.unsafe<Record<string, number>[]>(countOrphans(scope, references, pairs))
      : [];
  const children: ChildCount[] = [];
  for (const [reference, facts] of references) {
    const child = scope.tables[facts.child] as TableFacts;
    const queries = collidingIndexes(child, facts).map((index) => {
      const key = numbered('d', 'i', collisionKey(child, index).length).map((column) => `${column}::text`);
      return `SELECT ARRAY[${key.join(', ')}] FROM (${collidingRows(scope, facts, index, pairs, [pairs])}) d WHERE d.place > 1`;
    });
    const [counted] =
      queries.length > 0
        ? await sql.unsafe<[{ count: number }]>(
            `SELECT count(*)::float8 AS count FROM (${queries.join(' UNION ')}) x`,
          )
        : [{ count: 0 }];
    children.push({ reference, rows: rows[`r${reference}`] ?? 0, collisions: counted?.count ?? 0 });
  }
  return { ...found, children, biggest, rules };
}
