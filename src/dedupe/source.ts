import type { TransactionSql } from 'postgres';
import { quoteName, showName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { at } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { columnOf, nameOf, type TableFacts } from './table-facts.ts';

/** A cluster that a person has looked through: keys as text, the one that stays first where that was said. */
interface GivenCluster {
  readonly keep: readonly string[] | undefined;
  readonly rows: readonly (readonly string[])[];
}

/**
 * Reads a file of clusters into a temporary table, and returns the query of it that `findClusters` takes. Throws
 * `clusters-invalid` for a file that is none, for a row that is in two clusters, and for one that is not in the table.
 * Rows that this run has merged before it was cut off are no such: `removed` is SQL for their keys, as text[].
 */
export async function readSource(
  sql: TransactionSql,
  scope: Scope,
  text: string,
  removed?: string,
): Promise<string> {
  const root = scope.tables[0] as TableFacts;
  const key = nameOf(root) ?? [];
  const clusters = parseClusters(text, key.length);
  const given = clusters.flatMap(({ keep, rows }, index) =>
    rows.map((row) => [String(index + 1), keep && isSame(keep, row) ? '1' : '0', ...row]),
  );
  const types = key.map((column) => columnOf(root, column).type);
  await sql.unsafe('DROP TABLE IF EXISTS pg_temp.eduschema_given');
  await sql.unsafe(
    `CREATE TEMPORARY TABLE eduschema_given ON COMMIT DROP AS
     SELECT (r ->> 0)::int AS eduschema_cluster, (r ->> 1)::int AS eduschema_keep,
            ${types.map((type, i) => `(r ->> ${i + 2})::${type} AS eduschema_k${i + 1}`).join(', ')}
     FROM pg_catalog.jsonb_array_elements($1::text::jsonb) r`,
    [JSON.stringify(given)],
  );
  const names = key.map((_, i) => `eduschema_k${i + 1}`).join(', ');
  const [twice] = await sql.unsafe<{ row: string }[]>(
    `SELECT concat_ws(', ', ${names}) AS row FROM pg_temp.eduschema_given GROUP BY ${names} HAVING count(*) > 1 LIMIT 1`,
  );
  if (twice) throw invalid(`it has the row ${twice.row} twice`);
  if (removed !== undefined)
    await sql.unsafe(
      `DELETE FROM pg_temp.eduschema_given WHERE ARRAY[${key.map((_, i) => `eduschema_k${i + 1}::text`).join(', ')}] IN (${removed})`,
    );
  const [missing] = await sql.unsafe<{ row: string }[]>(
    `SELECT concat_ws(', ', ${names}) AS row FROM pg_temp.eduschema_given g
     WHERE NOT EXISTS (SELECT FROM ${quoteName(root.name)} t WHERE ${key.map((column, i) => `${at('t', column)} = g.eduschema_k${i + 1}`).join(' AND ')}) LIMIT 1`,
  );
  if (missing) throw invalid(`${showName(root.name)} has no row ${missing.row}`);
  return `SELECT eduschema_cluster, eduschema_keep, ${names} FROM pg_temp.eduschema_given`;
}

/**
 * Reads `[{ "rows": [1, 2], "keep": 1 }, ...]`, `[[1, 2], ...]`, or what `dedupe --similar --json` has printed. A key of
 * several columns is an array.
 */
export function parseClusters(text: string, width: number): GivenCluster[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw invalid(`it is no JSON: ${(error as Error).message}`);
  }
  const list = isObject(document) ? document.rows : document;
  if (!Array.isArray(list)) throw invalid('it is no list of clusters');
  return list.map((item: unknown, index) => {
    const rows = isObject(item) ? item.rows : item;
    if (!Array.isArray(rows) || rows.length < 2) throw invalid(`cluster ${index + 1} has not two rows`);
    const keep =
      isObject(item) && item.keep !== undefined && item.keep !== null ? toKey(item.keep, width) : undefined;
    const keys = rows.map((row: unknown) => toKey(row, width));
    if (keep && !keys.some((row) => isSame(row, keep)))
      throw invalid(`cluster ${index + 1} keeps a row that is not in it`);
    return { keep, rows: keys };
  });
}

function toKey(value: unknown, width: number): string[] {
  const parts = Array.isArray(value) ? value : [value];
  const isKey = parts.length === width && parts.every((part) => ['string', 'number'].includes(typeof part));
  if (!isKey)
    throw invalid(`${JSON.stringify(value)} is no key of ${width === 1 ? 'one column' : `${width} columns`}`);
  // Read as a number it can be another row's key by now.
  const rounded = parts.find((part) => typeof part === 'number' && !Number.isSafeInteger(part));
  if (rounded !== undefined)
    throw invalid(`a number such as ${rounded} may have been rounded: keys like it need quotation marks`);
  return parts.map(String);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isSame = (a: readonly string[], b: readonly string[]) => JSON.stringify(a) === JSON.stringify(b);

function invalid(problem: string): EduschemaError {
  return new EduschemaError('clusters-invalid', `the file of clusters cannot be used: ${problem}`, {
    hint: 'write [{ "rows": [1, 2], "keep": 1 }, ...], as dedupe --similar --json prints it; nothing was changed',
  });
}
