import { open } from 'node:fs/promises';
import { copyOut } from '../db/copy-out.ts';
import { quoteLiteral } from '../db/identifiers.ts';
import { inTransaction } from '../db/in-transaction.ts';
import type { Worker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import type { RefusedOwner } from './link-tags.ts';
import { pieceRows, piecesTable, type SplitPlace, strayTexts, tagsTable } from './queries.ts';

/** A text, or a tag in it, that could not go. */
export interface RefusedText {
  /** Of its owner, as text; null where the text has none. */
  readonly id: string | null;
  readonly text: string | null;
  readonly reason: string;
}

const shown = 10_000;

/**
 * What could not go: texts that belong to nobody or cannot be read, tags that were refused with all that have them, and
 * owners whose tags were. The first ones are returned; all go into the CSV file `report`, when it is given.
 */
export async function listRefused(
  worker: Worker,
  place: SplitPlace,
  owners: readonly RefusedOwner[],
  report: string | undefined,
): Promise<{ refused: readonly RefusedText[]; refusedCount: number }> {
  const query = refusedRows(place, owners);
  return inTransaction(worker.session, 'ISOLATION LEVEL REPEATABLE READ', async (sql) => {
    const [counted] = await sql.unsafe<{ count: number }[]>(
      `SELECT count(*)::float8 AS count FROM (${query}) AS r`,
    );
    const refused = await sql.unsafe<RefusedText[]>(`${query} ORDER BY 3, 2, 1 LIMIT ${shown}`);
    if (report !== undefined) await writeReport(worker, sql, `${query} ORDER BY 3, 2, 1`, report);
    return { refused: [...refused], refusedCount: counted?.count ?? 0 };
  });
}

function refusedRows(place: SplitPlace, owners: readonly RefusedOwner[]): string {
  const rows = owners.map(({ id, reason }) => `(${quoteLiteral(id)}, NULL, ${quoteLiteral(reason)})`);
  return `SELECT id, text, reason FROM (
    ${strayTexts(place)}
    UNION ALL SELECT DISTINCT p.id::text, m.name, g.refused FROM (${pieceRows(place)}) AS p
      JOIN ${piecesTable} AS m USING (raw) JOIN ${tagsTable} AS g USING (key) WHERE g.refused IS NOT NULL
    ${rows.length > 0 ? `UNION ALL VALUES ${rows.join(', ')}` : ''}) AS all_of_them`;
}

async function writeReport(
  { session }: Worker,
  sql: Parameters<typeof copyOut>[1],
  query: string,
  file: string,
): Promise<void> {
  const target = await open(file, 'w').catch((cause) => {
    throw unwritable(file, cause);
  });
  try {
    await copyOut(session, sql, `COPY (${query}) TO STDOUT (FORMAT csv, HEADER)`, async (piece) => {
      await target.write(piece).catch((cause) => {
        throw unwritable(file, cause);
      });
    });
  } finally {
    await target.close();
  }
}

function unwritable(file: string, cause: NodeJS.ErrnoException): EduschemaError {
  return new EduschemaError('file-unwritable', `${file} cannot be written (${cause.code})`, {
    hint: 'the tags are in the tables; name another file for the report and run it again',
    cause,
  });
}
