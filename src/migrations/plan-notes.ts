import type { Database } from '../db/connect.ts';
import { isConnectionLost } from '../db/explain-error.ts';
import type { SchemaFingerprint } from '../db/schema-fingerprint.ts';
import { EduschemaError } from '../errors.ts';
import type { Executed } from './execute.ts';
import { readJournal } from './journal.ts';
import type { MigrationPlan } from './plan.ts';
import { fingerprintOf } from './plan-document.ts';
import type { ReadPlan } from './plan-file.ts';
import { openPlanLog } from './plan-runs.ts';
import { standingOf } from './plan-standing.ts';
import { isTransactional, type Prepared } from './prepare.ts';
import type { HeldTurn } from './turn.ts';

/** Milliseconds that notes may take before they are made less often. */
const freeMs = 2000;

/** Called when so many steps of the run are done; with 0 after the hooks before them. */
export type AfterStep = (count: number) => Promise<void>;

/**
 * Carries out what is left of a plan, and notes from time to time how far it came and what the schema is then, by which
 * the next run sees what others changed. A note is made after each step while that takes less than two seconds in all,
 * then so that it takes a tenth of the time; and always before a step outside a transaction, and after a failure.
 */
export async function notePlanRun(
  { sql }: Database,
  held: HeldTurn,
  { plan: document, sha256, shown }: ReadPlan,
  {
    plan,
    before,
    fingerprint,
  }: {
    readonly plan: MigrationPlan;
    readonly before: number;
    readonly fingerprint: SchemaFingerprint | undefined;
  },
  carryOut: (afterStep: AfterStep) => Promise<Executed>,
): Promise<Executed> {
  const log = openPlanLog(sql, held, {
    sha256,
    steps: document.steps.length,
    objects: document.objects,
  });
  const take = () => fingerprintOf(sql, held);
  const begins = plan.hooks.before.length > 0 && !document.options.singleTransaction ? 'begun' : 'running';
  await log.begin(begins, before, fingerprint ?? (await take()));
  let [spent, cost, last] = [0, 0, performance.now()];
  const isDue = (next: Prepared) =>
    spent < freeMs || !isTransactional(next) || performance.now() - last > 10 * cost;
  try {
    const done = await carryOut(async (count) => {
      const next = plan.steps[count] ?? plan.hooks.after[0];
      if (!next || (count > 0 && !isDue(next))) return;
      const started = performance.now();
      // What is not noted is laid to its steps: no reason to stop. A session that is gone shows itself elsewhere.
      await take()
        .then((now) => log.note('running', before + count, now))
        .catch(() => {});
      last = performance.now();
      cost = last - started;
      spent += cost;
    });
    // All is done and recorded, whether or not this is written.
    await take()
      .then((now) => log.note('finished', document.steps.length, now))
      .catch(() => {});
    return done;
  } catch (error) {
    // A commit that nobody saw ending may still come.
    const mayStillCome = isConnectionLost(error) || isConnectionLost((error as Error | undefined)?.cause);
    if (!mayStillCome) await noteStop().catch(() => {});
    throw withCommand(error, shown);
  }

  async function noteStop(): Promise<void> {
    const { done } = standingOf(document, await readJournal(sql, held.journal), true);
    await log.note('stopped', done, await take());
  }
}

/** What is to be typed after a failure names the plan; an edited file does not fit it any more. */
function withCommand(error: unknown, shown: string): unknown {
  if (!(error instanceof EduschemaError)) return error;
  const { code, message, details, cause } = error;
  const command = `eduschema migrate --from-plan ${shown}`;
  const named = (text: string | undefined) =>
    text?.replace(/eduschema migrate(?! --from-plan)/g, () => command);
  const what = /^fix the (file|hook) and run /.exec(error.hint ?? '')?.[1];
  const hint = what
    ? `if the ${what} is wrong, fix it and make a plan for the rest (eduschema migrate --plan ${shown}); else run ${command} again`
    : named(error.hint);
  return new EduschemaError(code, message, { hint, excerpt: named(error.excerpt), details, cause });
}
