import type { LockHolder } from './advisory-lock.ts';
import type { LockEvent, LockSettings } from './lock-settings.ts';

/** How a command that changes a database goes about it. */
export interface WorkSettings extends Omit<LockSettings, 'onProgress'> {
  /** As PostgreSQL writes it; `0`, for ever, without it. */
  readonly statementTimeout?: string | undefined;
  /** Seconds to wait for another eduschema at the same work. 60 without it. */
  readonly waitSeconds?: number | undefined;
  readonly onProgress?: ((event: WorkEvent) => void) | undefined;
}

/** What happens while a command is at work. */
export type WorkEvent =
  | { readonly type: 'waiting'; readonly holder: LockHolder }
  | LockEvent
  | { readonly type: 'started'; readonly name: string; readonly index: number; readonly total: number }
  | { readonly type: 'done'; readonly name: string; readonly durationMs: number }
  | { readonly type: 'notice'; readonly severity: string; readonly message: string }
  | { readonly type: 'log'; readonly message: string };

/** Seconds to wait for another eduschema. */
export const defaultWaitSeconds = 60;
