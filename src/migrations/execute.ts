import type { HookMigration } from '../config.ts';
import type { LockKey } from '../db/advisory-lock.ts';
import { cancelOnAbort } from '../db/cancel-on-abort.ts';
import type { Database, Session } from '../db/connect.ts';
import { withLockRetries } from '../db/lock-retries.ts';
import { watchSession } from '../db/watch-session.ts';
import { toolVersion } from '../tool-version.ts';
import { forbidEmptied } from './journal-guard.ts';
import {
  forgetRepeatableStatement,
  forgetStatement,
  makeAfterDueStatement,
  recordRepeatableStatement,
  recordStatement,
  settleAfterStatement,
  touchStatement,
} from './journal-statements.ts';
import { watchLeftovers } from './leftover-watch.ts';
import { explainLostConnection } from './lost-connection.ts';
import { interrupted, outcomeAfter, outcomeIn, outcomeOf } from './outcome.ts';
import type { MigrationPlan } from './plan.ts';
import { forbidSessionNeeds } from './pooled-plan.ts';
import { describeUnit, isTransactional, nameOfUnit, type Prepared } from './prepare.ts';
import { findInDoubt } from './resume.ts';
import { runMigration, runTogether } from './run.ts';
import type { Run, RunSettings, Said } from './run-settings.ts';
import type { MigrationSettings } from './settings.ts';
import { confirmTurn, forbidLostTurn, guardKey, type HeldTurn, isTurnLost, lostTurn } from './turn.ts';
import { proveByLock } from './turn-proof.ts';

/** One migration that was applied or undone. */
export interface MigrationDone extends HookMigration {
  /** As seen from here, waiting included. */
  readonly durationMs: number;
}

export interface ExecuteOptions {
  readonly singleTransaction?: boolean | undefined;
  /** What the user says of statements that an earlier run left in doubt. */
  readonly said?: Said | undefined;
  /** The command to run again after a failure. */
  readonly command: string;
  /** Called when a step is done, with how many are, and with 0 after hooks before them; not in a single transaction. */
  readonly afterStep?: ((count: number) => Promise<void>) | undefined;
}

/** A hook that was run. */
export interface HookDone {
  readonly name: string;
  readonly durationMs: number;
}

/** What was done, and run around it. */
export interface Executed {
  readonly done: readonly MigrationDone[];
  readonly hooks: readonly HookDone[];
}

/**
 * Runs the hooks and the steps of a plan in a session of their own, each recorded with what it did, and says what was
 * done. Hooks of one kind are one transaction, with what records that they ran.
 */
export async function executePlan(
  database: Database,
  plan: MigrationPlan,
  settings: HeldTurn,
  options: ExecuteOptions,
): Promise<Executed> {
  const { steps } = plan;
  const { before, after } = plan.hooks;
  if (settings.lease) await forbidSessionNeeds(database.sql, plan, settings);
  const done: MigrationDone[] = [];
  const hooks: HookDone[] = [];
  const session = {
    applicationName: settings.lease?.workerName ?? 'eduschema migration',
    emptied: true,
    fetchTypes: [...before, ...steps, ...after].some(({ kind }) => kind === 'module'),
    onNotice: (notice: { severity?: string; message?: string }) =>
      settings.onProgress?.({
        type: 'notice',
        severity: notice.severity ?? '',
        message: notice.message ?? '',
      }),
  };
  await database.withSession(session, async (worker) => {
    const inDoubt = await findInDoubt(database.sql, plan, settings.journal, options.said);
    const leftovers = await watchLeftovers(database.sql, settings);
    const stop = cancelOnAbort(database, worker, settings.signal);
    let started = performance.now();
    const begin = (prepared: Prepared) => {
      settings.signal?.throwIfAborted();
      forbidLostTurn(
        database,
        settings,
        outcomeOf(plan, prepared, options.singleTransaction ? 0 : done.length),
      );
      started = performance.now();
      settings.onProgress?.({ type: 'started', ...placeOf(plan, prepared) });
    };
    const finish = ({ prepared: { unit } }: Run) => {
      const durationMs = performance.now() - started;
      const name = nameOfUnit(unit);
      if (unit.type === 'hook') hooks.push({ name, durationMs: Math.round(durationMs) });
      else done.push({ ...describeUnit(unit), durationMs: Math.round(durationMs) });
      settings.onProgress?.({ type: 'done', name, durationMs });
    };
    const watched = { ...settings, guard: guardKey(settings) };
    const settingsWith = (lockTimeout: string, said = nothingSaid) =>
      runSettings(database, worker, watched, lockTimeout, said);
    const runAsOne = async (group: readonly Prepared[]) => {
      const [first] = group;
      if (!first) return;
      const [doneBefore, hooksBefore] = [done.length, hooks.length];
      const runs = group.map((prepared) => toRun(plan, prepared, doneBefore, settings, options));
      await withLockRetries(database, worker, watched, (lockTimeout) => {
        done.length = doneBefore;
        hooks.length = hooksBefore;
        begin(first);
        let index = 0;
        return runTogether(worker, runs, settingsWith(lockTimeout), (run) => {
          finish(run);
          const next = group[++index];
          if (next) begin(next);
        });
      });
    };
    try {
      if (options.singleTransaction) await runAsOne([...before, ...steps, ...after]);
      else {
        await runAsOne(before);
        if (before.length > 0) await options.afterStep?.(0);
        for (const [index, prepared] of steps.entries()) {
          begin(prepared);
          const run = toRun(plan, prepared, index, settings, options);
          const said = prepared === inDoubt ? options.said : undefined;
          const attempt = (lockTimeout: string) => runMigration(worker, run, settingsWith(lockTimeout, said));
          await (isTransactional(prepared)
            ? withLockRetries(database, worker, watched, attempt)
            : attempt('0'));
          finish(run);
          if (leftovers.mayLeave(prepared)) await leftovers.tell(nameOfUnit(prepared.unit));
          await options.afterStep?.(index + 1);
        }
        await runAsOne(after);
      }
      await leftovers.tell('this run');
    } catch (thrown) {
      if (!options.singleTransaction) await makeDurable(database, settings, done);
      const error = settings.signal?.aborted
        ? interrupted(plan, options.singleTransaction ? 0 : done.length, thrown, options.command)
        : (await isTurnLost(database, worker, settings, thrown))
          ? lostTurn(settings, {
              cause: thrown,
              outcome: outcomeIn(thrown) ?? outcomeAfter(plan, done.length),
            })
          : await explainLostConnection(database, worker, plan, settings, {
              error: thrown,
              step: options.singleTransaction ? steps.at(-1) : steps[done.length],
              done: options.singleTransaction ? 0 : done.length,
              command: options.command,
            });
      throw await leftovers.addTo(error);
    } finally {
      stop();
    }
  });
  return { done, hooks };
}

