import type { QualifiedName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { underUtc } from '../catalogue.ts';
import { planAnalyze } from './attach-steps.ts';
import { describeTable } from './describe-table.ts';
import { isSame, validateIncoming } from './incoming.ts';
import { planViewSwap, planViewTwin } from './materialized.ts';
import type { Steps } from './steps.ts';
import type { DependentMaterializedView } from './table-description.ts';

/**
 * Makes materialized views anew that are bound to `old`, the table that had another name when they were made: as they
 * read then, they are bound to what bears that name now.
 */
export async function renewViews(
  worker: Worker,
  old: QualifiedName,
  remembered: readonly DependentMaterializedView[],
  steps: Steps,
): Promise<void> {
  if (remembered.length === 0) return;
  const { sql, facts } = worker.session;
  const describe = (name: QualifiedName) =>
    underUtc(sql, (inside) => describeTable(inside, name, facts.versionNumber));
  for (const bound of (await describe(old))?.dependents.materializedViews ?? []) {
    const view = remembered.find((known) => isSame(known, bound));
    const described = await describe(bound);
    if (!view || !described) continue;
    for (const step of [planViewTwin({ ...view, described }), planViewSwap({ ...view, described })])
      await steps.run(step.title, () => worker.carryOut(step));
  }
}

/** What remains to be done for a table that took another's place: foreign keys that are looked at, statistics. */
export async function finishTable(worker: Worker, name: QualifiedName, steps: Steps): Promise<void> {
  const { sql, facts } = worker.session;
  const table = await underUtc(sql, (inside) => describeTable(inside, name, facts.versionNumber));
  if (!table) return;
  for (const key of table.incomingKeys.filter(({ validated }) => !validated)) {
    const { sql: statement, why } = validateIncoming(key);
    await steps.run(why, () => worker.alone(why, statement));
  }
  const [analyzed] = await sql`SELECT FROM pg_class WHERE oid = ${table.oid} AND reltuples >= 0`;
  if (analyzed) return;
  const step = planAnalyze(table);
  await steps.run(step.title, () => worker.carryOut(step));
}
