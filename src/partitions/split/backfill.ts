import { setTimeout as sleep } from 'node:timers/promises';
import { quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { columnList } from './key.ts';
import type { Pair } from './pair.ts';
import type { RunState } from './run-state.ts';

/** How rows are copied. */
export interface BackfillSettings {
  /** How long a batch is to take. 120 ms without it. */
  readonly batchMs?: number | undefined;
  /** How long to rest after each. */
  readonly pauseMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told after each batch. */
  readonly onBatch?: ((at: Position) => void) | undefined;
}

/** How far the copy is, in blocks of the first table. */
export type Position = Pick<RunState, 'block' | 'endBlock' | 'file' | 'rows'>;

const firstBlocks = 64;
const mostBlocks = 8192;
const defaultBatchMs = 120;

/**
 * The statement that copies the rows of the blocks from `first` up to, and without, `end`. The order of the disk costs the
 * same at the end as at the beginning, whatever the key is. A row that is moved meanwhile is copied twice or not at all, and noted.
 */
export function copyBlocks({ from, to, columns }: Pair, first: number, end: number): string {
  return `INSERT INTO ${quoteName(to)} (${columnList(columns)}) OVERRIDING SYSTEM VALUE
SELECT ${columnList(columns)} FROM ONLY ${quoteName(from)} WHERE ctid >= '(${first},0)' AND ctid < '(${end},0)'`;
}

/**
 * Copies what is not yet copied, a transaction a batch, with the position in the same transaction. The batches grow and
 * shrink towards the time that each is to take. Returns false, at once, when the table was rewritten or emptied
 * (VACUUM FULL, TRUNCATE ...) since the position was taken: the blocks are not what they were.
 */
export async function backfill(
  worker: Worker,
  pair: Pair,
  start: Position,
  save: (at: Position) => string,
  settings: BackfillSettings,
): Promise<boolean> {
  const { batchMs = defaultBatchMs, pauseMs = 0, signal, onBatch } = settings;
  const source = quoteName(pair.from);
  let at = start;
  let blocks = firstBlocks;
  while (at.block < at.endBlock) {
    const begun = performance.now();
    const next = Math.min(at.block + blocks, at.endBlock);
    const done = await worker.transaction(
      `copy rows of ${pair.from.schema}.${pair.from.name}`,
      async (sql) => {
        // Under a lock, however weak, nobody can give the table another file.
        await sql.unsafe(
          `SET LOCAL synchronous_commit = off; LOCK TABLE ONLY ${source} IN ACCESS SHARE MODE`,
        );
        const [{ file } = { file: 0 }] = await sql.unsafe<{ file: number }[]>(
          `SELECT pg_catalog.pg_relation_filenode($1::pg_catalog.regclass)::int8::float8 AS file`,
          [source],
        );
        if (file !== at.file) return undefined;
        const { count } = await sql.unsafe(copyBlocks(pair, at.block, next));
        const after = { ...at, block: next, rows: at.rows + count };
        await sql.unsafe(save(after));
        return after;
      },
    );
    if (!done) return false;
    at = done;
    onBatch?.(at);
    const took = performance.now() - begun;
    blocks = Math.round(Math.min(Math.max((blocks * batchMs) / took, blocks / 2, 8), blocks * 2, mostBlocks));
    if (pauseMs > 0 && at.block < at.endBlock) await sleep(pauseMs, undefined, signal ? { signal } : {});
  }
  return true;
}
