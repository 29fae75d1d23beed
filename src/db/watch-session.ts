import { setTimeout as sleep } from 'node:timers/promises';
import { findHolder } from './advisory-lock.ts';
import { type Blocker, listBlockers } from './blockers.ts';
import type { Database, Session } from './connect.ts';
import type { WatchSettings } from './lock-settings.ts';
import { cancelWaiting, findLockWait, type LockWait, readActivity } from './lock-wait.ts';
import { millisecondsOf } from './milliseconds.ts';
import { createMeter } from './progress-meter.ts';
import { readProgress } from './statement-progress.ts';
import { terminateIdle } from './terminate-idle.ts';

/** What a look at the worker found, kept from one attempt to the next. */
export interface Watch {
  /** Whoever was last seen in the way of it. */
  readonly blockers: readonly Blocker[];
  /** The lock that the last attempt was last seen waiting for. */
  readonly wait: LockWait | undefined;
  /** Whether the last attempt was cancelled, because too many queued behind it. */
  readonly letGo: boolean;
  /**
   * Runs `work` in the session of the worker while the session that holds the turn looks at it: names who is in the
   * way, ends who may be ended, tells how far a long statement is. A look that fails changes nothing.
   */
  during<T>(work: () => Promise<T>, options: WatchOptions): Promise<T>;
}

export interface WatchOptions {
  /** How long it may wait before those in the way are named. */
  readonly patienceMs: number;
  /** Cancel the statement when more sessions than this queue behind it; 0 for never. */
  readonly queueLimit: number;
}

/** What is quicker waits for nobody worth naming. */
const firstLookMs = 60;
/** For an answer that comes after the end of a try that failed. */
const lateLookMs = 500;
const quickLookMs = 100;
const slowLookMs = 250;
const quickLooksMs = 10_000;
const progressMs = 1000;
const changeMs = 2000;
const repeatMs = 10_000;

/** A watch over the session that runs migrations. Nothing is asked before `during`. */
export function createWatch(database: Database, worker: Session, settings: WatchSettings): Watch {
  const { sql } = database;
  let { pid } = worker.facts;
  const tell = settings.onProgress ?? (() => {});
  const idleSeconds =
    millisecondsOf(settings.terminateIdleBlockers ?? '0', 'age of idle blockers to end') / 1000;
  const meter = createMeter();
  const seen = { blockers: [] as readonly Blocker[], wait: undefined as LockWait | undefined, letGo: false };
  let told: { at: number; roots: string } | undefined;
  let deniedTold = false;
  let waitsSince: number | undefined;
  let progressAt = 0;

  async function lookAtLock(
    { patienceMs, queueLimit }: WatchOptions,
    isOver: () => boolean,
    isWanted: () => boolean,
  ) {
    waitsSince ??= performance.now();
    const [wait, blockers] = await Promise.all([
      findLockWait(sql, pid),
      listBlockers(sql, pid, settings.hideLiterals),
    ]);
    if (!isWanted()) return [];
    if (wait) seen.wait = wait;
    if (blockers.length === 0) return [];
    seen.blockers = blockers;
    if (performance.now() - waitsSince >= patienceMs) tellBlocked(blockers);
    if (isOver()) return blockers;
    const ended = idleSeconds > 0 && (await endIdle(blockers));
    if (wait && !ended && queueLimit > 0 && wait.queued > queueLimit && !isOver()) await letGo(wait);
    return blockers;
  }

  async function letGo({ transaction, relation, queued }: LockWait) {
    // Set before it happens: the attempt fails while we wait for the answer.
    seen.letGo = true;
    seen.letGo = await cancelWaiting(sql, pid, transaction);
    if (seen.letGo) tell({ type: 'let-go', relation, queued });
  }

  function tellBlocked(blockers: readonly Blocker[]) {
    const roots = blockers.flatMap((blocker) => (blocker.root ? [blocker.pid] : [])).join();
    const since = told ? performance.now() - told.at : Number.POSITIVE_INFINITY;
    if (since < (roots === told?.roots ? repeatMs : changeMs)) return;
    told = { at: performance.now(), roots };
    tell({ type: 'blocked', blockers });
  }

  /** Whether somebody was ended. */
  async function endIdle(blockers: readonly Blocker[]): Promise<boolean> {
    const outcomes = await terminateIdle(sql, pid, blockers, idleSeconds);
    for (const { blocker, denied } of outcomes) {
      if (denied === undefined) tell({ type: 'terminated', blocker });
      else if (!deniedTold) tell({ type: 'not-terminated', blocker, reason: denied });
      deniedTold ||= denied !== undefined;
    }
    return outcomes.some(({ denied }) => denied === undefined);
  }

  async function lookAtProgress(seconds: number, waitingFor: readonly Blocker[], isOver: () => boolean) {
    progressAt = performance.now();
    const progress = await readProgress(sql, pid);
    if (isOver() || (!progress && waitingFor.length > 0)) return;
    const nothing = { relation: null, phase: null, done: null, total: null, unit: null };
    const pace = progress && meter(progress, performance.now());
    tell({
      type: 'progress',
      seconds: Math.round(seconds * 10) / 10,
      ...(progress ?? { command: null, ...nothing }),
      ...(pace ?? { percent: null, ratePerSecond: null, secondsLeft: null }),
      waitingFor,
    });
  }

  async function look(options: WatchOptions, isOver: () => boolean, isWanted: () => boolean) {
    if (worker.pooled && settings.guard) {
      // Behind a pooler the worker's session is the one that holds the guard now.
      const holder = await findHolder(sql, settings.guard);
      if (!holder || isOver()) return;
      pid = holder.pid;
    }
    const activity = await readActivity(sql, pid);
    if (!activity || !isWanted()) return;
    if (!activity.waits) waitsSince = undefined;
    const blockers = activity.waits ? await lookAtLock(options, isOver, isWanted) : [];
    const seconds = activity.statementSeconds ?? 0;
    if (seconds < 1 || performance.now() - progressAt < progressMs || isOver()) return;
    await lookAtProgress(seconds, blockers, isOver);
  }

  return {
    get blockers() {
      return seen.blockers;
    },
    get wait() {
      return seen.wait;
    },
    get letGo() {
      return seen.letGo;
    },
    async during(work, options) {
      const started = performance.now();
      let over = false;
      let failed = false;
      const isOver = () => over || Boolean(settings.signal?.aborted);
      // Who was in the way of a try is worth knowing even when the answer comes after its end.
      const isWanted = () => failed || !isOver();
      let looking: Promise<void> = Promise.resolve();
      let timer = setTimeout(step, firstLookMs);
      function step() {
        looking = look(options, isOver, isWanted)
          .catch(() => {})
          .then(() => {
            const quick = performance.now() - started < quickLooksMs;
            if (!isOver()) timer = setTimeout(step, quick ? quickLookMs : slowLookMs);
          });
      }
      Object.assign(seen, { wait: undefined, letGo: false });
      waitsSince = undefined;
      try {
        return await work();
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        over = true;
        clearTimeout(timer);
        // A cancel on its way must have arrived before the session is given anything else.
        if (seen.letGo) await looking;
        else if (failed) await Promise.race([looking, sleep(lateLookMs, undefined, { ref: false })]);
      }
    },
  };
}

/** Runs what is outside a transaction, where nothing can be tried again, under a watch. */
export function watchSession<T>(
  database: Database,
  worker: Session,
  settings: WatchSettings,
  work: () => Promise<T>,
): Promise<T> {
  return createWatch(database, worker, settings).during(work, { patienceMs: 2000, queueLimit: 0 });
}
