import type { Hooks } from '../config.ts';
import type { LockHolder } from '../db/advisory-lock.ts';
import type { Blocker } from '../db/blockers.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import type { Leftover } from '../db/leftovers.ts';
import type { StatementProgress } from '../db/statement-progress.ts';
import type { FolderSettings } from './folder.ts';

/** What every migration command needs to know beside the database. */
export interface MigrationSettings extends FolderSettings {
  readonly journal: QualifiedName;
  /** The schema in which migrations create what they do not qualify; the server's search_path without one. */
  readonly schema?: string | undefined;
  /** The role that owns what migrations create. */
  readonly role?: string | undefined;
  /** What runs before the first pending migration and after the last one. */
  readonly hooks?: Hooks | undefined;
  /** The file that the hooks come from, as a path and as the user calls it. */
  readonly hooksFile?: { readonly path: string; readonly shown: string } | undefined;
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
  /** As PostgreSQL writes it; `0`, for ever, without it. */
  readonly statementTimeout?: string | undefined;
  /** Seconds to wait for another runner. */
  readonly waitSeconds?: number | undefined;
  /** Seconds that a runner behind a pooler may be silent before another one takes over. */
  readonly leaseSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: MigrationEvent) => void) | undefined;
}

/** What happens while migrations run. */
export type MigrationEvent =
  | { readonly type: 'waiting'; readonly holder: LockHolder }
  | { readonly type: 'blocked'; readonly blockers: readonly Blocker[] }
  | { readonly type: 'retrying'; readonly attempts: number; readonly pauseMs: number }
  | { readonly type: 'let-go'; readonly relation: string | null; readonly queued: number }
  | { readonly type: 'holding-off'; readonly relation: string; readonly holderSeconds: number }
  | { readonly type: 'terminated'; readonly blocker: Blocker }
  | { readonly type: 'not-terminated'; readonly blocker: Blocker; readonly reason: string }
  | ProgressEvent
  /** A migration begins, or a hook; `index` and `total` count migrations, or hooks of its kind. */
  | { readonly type: 'started'; readonly name: string; readonly index: number; readonly total: number }
  | { readonly type: 'done'; readonly name: string; readonly durationMs: number }
  /** What was found out about a run that ended in the middle, and what was done about it. */
  | { readonly type: 'resumed'; readonly message: string }
  /** Something that the migration left unfinished, or owned by another role, and the SQL that puts it right. */
  | { readonly type: 'left'; readonly name: string; readonly leftover: Leftover }
  | { readonly type: 'notice'; readonly severity: string; readonly message: string }
  | { readonly type: 'log'; readonly message: string };

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
/** Seconds that a runner behind a pooler may be silent. */
export const defaultLeaseSeconds = 30;

/** Seconds to wait for another runner. */
export const defaultWaitSeconds = 60;
