import type { Database, Session } from '../db/connect.ts';
import { look } from '../db/look.ts';
import { EduschemaError } from '../errors.ts';
import { toolVersion } from '../tool-version.ts';
import {
  forgetRepeatableStatement,
  forgetStatement,
  recordRepeatableStatement,
  recordStatement,
  touchStatement,
} from './journal-statements.ts';
import { watchLeftovers } from './leftover-watch.ts';
import { withLockRetries } from './lock-retries.ts';
import { currentAfter, type MigrationPlan } from './plan.ts';
import { forbidSessionNeeds } from './pooled-plan.ts';
import { isTransactional, nameOfUnit, type Prepared } from './prepare.ts';
import { findInDoubt } from './resume.ts';
import { runMigration, runTogether } from './run.ts';
import type { Run, RunSettings, Said } from './run-settings.ts';
import type { MigrationSettings } from './settings.ts';
import { confirmTurn, forbidLostTurn, guardKey, type HeldTurn, isTurnLost, lostTurn } from './turn.ts';
import { proveByLock } from './turn-proof.ts';
import { watchWorker } from './watch-worker.ts';

/** One migration that was applied or undone. */
export interface MigrationDone {
  readonly name: string;
  readonly version: string | null;
  readonly description: string;
  readonly file: string;
  /** As seen from here, waiting included. */
  readonly durationMs: number;
}

export interface ExecuteOptions {
  readonly singleTransaction?: boolean | undefined;
  /** What the user says of statements that an earlier run left in doubt. */
  readonly said?: Said | undefined;
  /** The command to run again after a failure. */
  readonly command: string;
}

/** Runs the steps of a plan in a session of their own, each recorded with what it did, and says what was done. */
export async function executePlan(
  database: Database,
  plan: MigrationPlan,
  settings: HeldTurn,
  options: ExecuteOptions,
): Promise<MigrationDone[]> {
  const { steps } = plan;
  if (settings.lease) await forbidSessionNeeds(database.sql, plan, settings);
  const done: MigrationDone[] = [];
  const session = {
    applicationName: settings.lease?.workerName ?? 'eduschema migration',
    fetchTypes: steps.some(({ kind }) => kind === 'module'),
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
    const begin = (index: number) => {
      settings.signal?.throwIfAborted();
      const step = steps[index] as Prepared;
      forbidLostTurn(database, settings, outcomeOf(plan, step, options.singleTransaction ? 0 : done.length));
      started = performance.now();
      settings.onProgress?.({
        type: 'started',
        name: nameOfUnit(step.unit),
        index,
        total: steps.length,
      });
    };
    const finish = (run: Run) => {
      done.push(describeDone(run.prepared, performance.now() - started));
      settings.onProgress?.({
        type: 'done',
        name: nameOfUnit(run.prepared.unit),
        durationMs: performance.now() - started,
      });
    };
    try {
      const settingsWith = (lockTimeout: string, said = nothingSaid) =>
        runSettings(database, worker, settings, lockTimeout, said);
      if (options.singleTransaction) {
        const runs = steps.map((prepared) => toRun(plan, prepared, 0, settings, options));
        await withLockRetries(database, worker, settings, (lockTimeout) => {
          done.length = 0;
          begin(0);
          return runTogether(worker, runs, settingsWith(lockTimeout), (run) => {
            finish(run);
            if (done.length < steps.length) begin(done.length);
          });
        });
      } else {
        for (const [index, prepared] of steps.entries()) {
          begin(index);
          const run = toRun(plan, prepared, index, settings, options);
          const said = prepared === inDoubt ? options.said : undefined;
          const attempt = (lockTimeout: string) => runMigration(worker, run, settingsWith(lockTimeout, said));
          await (isTransactional(prepared)
            ? withLockRetries(database, worker, settings, attempt)
            : attempt('0'));
          finish(run);
          if (leftovers.mayLeave(prepared)) await leftovers.tell(nameOfUnit(prepared.unit));
        }
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
          : thrown;
      throw await leftovers.addTo(error);
    } finally {
      stop();
    }
  });
  return done;
}

const nothingSaid: Said = { markDone: [], redo: [] };

function runSettings(
  database: Database,
  worker: Session,
  settings: HeldTurn,
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
    guard: guardKey(settings),
    lease: settings.lease,
    proof: proveByLock(settings.token),
    confirmTurn: () => confirmTurn(database, worker, settings),
    keeper: database.sql,
    journal: settings.journal,
    said,
    watched: (work) => watchWorker(database, worker, settings, work),
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
    record: (durationMs) => recordOf(prepared, journal, durationMs),
  };
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

/** The SQL that records a step in the journal. */
export function recordOf(
  { unit, direction }: Prepared,
  journal: MigrationSettings['journal'],
  durationMs: string,
): string {
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

function outcomeIn(error: unknown): string | undefined {
  const outcome = error instanceof EduschemaError ? error.details?.outcome : undefined;
  return typeof outcome === 'string' ? outcome : undefined;
}

/** When `done` steps stay, and nobody has said how the next one ended. */
function outcomeAfter(plan: MigrationPlan, done: number): string {
  const step = plan.steps[done];
  if (step && isTransactional(step)) return outcomeOf(plan, step, done);
  const current = currentAfter(plan.state, plan.steps.slice(0, done));
  return `${partly(step)}${current ? `${current} is the current version` : 'no version is applied'}`;
}

function partly(step: Prepared | undefined): string {
  return step && !isTransactional(step)
    ? `${nameOfUnit(step.unit)} runs outside a transaction: what it had carried out stays; `
    : '';
}

function outcomeOf(plan: MigrationPlan, prepared: Prepared, done: number): string {
  const current = currentAfter(plan.state, plan.steps.slice(0, done));
  const what = prepared.unit.type === 'versioned' ? prepared.unit.file.version : prepared.unit.file.name;
  const now = current === undefined ? 'no version is applied' : `${current} is the current version`;
  return prepared.direction === 'down'
    ? `${what} was not rolled back; ${now}`
    : `nothing of ${what} was applied; ${now}`;
}

function interrupted(plan: MigrationPlan, done: number, cause: unknown, command: string): EduschemaError {
  const step = plan.steps[done];
  const current = currentAfter(plan.state, plan.steps.slice(0, done));
  return new EduschemaError(
    'interrupted',
    `interrupted: ${done} of ${plan.steps.length} done; ${partly(step)}${current ? `${current} is the current version` : 'no version is applied'}`,
    {
      hint: `run ${command} again to go on`,
      cause,
    },
  );
}

function describeDone({ unit }: Prepared, durationMs: number): MigrationDone {
  const versioned = unit.type === 'versioned';
  return {
    name: nameOfUnit(unit),
    version: versioned ? unit.file.version : null,
    description: versioned ? unit.file.description : unit.file.name,
    file: unit.file.file,
    durationMs: Math.round(durationMs),
  };
}

/** Cancels the worker's statement on the server when the signal comes, again and again until it has heard. */
function cancelOnAbort(database: Database, worker: Session, signal: AbortSignal | undefined): () => void {
  let timer: NodeJS.Timeout | undefined;
  const cancel = () => {
    const send = () =>
      void (
        worker.pooled ? worker.cancel() : look(database.sql, `SELECT pg_cancel_backend(${worker.facts.pid})`)
      ).catch(() => {});
    send();
    timer = setInterval(send, 250);
  };
  signal?.addEventListener('abort', cancel, { once: true });
  return () => {
    clearInterval(timer);
    signal?.removeEventListener('abort', cancel);
  };
}
