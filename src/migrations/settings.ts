import type { LockHolder } from '../db/advisory-lock.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import type { FolderSettings } from './folder.ts';

/** What every migration command needs to know beside the database. */
export interface MigrationSettings extends FolderSettings {
  readonly journal: QualifiedName;
  /** The schema in which migrations create what they do not qualify; the server's search_path without one. */
  readonly schema?: string | undefined;
  /** The role that owns what migrations create. */
  readonly role?: string | undefined;
  /** As PostgreSQL takes them: `10s`, `0`. */
  readonly lockTimeout?: string | undefined;
  readonly statementTimeout?: string | undefined;
  /** Seconds to wait for another runner. */
  readonly waitSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: MigrationEvent) => void) | undefined;
}

/** What happens while migrations run. */
export type MigrationEvent =
  | { readonly type: 'waiting'; readonly holder: LockHolder }
  | { readonly type: 'started'; readonly name: string; readonly index: number; readonly total: number }
  | { readonly type: 'done'; readonly name: string; readonly durationMs: number }
  | { readonly type: 'notice'; readonly severity: string; readonly message: string }
  | { readonly type: 'log'; readonly message: string };

/** Long enough for a busy table, short enough that an application behind us notices little. */
export const defaultLockTimeout = '10s';
/** Seconds to wait for another runner. */
export const defaultWaitSeconds = 60;
