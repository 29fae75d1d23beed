import type { TransactionSql } from 'postgres';
import { quoteLiteral, quoteName } from '../db/identifiers.ts';
import type { Choices } from './choices.ts';
import { keyParts, ruleOf } from './match.ts';
import { at, equal, listOf, numbered } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { columnOf, nameOf, type TableFacts } from './table-facts.ts';

/**
 * Each duplicate (`l1 ...`) with the row that it goes into (`s1 ...`), numbered in the order of these: clusters are together,
 * and a batch works on neighbours in the indexes, not on a page here and a page there.
 */
export const clusterTable = 'pg_temp.eduschema_clusters';

/** What clustering has found. */
export interface Found {
  readonly clusters: number;
  /** Rows that would go. */
  readonly duplicates: number;
  /** Rows that have no value in a column of the key, and are no duplicates of anything. */
  readonly withoutKey: number;
}

/**
 * Writes down, in a temporary table of the session, which rows are duplicates of which, in one look at the table.
 * `source` is SQL for clusters that somebody else has made: a query of `eduschema_cluster, eduschema_keep, eduschema_k1 ...`.
 */
export async function findClusters(
  sql: TransactionSql,
  scope: Scope,
  choices: Choices,
  source?: string,
): Promise<Found> {
  const root = scope.tables[0] as TableFacts;
  const name = quoteName(root.name);
  await sql.unsafe('DROP TABLE IF EXISTS pg_temp.eduschema_clusters');
  await sql.unsafe(
    `SELECT set_config('work_mem', '64MB', true) WHERE pg_catalog.pg_size_bytes(current_setting('work_mem')) < 67108864`,
  );
  await sql.unsafe(clusterQuery(scope, choices, source));
  await sql.unsafe(`ALTER TABLE ${clusterTable} ADD PRIMARY KEY (n); ANALYZE ${clusterTable}`);
  const empty = choices.key.map((column) => `${at('t', column)} IS NULL`).join(' OR ');
  const [found] = await sql.unsafe<[Found]>(
    `SELECT count(*)::float8 AS duplicates, count(DISTINCT cluster)::float8 AS clusters,
            ${source === undefined && choices.key.some((column) => columnOf(root, column).nullable) ? `(SELECT count(*)::float8 FROM ${name} t WHERE ${empty})` : '0::float8'} AS "withoutKey"
     FROM ${clusterTable}`,
  );
  return found;
}

function clusterQuery(scope: Scope, choices: Choices, source?: string): string {
  const root = scope.tables[0] as TableFacts;
  const name = quoteName(root.name);
  const key = nameOf(root) ?? [];
  const own = numbered('f', 'eduschema_k', key.length);
  const rule = ruleOf(root, choices.key, choices.match, 't');
  const ruled = rule !== `'exact'` && source === undefined;
  const columns = key.map((column, index) => `${at('t', column)} AS k${index + 1}`).join(', ');
  const survivors = key
    .map((column, index) => `first_value(${at('t', column)}) OVER w AS s${index + 1}`)
    .join(', ');
  const names = (prefix: string) => key.map((_, index) => `${prefix}${index + 1}`).join(', ');
  return `CREATE TEMPORARY TABLE eduschema_clusters AS
WITH ${source === undefined ? foundQuery(scope, choices) : `found AS (${source})`},
members AS (
  SELECT f.eduschema_cluster AS cluster, row_number() OVER w AS place, ${columns}, ${survivors}
  FROM found f JOIN ${name} t ON ${equal('t', key, own)} ${choices.order.joins}
  WINDOW w AS (PARTITION BY f.eduschema_cluster ORDER BY ${source === undefined ? '' : 'f.eduschema_keep DESC, '}${choices.order.by})
)${ruled ? `,\nrules AS (SELECT m.cluster, ${rule} AS rule FROM members m JOIN ${name} t ON ${equal('t', key, numbered('m', 'k', key.length))} GROUP BY m.cluster)` : ''}
SELECT n, max(n) OVER (PARTITION BY d.cluster) AS last, d.cluster, ${ruled ? 'r.rule' : source === undefined ? `'exact'` : `'file'`}::text AS rule, ${names('l')}, ${names('s')}
FROM (SELECT row_number() OVER (ORDER BY ${names('s')}, place) AS n, cluster,
        ${key.map((_, index) => `k${index + 1} AS l${index + 1}`).join(', ')}, ${names('s')}
      FROM members WHERE place > 1) d${ruled ? ' JOIN rules r ON r.cluster = d.cluster' : ''}`;
}

