import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteName } from '../db/identifiers.ts';
import { dedupeLog } from '../db/own-tables.ts';
import type { Choices } from './choices.ts';
import { type DedupeRun, updateRun } from './journal.ts';
import { type Merging, merge } from './merge.ts';
import { fillPairs, lockClusters, pairsOf } from './pairs.ts';
import { countChildren, notEqual, unexplained } from './proof.ts';
import { type Scope, showReference } from './scope.ts';
import { findExplained, readDone } from './side-effects.ts';
import type { TableFacts } from './table-facts.ts';
import { createTally, type Tally } from './tally.ts';

/** What a batch is done with. */
export interface BatchContext {
  readonly journal: QualifiedName;
  readonly run: DedupeRun;
  readonly scope: Scope;
  readonly choices: Choices;
}

/** A batch: the duplicates with the numbers `from` to `to`, and the children that need not be counted again afterwards. */
export interface BatchOrder {
  readonly batch: number;
  readonly from: number;
  readonly to: number;
  /** Numbers of tables in which batches have done nothing so far but what they were told to. */
  readonly explained: ReadonlySet<number>;
}

/**
 * Merges the clusters of a batch, in the transaction of `sql`, and records it. Rows that are gone or different meanwhile are
 * left as they are. Returns what was done, and the tables in which, by the server's statistics, nothing else was. Throws
 * `proof-failed` when children or counters are not what they were.
 */
export async function mergeBatch(
  sql: TransactionSql,
  { journal, run, scope, choices }: BatchContext,
  { batch, from, to, explained }: BatchOrder,
): Promise<{ readonly tally: Tally; readonly explained: ReadonlySet<number> }> {
  const pairs = pairsOf(scope, 0, 0);
  const tally = createTally();
  let step = 0;
  const merging: Merging = {
    sql,
    scope,
    choices,
    log: quoteName(dedupeLog(journal)),
    nextEntry: () => `${run.run}, ${batch}, ${++step}`,
    tally,
    active: [],
    changes: new Map(),
    tangled: false,
  };
  for (const child of looseChildren(scope))
    await sql.unsafe(`LOCK TABLE ${quoteName(child)} IN SHARE ROW EXCLUSIVE MODE`);
  await sql.unsafe(lockClusters(scope, from, to));
  await sql.unsafe(fillPairs(scope, choices, pairs, from, to));
  await sql.unsafe(`ANALYZE ${pairs.name}`);
  const references = [...scope.references.entries()].filter(([, { parent }]) => parent === 0);
  const counted = references.filter(([, { child }]) => !explained.has(child));
  const children = [...new Set(references.map(([, { child }]) => child))].filter((child) => child !== 0);
  const count = async (which: 'l' | 's', when: 'before' | 'after', of = counted) => {
    if (of.length === 0) return {};
    const [found = {}] = await sql.unsafe<Record<string, number>[]>(
      countChildren(scope, of, pairs, which, when),
    );
    return found;
  };
  const doneBefore = await readDone(sql, scope, children);
  const referring = await count('l', 'before', references);
  const others = await count('s', 'before');
  await merge(merging, pairs);
  const all = await count('s', 'after');
  const doneAfter = await readDone(sql, scope, children);
  const now = new Set(findExplained(doneBefore, doneAfter, scope, tally));
  for (const [number, reference] of references) {
    const key = `r${number}`;
    const was = referring[key] ?? 0;
    const { moved, gone, cut } = tally.movements.get(number) ?? { moved: 0, gone: 0, cut: 0 };
    if (explained.has(reference.child)) {
      if (!now.has(reference.child)) throw unexplained(scope, reference);
      tally.add(number, { before: was, after: moved });
      continue;
    }
    const is = (all[key] ?? 0) - (others[key] ?? 0);
    tally.add(number, { before: was, after: is });
    if (!merging.tangled && was !== is + gone + cut)
      throw notEqual(
        `rows of ${showReference(scope, reference)} that refer to the rows merged`,
        was,
        is + gone + cut,
      );
  }
  await updateRun(sql, journal, run.run, { batches: batch, removed: run.removed + tally.removed });
  return { tally, explained: now };
}

/** Tables without a foreign key that is enforced: no lock on a row keeps others from referring to it there. */
function looseChildren({ tables, references }: Scope): QualifiedName[] {
  const children = references.filter(({ enforced }) => !enforced).map(({ child }) => child);
  return [...new Set(children)].sort((a, b) => a - b).map((child) => (tables[child] as TableFacts).name);
}
