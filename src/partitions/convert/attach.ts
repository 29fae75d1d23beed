import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { underUtc } from '../catalogue.ts';
import { writeMark } from '../comment-mark.ts';
import {
  indexesToWiden,
  planDropProof,
  planDropWide,
  planProof,
  planValidation,
  planWideIndex,
} from './attach-steps.ts';
import { buildIndex } from './build-index.ts';
import { type Choices, shown } from './choices.ts';
import { chooseAll, nearSeconds } from './choose.ts';
import { fingerprintOf } from './fingerprint.ts';
import { dayOf, firstEnd, secondsUntil, todayIn } from './first-end.ts';
import { outgoingOf } from './incoming.ts';
import { isWidened } from './keys.ts';
import type { TwinMark } from './memory.ts';
import { wideOf } from './names.ts';
import { listNewPartitions } from './plan-partitions.ts';
import type { Prepared } from './prepare.ts';
import { rehearseAttach } from './rehearse.ts';
import { findState, type WideIndex } from './state.ts';
import type { Steps } from './steps.ts';
import { proveAttached, type SwapResult, swapIn } from './swap-in.ts';
import type { TableDescription } from './table-description.ts';
import { planDropPartitions, planDropTwin, planPartitions, planTwin, planTwinKeys } from './twin.ts';

/** How an attachment goes about it, beside how the worker waits. */
export interface AttachSettings extends WorkSettings {
  /** Seconds before the end of the first partition at which a later one is taken. */
  readonly nearSeconds?: number | undefined;
}

/** What tells which description and which choices a twin was made from. */
export const twinMark = (table: TableDescription, choices: Choices): TwinMark => ({
  of: shown(table),
  method: choices.method,
  made: fingerprintOf(table, choices),
});

/**
 * Takes a table from wherever an earlier run left it to the swap: each step is skipped when the catalogue shows that it
 * was done. `swapped` is false when somebody changed the table meanwhile; then it has to be prepared again.
 */
export async function attach(
  worker: Worker,
  { request, table, choices, state }: Prepared,
  steps: Steps,
  settings: AttachSettings,
): Promise<SwapResult> {
  const { sql } = worker.session;
  const carryOut = (step: Step) => steps.run(step.title, () => worker.carryOut(step));

  const hasTwin = state.twin?.mark?.made === fingerprintOf(table, choices);
  if (!hasTwin) {
    if (state.twin) await carryOut(planDropTwin(table));
    const comment = writeMark(null, 'twin', twinMark(table, choices));
    await carryOut(planTwin(table, choices, comment, state.proof !== undefined));
  }
  const keys = planTwinKeys(table, hasTwin ? state.twin?.foreignKeys : []);
  if (keys.length > 0 || outgoingOf(table).length === 0) {
    await steps.run(`rehearse the swap on an empty copy of ${shown(table)}`, () =>
      rehearseAttach(worker, table, choices),
    );
    for (const step of keys) await carryOut(step);
  }

  const wide = indexesToWiden(table, choices);
  const isWanted = ({ name, valid, using }: WideIndex) =>
    valid && wide.some((index) => wideOf(index.name) === name && isWidened(using, index, choices.column));
  for (const found of state.wide.filter((one) => !isWanted(one)))
    await carryOut(planDropWide(table, found.name));
  const built = state.wide.filter(isWanted);
  for (const index of wide)
    if (!built.some(({ name }) => name === wideOf(index.name)))
      await buildIndex(
        worker,
        table,
        { name: wideOf(index.name), step: planWideIndex(table, index, choices) },
        steps,
        settings,
      );

  const chosen = await prove(worker, { request, table, choices }, steps, settings);
  try {
    const { twin } = await underUtc(sql, (inside) => findState(inside, table));
    const names = (twin?.partitions ?? []).map(({ name }) => ({ schema: table.schema, name }));
    if (names.length > 0) await carryOut(planDropPartitions(table, names));
    const today = await todayIn(sql, chosen.policy.zone);
    const partitions = planPartitions(table, await listNewPartitions(sql, table, chosen, today));
    await steps.run(`make ${partitions.length} partitions, from ${chosen.end} on`, async () => {
      for (const step of partitions) await worker.carryOut(step);
    });
    return await steps.run(`put the twin in the place of ${shown(table)}`, () =>
      swapIn(worker, { table, choices: chosen }, (inside, before) => proveAttached(inside, table, before)),
    );
  } catch (error) {
    throw withEnd(error, table, chosen);
  }
}

type Provable = Pick<Prepared, 'request' | 'table' | 'choices'>;

/**
 * Has the CHECK in place that says where the first partition ends, and proves it: with a later end when that one comes
 * near. Rows that were written behind it meanwhile are no failure of the application: the CHECK goes at once.
 */
async function prove(
  worker: Worker,
  { request, table, choices: first }: Provable,
  steps: Steps,
  settings: AttachSettings,
): Promise<Choices> {
  const { sql } = worker.session;
  const carryOut = (step: Step) => steps.run(step.title, () => worker.carryOut(step));
  const near = settings.nearSeconds ?? nearSeconds;
  for (let choices = first; ; ) {
    const { zone } = choices.policy;
    const { proof } = await underUtc(sql, (inside) => findState(inside, table));
    const stated = proof?.end ? await dayOf(sql, proof.end, choices.type, zone) : undefined;
    if (!proof || stated !== choices.end) await carryOut(planProof(table, choices, proof !== undefined));
    const isProven = proof?.validated === true && stated === choices.end;
    const left = (await secondsUntil(sql, choices.end, zone)) - near;
    if (left > 0 && (isProven || (await validate(worker, table, choices, steps, left)))) return choices;
    const end = firstEnd(await todayIn(sql, zone), choices.policy.unit);
    settings.onProgress?.({
      type: 'log',
      message: `${choices.end} comes near: the first partition ends before ${end} instead`,
    });
    choices = await chooseAll(sql, request, { ...choices, end });
  }
}

const longestTimerMs = 2 ** 31 - 1;

/** False when the end came near meanwhile. */
async function validate(
  worker: Worker,
  table: TableDescription,
  choices: Choices,
  steps: Steps,
  seconds: number,
): Promise<boolean> {
  const step = planValidation(table);
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      void worker.session.cancel();
    },
    Math.min(seconds * 1000, longestTimerMs),
  );
  try {
    await steps.run(step.title, () => worker.carryOut(step));
    return true;
  } catch (error) {
    if (late) return false;
    if (!isViolation(error)) throw withEnd(error, table, choices);
    await worker.carryOut(planDropProof(table));
    throw new EduschemaError(
      'table-unsuitable',
      `${shown(table)} has rows without ${choices.column}, or from ${choices.end} on, which came while the work was under way`,
      {
        hint: `the table takes every row again; run the command again, with --from <day> for a later end than ${choices.end}`,
        cause: error,
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

const isViolation = (error: unknown) =>
  error instanceof EduschemaError && error.details?.sqlstate === '23514';

/** Says what an unfinished conversion means for those who write. */
function withEnd(error: unknown, table: TableDescription, { column, end }: Choices): unknown {
  if (!(error instanceof EduschemaError)) return error;
  const meanwhile = `until it is done or undone, ${shown(table)} refuses rows with ${column} from ${end} on`;
  return new EduschemaError(error.code, error.message, {
    hint: error.hint ? `${error.hint}; ${meanwhile}` : meanwhile,
    cause: error.cause,
    details: error.details,
    excerpt: error.excerpt,
  });
}
