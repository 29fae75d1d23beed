import { lockKeyOf, withAdvisoryLock } from '../db/advisory-lock.ts';
import type { Database } from '../db/connect.ts';
import type { Target } from '../db/target.ts';
import { defaultWaitSeconds } from '../db/work-settings.ts';
import { EduschemaError } from '../errors.ts';
import { type FoundDatabase, listDatabases } from './databases.ts';
import { dropUnused, exists } from './template.ts';
import { withServer } from './with-server.ts';

/** What is old enough to go. */
export interface PruneOptions {
  /** Seconds without use after which a clone, or what was half built, goes; a day without it. */
  readonly clonesAfter?: number | undefined;
  /** Seconds without use after which a template goes; a week without it. */
  readonly templatesAfter?: number | undefined;
  /** Told of a database that the server does not drop, and why. */
  readonly onLeft?: ((name: string, reason: string) => void) | undefined;
}

const day = 86_400;

/**
 * Drops what nobody needs any more: clones and half-built templates that are older than a day and in which nobody
 * is, and templates that nobody has cloned for a week. Only what the role that asks owns. Returns what was dropped;
 * what the server does not drop stays, and stops nothing. Throws `lock-held` when another one prunes for too long.
 */
export async function prune(
  { sql }: Database,
  { clonesAfter = day, templatesAfter = 7 * day, onLeft }: PruneOptions,
  waitSeconds = defaultWaitSeconds,
): Promise<FoundDatabase[]> {
  const wait = { waitSeconds, signal: undefined, onWait: () => {} };
  const dropped: FoundDatabase[] = [];
  // Of two who alter a database, one of whom drops it, the server ends the other's session.
  await withAdvisoryLock(
    sql,
    lockKeyOf('pruning of test databases'),
    async () => undefined,
    wait,
    async () => {
      const old = (await listDatabases(sql)).filter(
        ({ kind, isOwn, ageSeconds, sessions }) =>
          isOwn && sessions === 0 && ageSeconds >= (kind === 'template' ? templatesAfter : clonesAfter),
      );
      for (const database of old) {
        const reason = await dropUnused(sql, database);
        if (reason === undefined) dropped.push(database);
        else if (await exists(sql, database.name)) onLeft?.(database.name, reason);
      }
    },
  );
  return dropped;
}

/** `prune`, unless another one prunes now. */
export async function pruneUnlessOthersDo(admin: Database): Promise<void> {
  await prune(admin, {}, 0).catch((error) => {
    if (!(error instanceof EduschemaError && error.code === 'lock-held')) throw error;
  });
}

/** `prune`, on the server that `target` leads to. */
export async function pruneServer(target: Target, options: PruneOptions): Promise<FoundDatabase[]> {
  return withServer(target, (admin) => prune(admin, options));
}
