import type { Hooks } from '../config.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import type { Leftover } from '../db/leftovers.ts';
import type { WorkEvent, WorkSettings } from '../db/work-settings.ts';
import type { FolderSettings } from './folder.ts';

/** What every migration command needs to know beside the database. */
export interface MigrationSettings extends FolderSettings, Omit<WorkSettings, 'onProgress'> {
  readonly journal: QualifiedName;
  /** The schema in which migrations create what they do not qualify; the server's search_path without one. */
  readonly schema?: string | undefined;
  /** The role that owns what migrations create. */
  readonly role?: string | undefined;
  /** What runs before the first pending migration and after the last one. */
  readonly hooks?: Hooks | undefined;
  /** The file that the hooks come from, as a path and as the user calls it. */
  readonly hooksFile?: { readonly path: string; readonly shown: string } | undefined;
  /** Seconds that a runner behind a pooler may be silent before another one takes over. */
  readonly leaseSeconds?: number | undefined;
  readonly onProgress?: ((event: MigrationEvent) => void) | undefined;
}

/** What happens while migrations run. */
export type MigrationEvent =
  | WorkEvent
  /** What was found out about a run that ended in the middle, and what was done about it. */
  | { readonly type: 'resumed'; readonly message: string }
  /** Something that the migration left unfinished, or owned by another role, and the SQL that puts it right. */
  | { readonly type: 'left'; readonly name: string; readonly leftover: Leftover };

/** Seconds that a runner behind a pooler may be silent. */
export const defaultLeaseSeconds = 30;
