import type { Sql } from 'postgres';
import { quoteName } from '../../db/identifiers.ts';
import type { BoundedPartition, PartitionedTable } from '../catalogue.ts';
import { beginOf } from '../instant.ts';
import type { Found } from './finding.ts';

/** What tells how old the statistics of a table as a whole are. */
export interface StatisticsFacts {
  /** Rows in all partitions, by their own statistics. */
  readonly rows: number;
  /** As of the last ANALYZE of the table; null when it never had one. */
  readonly rowsThen: number | null;
  /** Rows of partitions that begin later than that, and so came since. */
  readonly rowsSince: number;
  /** The settings by which autovacuum decides for tables. */
  readonly threshold: number;
  readonly scale: number;
}

interface Row extends Omit<StatisticsFacts, 'rowsSince'> {
  /** Milliseconds since 1970; null when the server forgot it. */
  readonly analyzed: number | null;
  readonly analyzedAt: string | null;
}

/** `fresh`, unless autovacuum would have analysed a table with as many changes: it never does a partitioned one. */
export function judgeAge(facts: StatisticsFacts): 'fresh' | 'missing' | 'stale' {
  const { rows, rowsThen, rowsSince, threshold, scale } = facts;
  if (rowsThen === null) return rows > threshold ? 'missing' : 'fresh';
  const changed = Math.max(Math.abs(rows - rowsThen), rowsSince);
  return changed > threshold + scale * rowsThen ? 'stale' : 'fresh';
}

/**
 * Whether the planner knows the table as a whole. Told by pg_class, which a standby and a server that crashed have too;
 * what the server counts since its start comes on top.
 */
export async function judgeStatistics(
  sql: Sql,
  versionNumber: number,
  { oid, name }: PartitionedTable,
  partitions: readonly BoundedPartition[],
): Promise<Found[]> {
  const [row] = await sql.unsafe<Row[]>(`
    WITH RECURSIVE tree AS (
      SELECT ${oid}::oid AS oid UNION ALL SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON t.oid = i.inhparent),
    whole AS (SELECT reltuples, pg_stat_get_last_analyze_time(oid) AS analyzed FROM pg_class WHERE oid = ${oid}),
    leaves AS (SELECT greatest(CASE WHEN c.reltuples < 0 THEN pg_stat_get_live_tuples(c.oid) ELSE c.reltuples END, 0) AS rows
               FROM tree t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind IN ('r', 'f'))
    SELECT coalesce(sum(l.rows), 0)::float8 AS rows, CASE WHEN w.reltuples >= 0 THEN w.reltuples::float8 END AS "rowsThen",
           extract(epoch FROM w.analyzed)::float8 * 1000 AS analyzed, to_char(w.analyzed, 'YYYY-MM-DD HH24:MI') AS "analyzedAt",
           current_setting('autovacuum_analyze_threshold')::float8 AS threshold,
           current_setting('autovacuum_analyze_scale_factor')::float8 AS scale
    FROM whole w LEFT JOIN leaves l ON true GROUP BY w.reltuples, w.analyzed`);
  if (!row) return [];
  const { analyzed, analyzedAt, ...known } = row;
  const facts = { ...known, rowsSince: analyzed === null ? 0 : rowsFrom(partitions, analyzed) };
  const age = judgeAge(facts);
  if (age === 'fresh') return [];
  const { rows, rowsThen, rowsSince } = facts;
  const [now, then, since] = [rows, rowsThen ?? 0, rowsSince].map(about);
  const when = analyzedAt ? ` of ${analyzedAt}` : '';
  return [
    {
      code: `statistics-${age}`,
      partition: null,
      message:
        age === 'missing'
          ? `it was never analyzed as a whole, and has ${now} rows: autovacuum makes the statistics of partitions alone`
          : Math.abs(rows - (rowsThen ?? 0)) > rowsSince
            ? `it has ${now} rows, and had ${then} at its last ANALYZE${when}`
            : `it has ${now} rows, of which ${since} are in partitions that came since its last ANALYZE${when}`,
      // ONLY is of 18: before it the partitions are analysed as well.
      hint: `ANALYZE ${versionNumber >= 180000 ? 'ONLY ' : ''}${quoteName(name)}`,
    },
  ];
}

function rowsFrom(partitions: readonly BoundedPartition[], time: number): number {
  const later = partitions.filter(({ from }) => from && beginOf(from) > time);
  return later.reduce((sum, { rows }) => sum + (rows ?? 0), 0);
}

const about = (count: number) => `about ${Math.round(count).toLocaleString('en')}`;
