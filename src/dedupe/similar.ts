import type { Sql } from 'postgres';
import type { Database } from '../db/connect.ts';
import { quoteIdentifier, quoteLiteral, quoteName, showName } from '../db/identifiers.ts';
import { withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { foldedText, folds } from '../sql/folded-text.ts';
import { type Choices, chooseFor } from './choices.ts';
import type { DedupeSettings } from './dedupe.ts';
import type { DedupeRequest } from './request.ts';
import { checkRights } from './rights.ts';
import { at, textSettings } from './row-sql.ts';
import { findScope, type Scope } from './scope.ts';
import { nameOf, type TableFacts } from './table-facts.ts';

/** Rows that are alike, for a person to look through. */
export interface SimilarResult {
  readonly table: string;
  readonly clusters: readonly SimilarCluster[];
  readonly pairs: number;
}

/** In the form that `--clusters` takes. */
export interface SimilarCluster {
  /** Keys; of several columns an array each. */
  readonly rows: readonly (string | readonly string[])[];
  /** Of the two that are least alike among the pairs that make it. */
  readonly similarity: number;
  /** What was compared, a row each. */
  readonly values: readonly string[];
}

interface Pair {
  readonly a: readonly string[];
  readonly b: readonly string[];
  readonly valueA: string;
  readonly valueB: string;
  readonly similarity: number;
}

/** More is nothing that a person looks through. */
const mostPairs = 10_000;

/**
 * Proposes rows whose key is alike, by the trigrams of pg_trgm over what is left of case, blanks and forms of Unicode;
 * changes nothing. Hangul is taken apart into letters, so that words of two syllables have trigrams.
 * Throws `extension-missing` without pg_trgm.
 */
export function findSimilar(
  database: Database,
  request: DedupeRequest,
  share: number,
  settings: DedupeSettings,
): Promise<SimilarResult> {
  return withWorker(database, `duplicates of ${showName(request.table)}`, settings, async (worker) => {
    const { sql } = worker.session;
    await sql.unsafe(textSettings);
    const scope = await findScope(sql, request, database.facts.versionNumber);
    const choices = chooseFor(scope, request);
    await checkRights(sql, scope);
    const trigrams = await findTrigrams(sql);
    const pairs = await worker.transaction(
      `compare rows of ${showName(request.table)}`,
      async (transaction) => {
        await transaction.unsafe(`SELECT set_config('pg_trgm.similarity_threshold', $1, true)`, [
          String(share),
        ]);
        await transaction.unsafe(textsQuery(scope, choices));
        await transaction.unsafe(
          `CREATE INDEX ON pg_temp.eduschema_texts USING gin (folded ${trigrams}.gin_trgm_ops); ANALYZE pg_temp.eduschema_texts`,
        );
        return transaction.unsafe<Pair[]>(
          `SELECT pg_catalog.to_jsonb(a.key) AS a, pg_catalog.to_jsonb(b.key) AS b, a.value AS "valueA", b.value AS "valueB", ${trigrams}.similarity(a.folded, b.folded)::float8 AS similarity
         FROM pg_temp.eduschema_texts a JOIN pg_temp.eduschema_texts b ON a.folded OPERATOR(${trigrams}.%) b.folded AND a.n < b.n AND a.value <> b.value
         ORDER BY 5 DESC, a.n, b.n LIMIT ${mostPairs + 1}`,
        );
      },
    );
    if (pairs.length > mostPairs)
      throw new EduschemaError(
        'usage',
        `more than ${mostPairs} pairs of ${showName(request.table)} are alike by ${share}`,
        {
          hint: 'ask for more likeness, as in --similar 0.95',
        },
      );
    return { table: showName(request.table), clusters: joinPairs(pairs), pairs: pairs.length };
  });
}

async function findTrigrams(sql: Pick<Sql, 'unsafe'>): Promise<string> {
  const [found] = await sql.unsafe<{ schema: string }[]>(
    `SELECT n.nspname AS schema FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'`,
  );
  if (!found)
    throw new EduschemaError(
      'extension-missing',
      '--similar compares by trigrams, and the database has no pg_trgm',
      {
        hint: 'install it: CREATE EXTENSION pg_trgm; or use --match normalized, which needs nothing',
      },
    );
  return quoteIdentifier(found.schema);
}

function textsQuery(scope: Scope, { key }: Choices): string {
  const root = scope.tables[0] as TableFacts;
  const names = (nameOf(root) ?? []).map((column) => `${at('t', column)}::text`).join(', ');
  const value = `concat_ws(' | ', ${key.map((column) => `${at('t', column)}::text`).join(', ')})`;
  return `CREATE TEMPORARY TABLE eduschema_texts ON COMMIT DROP AS
    SELECT row_number() OVER () AS n, ARRAY[${names}] AS key, ${value} AS value,
           pg_catalog.normalize(${foldedText(value, folds)}, ${quoteLiteral('NFD')}) AS folded
    FROM ${quoteName(root.name)} t WHERE ${key.map((column) => `${at('t', column)} IS NOT NULL`).join(' AND ')}`;
}

/** Clusters of rows that pairs tie together, the most alike first. */
export function joinPairs(pairs: readonly Pair[]): SimilarCluster[] {
  const parents = new Map<string, string>();
  const find = (id: string): string => {
    let root = id;
    for (let next = parents.get(root); next !== undefined && next !== root; next = parents.get(root))
      root = next;
    return root;
  };
  const values = new Map<string, string>();
  for (const { a, b, valueA, valueB } of pairs) {
    const [one, other] = [JSON.stringify(a), JSON.stringify(b)];
    values.set(one, valueA).set(other, valueB);
    const [rootA, rootB] = [find(one), find(other)];
    parents.set(rootA, rootA);
    parents.set(rootB, rootA);
  }
  const clusters = new Map<string, { ids: string[]; similarity: number }>();
  for (const id of values.keys()) {
    const cluster = clusters.get(find(id)) ?? { ids: [], similarity: 1 };
    cluster.ids.push(id);
    clusters.set(find(id), cluster);
  }
  for (const { a, similarity } of pairs) {
    const cluster = clusters.get(find(JSON.stringify(a)));
    if (cluster) cluster.similarity = Math.min(cluster.similarity, similarity);
  }
  return [...clusters.values()]
    .sort((x, y) => y.similarity - x.similarity)
    .map(({ ids, similarity }) => ({
      rows: ids.map((id) => {
        const key = JSON.parse(id) as string[];
        return key.length === 1 ? (key[0] as string) : key;
      }),
      similarity: Math.round(similarity * 1000) / 1000,
      values: ids.map((id) => values.get(id) ?? ''),
    }));
}
