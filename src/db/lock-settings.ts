import type { LockKey } from './advisory-lock.ts';
import type { Blocker } from './blockers.ts';
import type { StatementProgress } from './statement-progress.ts';

/** How whoever changes a database waits for locks, and what it does about those in the way. */
export interface LockSettings {
  /** The longest that one try waits for a lock, as PostgreSQL writes it: `2s`; `0` waits without a limit, once. */
  readonly lockTimeout?: string | undefined;
  /** Seconds to go on trying for locks. */
  readonly lockDeadlineSeconds?: number | undefined;
  /** A try for a lock lets go when more sessions than this queue behind it; 0 never. 20 without it. */
  readonly queueLimit?: number | undefined;
  /**
   * Ends sessions that are in the way and sit idle in their transaction for this long, as PostgreSQL writes a time;
   * nobody's session without it, or with `0`.
   */
  readonly terminateIdleBlockers?: string | undefined;
  /** Shows the statements of other sessions without the strings and numbers in them. */
  readonly hideLiterals?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: LockEvent) => void) | undefined;
}

/** A worker behind a pooler is found by the advisory lock that it holds. */
export interface WatchSettings extends LockSettings {
  readonly guard?: LockKey | undefined;
}

/** What is seen of a session at work, and done for it. */
export type LockEvent =
  | { readonly type: 'blocked'; readonly blockers: readonly Blocker[] }
  | { readonly type: 'retrying'; readonly attempts: number; readonly pauseMs: number }
  | { readonly type: 'let-go'; readonly relation: string | null; readonly queued: number }
  | { readonly type: 'holding-off'; readonly relation: string; readonly holderSeconds: number }
  | { readonly type: 'terminated'; readonly blocker: Blocker }
  | { readonly type: 'not-terminated'; readonly blocker: Blocker; readonly reason: string }
  | ProgressEvent;

/** How far a long statement is: told once a second at most. */
export interface ProgressEvent extends Omit<StatementProgress, 'command'> {
  readonly type: 'progress';
  /** Null for a statement of which the server counts nothing. */
  readonly command: string | null;
  /** Since the statement began. */
  readonly seconds: number;
  /** Of the phase, as far as the server knows how much there is to do. */
  readonly percent: number | null;
  readonly ratePerSecond: number | null;
  readonly secondsLeft: number | null;
  /** Whom it waits for at this moment. */
  readonly waitingFor: readonly Blocker[];
}

/** The longest delay of an application's reads behind one try that most can bear. */
export const defaultLockTimeout = '2s';

/** Seconds to go on trying for locks: a deployment's patience. */
export const defaultLockDeadlineSeconds = 900;

/** As many as an application's pool mostly holds: more, and it begins to refuse people. */
export const defaultQueueLimit = 20;
