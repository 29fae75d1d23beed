import type { Sql } from 'postgres';
import { look } from './look.ts';

/** How far a statement is, in the phase that it is in. */
export interface StatementProgress {
  /** `CREATE INDEX`, `COPY FROM`, `VACUUM FULL` ... */
  readonly command: string;
  readonly relation: string | null;
  /** In the server's words. */
  readonly phase: string | null;
  readonly done: number | null;
  readonly total: number | null;
  readonly unit: ProgressUnit | null;
}

export type ProgressUnit = 'blocks' | 'rows' | 'bytes' | 'transactions' | 'indexes';

const views = ['create_index', 'copy', 'analyze', 'cluster', 'vacuum'] as const;
type View = (typeof views)[number];

/** A row of one of the views. Their columns differ from version to version. */
type Row = Readonly<Record<string, string | number | null | undefined>>;

/** What the server says of the statement of the session `pid`; undefined for statements it counts nothing of. */
export async function readProgress(sql: Sql, pid: number): Promise<StatementProgress | undefined> {
  const rows = await look<{ view: View; row: Row; relation: string | null }>(
    sql,
    views
      .map(
        (view) =>
          `SELECT '${view}' AS view, to_jsonb(p) AS row, nullif(relid, 0)::regclass::text AS relation
           FROM pg_stat_progress_${view} p WHERE pid = ${pid}`,
      )
      .join(' UNION ALL '),
  );
  const [found] = rows;
  return found && describeRow(found.view, found.row, found.relation);
}

/** A row of a progress view in terms that all of them share. */
export function describeRow(view: View, row: Row, relation: string | null): StatementProgress {
  const [command, counts] = readers[view](row);
  const [done, total, unit] = counts ?? [null, null, null];
  return {
    command,
    // A relation that the migration made is not ours to see yet: the server gives a number.
    relation: relation && /^\d+$/.test(relation) ? null : relation,
    phase: row.phase === undefined || row.phase === null ? null : String(row.phase),
    done,
    total,
    unit,
  };
}

type Counts = readonly [done: number, total: number | null, unit: ProgressUnit] | undefined;

/** https://www.postgresql.org/docs/current/progress-reporting.html */
const readers: Readonly<Record<View, (row: Row) => readonly [command: string, Counts]>> = {
  create_index: (row) => {
    const command = String(row.command ?? 'CREATE INDEX');
    const phase = String(row.phase);
    if (phase.startsWith('waiting'))
      return [command, counts(row.lockers_done, row.lockers_total, 'transactions')];
    const rows = counts(row.tuples_done, row.tuples_total, 'rows');
    if (phase.includes('tuples in tree')) return [command, rows];
    return [command, counts(row.blocks_done, row.blocks_total, 'blocks') ?? rows];
  },
  copy: (row) => [
    String(row.command ?? 'COPY'),
    counts(row.bytes_processed, row.bytes_total, 'bytes') ?? [
      Number(row.tuples_processed ?? 0),
      null,
      'rows',
    ],
  ],
  analyze: (row) => ['ANALYZE', counts(row.sample_blks_scanned, row.sample_blks_total, 'blocks')],
  cluster: (row) => {
    const command = String(row.command ?? 'CLUSTER');
    const phase = String(row.phase);
    if (phase.startsWith('seq scanning'))
      return [command, counts(row.heap_blks_scanned, row.heap_blks_total, 'blocks')];
    if (phase.startsWith('rebuilding'))
      return [command, [Number(row.index_rebuild_count ?? 0), null, 'indexes']];
    const scanned = phase.startsWith('index scanning') ? row.heap_tuples_scanned : row.heap_tuples_written;
    return [command, [Number(scanned ?? 0), null, 'rows']];
  },
  vacuum: (row) => {
    const phase = String(row.phase);
    if (phase.includes('indexes')) {
      return ['VACUUM', counts(row.indexes_processed, row.indexes_total, 'indexes')];
    }
    const done = phase === 'vacuuming heap' ? row.heap_blks_vacuumed : row.heap_blks_scanned;
    return ['VACUUM', counts(done, row.heap_blks_total, 'blocks')];
  },
};

/** Nothing when there is nothing to count to. */
function counts(done: Row[string], total: Row[string], unit: ProgressUnit): Counts {
  return Number(total ?? 0) > 0 ? [Number(done ?? 0), Number(total), unit] : undefined;
}
