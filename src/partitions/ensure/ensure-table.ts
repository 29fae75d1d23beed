import { interruptible } from '../../db/cancel-on-abort.ts';
import type { Database } from '../../db/connect.ts';
import { type QualifiedName, quoteName, showName } from '../../db/identifiers.ts';
import type { AskForSession } from '../../db/kept-session.ts';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { type Worker, withKeptWorker } from '../../db/worker.ts';
import { findPartitionedTable, listBounds } from '../catalogue.ts';
import { findPolicy } from '../effective-policy.ts';
import type { Refusal } from './decide.ts';
import { type CloseLook, lookClosely, makeOnce, type Run } from './make-once.ts';
import type { EnsureOptions } from './situation.ts';
import { sqlstateOf } from './sqlstate.ts';

/** A partition that was made. */
export interface MadePartition {
  readonly table: QualifiedName;
  readonly partition: QualifiedName;
  /** On the clock of the table's zone. */
  readonly from: string | null;
  readonly to: string | null;
  /** Rows that waited for it in the default partition. */
  readonly rows: number;
}

/** What came of one table. */
export interface EnsuredTable {
  readonly made: readonly MadePartition[];
  readonly refused: readonly Refusal[];
}

/** Others may make partitions as well: so often they may come first. */
const mostRounds = 5;

/** Overlaps another partition; the name is taken; a row came that waits now. */
const overtaken = ['42P17', '42P07', '42710', '23514'];

/**
 * Makes the partitions that a table lacks and finishes what an earlier run left, as the only eduschema that is at its
 * partitions. What others make meanwhile is taken as it is.
 */
export async function ensureTable(
  database: Database,
  name: QualifiedName,
  options: EnsureOptions,
  settings: WorkSettings,
  keep: AskForSession,
): Promise<EnsuredTable> {
  const subject = `partitions of ${showName(name)}`;
  const made: Run['made'] = new Map();
  return withKeptWorker(database, subject, settings, keep, async (ask) => {
    const look = () => interruptible(database, settings.signal, () => lookClosely(database, name, options));
    const first = await look();
    const worker = await ask();
    const ownPids = [database.facts.pid, worker.session.facts.pid];
    const carryOut = teller(worker, settings);
    const run: Run = { database, worker, settings, options, ownPids, carryOut, made };
    const refused = await makeAll(run, first, look);
    return { made: await describeMade(run, name), refused };
  });
}

async function makeAll(
  run: Run,
  first: CloseLook,
  look: () => Promise<CloseLook>,
): Promise<readonly Refusal[]> {
  for (let round = 1, found = first; ; round++, found = await look()) {
    try {
      const { refused, isOver } = await makeOnce(run, found);
      if (isOver) return refused;
    } catch (error) {
      if (round >= mostRounds || !overtaken.includes(sqlstateOf(error))) throw error;
      const message = `${(error as Error).message}: somebody else was first; looking again`;
      run.settings.onProgress?.({ type: 'log', message });
    }
  }
}

function teller(worker: Worker, { onProgress }: WorkSettings): (step: Step) => Promise<void> {
  let index = 0;
  return async (step) => {
    const begun = performance.now();
    onProgress?.({ type: 'started', name: step.title, index, total: ++index });
    await worker.carryOut(step);
    onProgress?.({ type: 'done', name: step.title, durationMs: performance.now() - begun });
  };
}

async function describeMade(
  { database: { sql }, made, options }: Run,
  name: QualifiedName,
): Promise<MadePartition[]> {
  if (made.size === 0) return [];
  const table = await findPartitionedTable(sql, name);
  const partitions = await listBounds(sql, table, findPolicy(table, options.sources).zone);
  return partitions.flatMap((partition) => {
    const rows = made.get(quoteName(partition.name));
    const [from, to] = [partition.from?.local ?? null, partition.to?.local ?? null];
    return rows === undefined ? [] : [{ table: name, partition: partition.name, from, to, rows }];
  });
}
