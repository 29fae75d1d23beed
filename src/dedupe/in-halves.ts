import type { TransactionSql } from 'postgres';
import { isServerError } from '../db/explain-error.ts';

/** Rows by their numbers, both ends included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A row that the server does not take, and what it said. */
export interface Refused {
  readonly n: number;
  readonly reason: string;
}

/** Thrown by work on a range that was not done with every row of it. */
export const leftOut = 'a trigger or a rule of the table leaves it out';

/**
 * Does `work` with all rows at once; where the server refuses, with halves, down to the row that it does not take. What
 * was refused is not done, and returned.
 */
export async function inHalves(
  sql: TransactionSql,
  { from, to }: Range,
  work: (sql: TransactionSql, range: Range) => Promise<void>,
): Promise<Refused[]> {
  if (from > to) return [];
  try {
    await sql.savepoint((inner) => work(inner, { from, to }));
    return [];
  } catch (error) {
    if (!(error instanceof Error && isRefusal(error))) throw error;
    if (from === to) return [{ n: from, reason: error.message }];
    const middle = Math.floor((from + to) / 2);
    const first = await inHalves(sql, { from, to: middle }, work);
    return [...first, ...(await inHalves(sql, { from: middle + 1, to }, work))];
  }
}

/** 23: a constraint stands against the row; P0: a trigger. */
function isRefusal(error: Error): boolean {
  return isServerError(error) ? /^(23|P0)/.test(error.code) : error.message === leftOut;
}