/** Its name, and which of how many of its kind it is. */
function placeOf({ steps, hooks }: MigrationPlan, prepared: Prepared) {
  const { unit } = prepared;
  const kind = unit.type === 'hook' ? hooks[unit.when] : steps;
  return { name: nameOfUnit(unit), index: kind.indexOf(prepared), total: kind.length };
}

const nothingSaid: Said = { markDone: [], redo: [] };

function runSettings(
  database: Database,
  worker: Session,
  settings: HeldTurn & { readonly guard: LockKey },
  lockTimeout: string,
  said: Said,
): RunSettings {
  return {
    lockTimeout,
    statementTimeout: settings.statementTimeout ?? '0',
    role: settings.role,
    schema: settings.schema,
    versionNumber: worker.facts.versionNumber,
    triesAgain: settings.lockTimeout !== '0',
    guard: settings.guard,
    lease: settings.lease,
    proof: proveByLock(settings.token),
    confirmTurn: () => confirmTurn(database, worker, settings),
    keeper: database.sql,
    journal: settings.journal,
    said,
    watched: (work) => watchSession(database, worker, settings, work),
    withLocks: (attempt) => withLockRetries(database, worker, settings, attempt),
    onResume: (message) => settings.onProgress?.({ type: 'resumed', message }),
    signal: settings.signal,
    log: (message) => settings.onProgress?.({ type: 'log', message }),
  };
}

/** `done` is how many steps stay when this one fails. */
function toRun(
  plan: MigrationPlan,
  prepared: Prepared,
  done: number,
  { journal }: MigrationSettings,
  { command }: ExecuteOptions,
): Run {
  return {
    prepared,
    command,
    durable: prepared === plan.steps.at(-1) || !isPlain(prepared),
    outcome: () => outcomeOf(plan, prepared, done),
    record: (durationMs) =>
      [
        ...(hasRowsBefore(plan, prepared) ? [forbidEmptied(journal)] : []),
        recordOf(prepared, journal, durationMs),
      ].join('; '),
  };
}

/** Whether the journal has rows when this step is recorded. */
function hasRowsBefore({ state, steps }: MigrationPlan, prepared: Prepared): boolean {
  if (prepared.unit.type === 'hook' || prepared.direction === 'down') return false;
  const earlier = steps.slice(0, Math.max(0, steps.indexOf(prepared)));
  return (
    state.entries.some(({ row }) => row !== undefined) ||
    earlier.some(({ unit }) => unit.type === 'versioned')
  );
}

/** The most frequent kind, of which there can be thousands. */
function isPlain({ unit, direction }: Prepared): boolean {
  return unit.type === 'versioned' && direction === 'up';
}

/** Waits until what was applied is on the disk: the commit of a write flushes the log up to itself. */
async function makeDurable(
  database: Database,
  { journal }: MigrationSettings,
  done: readonly MigrationDone[],
): Promise<void> {
  const version = done.findLast((step) => step.version !== null)?.version;
  if (version) await database.sql.unsafe(touchStatement(journal, version)).catch(() => {});
}

/** The SQL that records a step in the journal; empty for a hook with which nothing is recorded. */
export function recordOf(
  { unit, direction }: Prepared,
  journal: MigrationSettings['journal'],
  durationMs: string,
): string {
  if (unit.type === 'hook') {
    if (unit.records === undefined) return '';
    return unit.records === 'due' ? makeAfterDueStatement(journal) : settleAfterStatement(journal);
  }
  const recorded = { checksum: unit.file.checksum, toolVersion, durationMs };
  if (unit.type === 'repeatable') {
    return direction === 'up'
      ? recordRepeatableStatement(journal, unit.file.name, recorded)
      : forgetRepeatableStatement(journal, unit.file.name);
  }
  return direction === 'up'
    ? recordStatement(journal, { ...unit.file, kind: 'migration' }, recorded)
    : forgetStatement(journal, unit.recordedAs ?? unit.file.version);
}