/** `found`: the rows that share their key with another, with the number of their cluster. */
function foundQuery(scope: Scope, { key, match }: Choices): string {
  const root = scope.tables[0] as TableFacts;
  const names = nameOf(root) ?? [];
  const parts = keyParts(root, key, match, 't');
  const xs = parts.map((_, index) => `x${index + 1}`);
  const some = key.map((column) => `${at('t', column)} IS NOT NULL`).join(' AND ');
  const same = xs.map((x) => `k.${x} = r.${x}`).join(' AND ');
  return `keyed AS ${match.length > 0 ? 'MATERIALIZED' : 'NOT MATERIALIZED'} (
  SELECT ${names.map((column, index) => `${at('t', column)} AS k${index + 1}`).join(', ')}, ${parts.map((part, index) => `${part} AS x${index + 1}`).join(', ')}
  FROM ${quoteName(root.name)} t WHERE ${some}
),
repeated AS (
  SELECT row_number() OVER () AS cluster, r.* FROM (SELECT ${listOf('k', xs)} FROM keyed k GROUP BY ${listOf('k', xs)} HAVING count(*) > 1) r
),
found AS (SELECT r.cluster AS eduschema_cluster, ${names.map((_, index) => `k.k${index + 1} AS eduschema_k${index + 1}`).join(', ')} FROM keyed k JOIN repeated r ON ${same})`;
}

/** A cluster for a person to look at. */
export interface ShownCluster {
  readonly rows: number;
  /** Why its rows are the same. */
  readonly rule: string;
  /** The key of the row that stays, and its values in the columns compared. */
  readonly survivor: readonly string[];
  readonly values: Readonly<Record<string, string | null>>;
}

/** The biggest clusters, and how many there are by each rule. */
export async function describeClusters(
  sql: Pick<TransactionSql, 'unsafe'>,
  { tables: [root] }: Scope,
  { key }: Choices,
  count: number,
): Promise<{ biggest: ShownCluster[]; rules: Record<string, number> }> {
  const table = root as TableFacts;
  const names = nameOf(table) ?? [];
  const values = key.map((column) => `${quoteLiteral(column)}, ${at('t', column)}::text`).join(', ');
  const biggest = await sql.unsafe<ShownCluster[]>(
    `SELECT c.rows::float8 AS rows, c.rule, pg_catalog.to_jsonb(ARRAY[${names.map((column) => `${at('t', column)}::text`).join(', ')}]) AS survivor,
            jsonb_build_object(${values}) AS values
     FROM (SELECT cluster, rule, count(*) + 1 AS rows, min(n) AS n FROM ${clusterTable} GROUP BY cluster, rule
           ORDER BY 3 DESC, 4 LIMIT ${count}) c
     JOIN ${clusterTable} d ON d.n = c.n JOIN ${quoteName(table.name)} t ON ${equal('t', names, numbered('d', 's', names.length))}
     ORDER BY c.rows DESC, c.n`,
  );
  const rules = await sql.unsafe<{ rule: string; clusters: number }[]>(
    `SELECT rule, count(DISTINCT cluster)::float8 AS clusters FROM ${clusterTable} GROUP BY rule ORDER BY 2 DESC, 1`,
  );
  return { biggest, rules: Object.fromEntries(rules.map(({ rule, clusters }) => [rule, clusters])) };
}
