import type { Database } from '../db/connect.ts';
import { checkTables, type LowCounter, listLowCounters, listUncounted, type Uncounted } from './queries.ts';

/** What was found of the counters. */
export interface CountersReport {
  readonly low: readonly LowCounter[];
  readonly uncounted: readonly Uncounted[];
  /** How many logs there are, of how many materials. */
  readonly logs: number;
  readonly materials: number;
}

/**
 * Compares the counters of the materials with the logs that are there. A counter below its logs is wrong for certain: rows
 * went into a partition past the trigger, or the trigger was off. One above them is not wrong: old logs are retired.
 * So what went past the trigger shows only as far as no retired log covers it.
 */
export async function verifyCounters({ sql }: Database, schema: string): Promise<CountersReport> {
  await checkTables(sql, schema);
  const uncounted = await listUncounted(sql, schema);
  return { ...(await listLowCounters(sql, schema)), uncounted };
}
