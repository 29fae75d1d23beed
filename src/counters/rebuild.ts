import type { Database } from '../db/connect.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { withWorker } from '../db/worker.ts';
import { counters } from './counters.ts';
import { type LowCounter, raiseCounters } from './queries.ts';
import { type CountersReport, verifyCounters } from './verify.ts';

/** Materials of one transaction: their writers wait for it. */
const batchSize = 500;

/**
 * Raises the counters that are lower than their logs by what is missing, and lowers none. `approve` is asked before, with
 * what was found. Cut off in the middle, the rest is found again by the next run. Returns what was raised.
 */
export async function rebuildCounters(
  database: Database,
  schema: string,
  settings: WorkSettings,
  approve: (found: CountersReport) => Promise<void>,
): Promise<readonly LowCounter[]> {
  const seen = await verifyCounters(database, schema);
  if (seen.low.length === 0) return [];
  await approve(seen);
  return withWorker(database, `counters of ${schema}`, settings, async (worker) => {
    // Another run may have been at it while this one waited for its turn.
    const { low } = await verifyCounters(database, schema);
    for (const target of counters) {
      const { column } = target;
      const wrong = low.filter(({ counter }) => counter === column);
      for (let at = 0; at < wrong.length; at += batchSize) {
        settings.signal?.throwIfAborted();
        await worker.transaction(`raise ${column}`, (sql) =>
          raiseCounters(sql, schema, target, wrong.slice(at, at + batchSize)),
        );
      }
    }
    return low;
  });
}
