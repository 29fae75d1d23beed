import type { Sql } from 'postgres';
import type { QualifiedName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { underUtc } from '../catalogue.ts';
import { readMark } from '../comment-mark.ts';
import { shown } from '../convert/choices.ts';
import { describeTable } from '../convert/describe-table.ts';
import { outgoingOf } from '../convert/incoming.ts';
import type { Memory } from '../convert/memory.ts';
import type { Steps } from '../convert/steps.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { withSuffix } from '../partition-name.ts';
import { listLeaves } from './leaves.ts';
import { planForeignKeys, planLeafValidation } from './outgoing.ts';
import { changesOf, findPair, type Pair, reversed } from './pair.ts';
import { asideSuffix } from './prepare-split.ts';
import { proveSplit, type SplitProof } from './prove-split.ts';
import { enter, readState } from './run-state.ts';

/** A table that was split, and the one that stands aside since. */
export interface Split {
  readonly table: TableDescription;
  readonly old: TableDescription;
  readonly memory: Memory;
  /** Changes of the new table, which the old one does not have. */
  readonly pair: Pair;
}

/** The table that stands aside for `table`. */
export const asideOfSplit = ({ schema, name }: QualifiedName): QualifiedName => ({
  schema,
  name: withSuffix(name, asideSuffix),
});

/** What a table was split from; undefined when it was not, or when the old one was dropped. */
export async function findSplit(
  sql: Sql,
  name: QualifiedName,
  versionNumber: number,
): Promise<Split | undefined> {
  const old = asideOfSplit(name);
  const [table, aside] = await underUtc(sql, async (inside) => [
    await describeTable(inside, name, versionNumber),
    await describeTable(inside, old, versionNumber),
  ]);
  const memory = readMark<Memory>(aside?.comment ?? null, 'was');
  if (table?.kind !== 'p' || !aside || memory?.method !== 'split') return undefined;
  const pair = await findPair(sql, { from: old, to: name, partitionColumn: memory.column });
  return { table, old: aside, memory, pair: { ...reversed(pair), changes: changesOf(name) } };
}

/** What remains when the new table is in use: foreign keys that are looked at, and the proof. */
export async function finishSwap(
  worker: Worker,
  split: Split,
  steps: Steps,
): Promise<SplitProof | undefined> {
  const { sql } = worker.session;
  const { memory, pair } = split;
  const run = await readState(sql, split.table);
  if (!run || run.phase === 'done') return undefined;
  const table: TableDescription = { ...split.table, foreignKeys: memory.foreignKeys ?? [] };
  if (run.phase === 'keys') {
    for (const leaf of outgoingOf(table).length === 0 ? [] : await listLeaves(sql, table)) {
      if (run.done.includes(leaf.name)) continue;
      const step = planLeafValidation(table, leaf);
      await steps.run(step.title, () => worker.carryOut(step));
    }
    const step = planForeignKeys(table);
    await steps.run(step.title, () => worker.carryOut(step));
  }
  const proof = await steps.run(`compare ${shown(table)} and ${shown(split.old)}`, () =>
    proveSplit(worker, pair, { partitioned: table, column: memory.column }),
  );
  const next = enter(table, 'done');
  await worker.transaction(next.why, (inside) => inside.unsafe(next.sql));
  return proof;
}
