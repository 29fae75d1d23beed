import type { Database } from '../../db/connect.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { decide, type Verb } from './decide.ts';
import type { Obstacle } from './obstacles.ts';
import { type Departure, type Outlook, rowOf } from './outlook.ts';
import { findCandidate } from './queries.ts';
import { type RetireContext, retire } from './retire.ts';
import type { RetainRow } from './row.ts';

/** Errors that are the matter of one partition: the others go on. */
const ofOnePartition = ['archive-damaged', 'archive-differs'];

/** Retires what is due of one table, as far as it goes today, one partition after the other. */
export async function retireAll(
  { sql }: Database,
  worker: Worker,
  outlook: Outlook,
  settings: WorkSettings,
): Promise<RetainRow[]> {
  const waiting = outlook.departures.filter(({ decision }) => decision.next);
  const rows: RetainRow[] = [];
  for (const departure of outlook.departures) {
    if (!departure.decision.next) {
      rows.push(rowOf(outlook.table, departure));
      continue;
    }
    const context = contextFor(worker, outlook, settings, {
      index: waiting.indexOf(departure),
      total: waiting.length,
    });
    rows.push(await retireOne(context, outlook, departure));
  }
  return rows;

  async function retireOne(
    context: RetireContext,
    { table, terms }: Outlook,
    departure: Departure,
  ): Promise<RetainRow> {
    const did: Verb[] = [];
    let last: Verb | undefined;
    let current = departure;
    // Each step is followed by a look at what is now: another run goes on from there in the same way.
    for (;;) {
      const found = await findCandidate(sql, departure.candidate.oid);
      if (!found) {
        const obstacle = {
          problem: 'somebody else dropped it',
          remedy: 'its archive, if there is one, stays',
        };
        if (last !== 'drop')
          return { ...rowOf(table, { ...current, decision: { state: 'left', obstacle } }), did };
        return { ...rowOf(table, current), state: 'dropped', next: null, did: [...did, 'drop'] };
      }
      const candidate = { ...found, due: departure.candidate.due };
      const decision = decide(candidate, terms);
      current = { ...current, candidate, decision };
      if (!decision.next) return { ...rowOf(table, current), did };
      const obstacle = await attempt(context, current, decision.next);
      if (obstacle) return { ...rowOf(table, { ...current, decision: { state: 'left', obstacle } }), did };
      last = decision.next;
      // A table whose archive is gone is there after its turn to be dropped.
      if (last !== 'drop') did.push(last);
    }
  }
}

async function attempt(
  context: RetireContext,
  departure: Departure,
  verb: Verb,
): Promise<Obstacle | undefined> {
  try {
    return await retire(context, departure.candidate, departure, verb);
  } catch (error) {
    if (!(error instanceof EduschemaError)) throw error;
    const dependents = error.details?.sqlstate === '2BP01';
    if (!dependents && !ofOnePartition.includes(error.code)) throw error;
    return {
      problem: dependents ? `${error.details?.reason}` : error.message,
      remedy: dependents ? 'drop what depends on it, or change it' : (error.hint ?? ''),
    };
  }
}

function contextFor(
  worker: Worker,
  { table, surroundings, root, terms, dropAfter }: Outlook,
  { onProgress, signal }: WorkSettings,
  { index, total }: { index: number; total: number },
): RetireContext {
  return {
    worker,
    table,
    surroundings,
    root,
    now: terms.now,
    dropAfter,
    say: (message) => onProgress?.({ type: 'log', message }),
    async during(name, work) {
      signal?.throwIfAborted();
      const started = performance.now();
      onProgress?.({ type: 'started', name, index, total });
      const result = await work();
      onProgress?.({ type: 'done', name, durationMs: Math.round(performance.now() - started) });
      return result;
    },
  };
}
