import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteName } from '../db/identifiers.ts';
import { dedupeLog } from '../db/own-tables.ts';
import type { Choices } from './choices.ts';
import { type DedupeRun, updateRun } from './journal.ts';
import { type Merging, merge } from './merge.ts';
import { fillPairs, lockClusters, pairsOf } from './pairs.ts';
import { countChildren, notEqual } from './proof.ts';
import { type Scope, showReference } from './scope.ts';
import type { TableFacts } from './table-facts.ts';
import { createTally, type Tally } from './tally.ts';

/** What a batch is done with. */
export interface BatchContext {
  readonly journal: QualifiedName;
  readonly run: DedupeRun;
  readonly scope: Scope;
  readonly choices: Choices;
}

/**
 * Merges the clusters whose duplicates have the numbers `from` to `to`, in the transaction of `sql`, and records it as batch
 * number `batch`. Rows that are gone or different meanwhile are left as they are. Throws `proof-failed` when children or
 * counters are not what they were.
 */
export async function mergeBatch(
  sql: TransactionSql,
  { journal, run, scope, choices }: BatchContext,
  { batch, from, to }: { readonly batch: number; readonly from: number; readonly to: number },
): Promise<Tally> {
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
  const count = async (when: 'before' | 'after') => {
    if (references.length === 0) return {};
    const [found = {}] = await sql.unsafe<Record<string, number>[]>(
      countChildren(scope, references, pairs, when),
    );
    return found;
  };
  const before = await count('before');
  await merge(merging, pairs);
  const after = await count('after');
  for (const [number, reference] of references) {
    const [was = 0, is = 0] = [before[`r${number}`], after[`r${number}`]];
    tally.add(number, { before: was, after: is });
    const { gone, cut } = tally.movements.get(number) ?? { gone: 0, cut: 0 };
    if (!merging.tangled && was !== is + gone + cut)
      throw notEqual(
        `rows of ${showReference(scope, reference)} that refer to the rows merged`,
        was,
        is + gone + cut,
      );
  }
  await updateRun(sql, journal, run.run, { batches: batch, removed: run.removed + tally.removed });
  return tally;
}

/** Tables without a foreign key that is enforced: no lock on a row keeps others from referring to it there. */
function looseChildren({ tables, references }: Scope): QualifiedName[] {
  const children = references.filter(({ enforced }) => !enforced).map(({ child }) => child);
  return [...new Set(children)].sort((a, b) => a - b).map((child) => (tables[child] as TableFacts).name);
}
