import { quoteName, showName } from '../../../db/identifiers.ts';
import type { Worker } from '../../../db/worker.ts';
import { copyBlocks } from './copy-function.ts';
import { type CopyState, findFile } from './copy-state.ts';
import { type Copy, describeCopy } from './plan-copy.ts';

/** Blocks of rows that are copied, and locked against changes, in one transaction: half a megabyte. */
const blocksTogether = 64;

/** Told how far the copy is. */
export type OnCopied = (block: number, blocks: number, rows: number) => void;

/**
 * Copies what is not copied yet, in short transactions; each row is locked while it is copied, so that no change falls
 * between it and the trigger. Begins again when somebody rewrote the table, in which a row's place then means nothing.
 */
export async function copyRows(
  worker: Worker,
  copy: Copy,
  begun: CopyState,
  onCopied: OnCopied,
): Promise<void> {
  let state = begun;
  let rows = 0;
  for (;;) {
    const file = await findFile(worker.session.sql, quoteName(copy.from));
    if (file.file !== state.file) state = { ...state, ...file, block: 0 };
    if (state.block >= state.blocks) return;
    const next = { ...state, block: Math.min(state.block + blocksTogether, state.blocks) };
    const copied = await copyPiece(worker, copy, state, next);
    if (copied === undefined) continue;
    rows += copied;
    state = next;
    onCopied(state.block, state.blocks, rows);
  }
}

/** The rows copied; undefined when the table was rewritten meanwhile. */
function copyPiece(
  worker: Worker,
  copy: Copy,
  { file, block }: CopyState,
  next: CopyState,
): Promise<number | undefined> {
  const table = quoteName(copy.from);
  return worker.transaction(`copy rows of ${showName(copy.from)}`, async (sql) => {
    await sql.unsafe(
      `SET LOCAL row_security = off; SET LOCAL synchronous_commit = off; LOCK TABLE ONLY ${table} IN ROW SHARE MODE`,
    );
    const [now] = await sql.unsafe<{ file: string }[]>(
      `SELECT pg_relation_filenode('${table.replaceAll("'", "''")}'::regclass)::text AS file`,
    );
    if (now?.file !== file) return undefined;
    let rows = 0;
    for (const { sql: text } of copyBlocks(copy, `'(${block},0)'`, `'(${next.block},0)'`))
      rows += (await sql.unsafe(text)).count;
    await sql.unsafe(describeCopy(copy.function, next).sql);
    return rows;
  });
}
