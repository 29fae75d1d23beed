import { join } from 'node:path';
import { type Database, type SessionOptions, withDatabase } from '../db/connect.ts';
import { resolveTarget } from '../db/resolve-target.ts';
import { describeTarget, type Target } from '../db/target.ts';
import type { CommonOptions } from './options.ts';
import type { LocalContext } from './run.ts';

/** The database that flags, variables and configuration name; undefined without any. */
export function findTarget({
  options,
  settings,
  world,
  progress,
}: LocalContext<CommonOptions>): Target | undefined {
  return resolveTarget({
    url: options.url,
    env: settings.env,
    configUrl: settings.found.config.url,
    homeFolder: world.homeFolder,
    userName: world.userName,
    onWarning: (text) => progress.say(`warning: ${text}`),
  });
}

/** Opens the database that flags, variables and configuration name; without any, the embedded server. */
export async function openDatabase<T>(
  context: LocalContext<CommonOptions>,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const { options, settings, world, progress } = context;
  const target = findTarget(context);
  const session: SessionOptions = {
    applicationName: settings.env.PGAPPNAME ?? 'eduschema',
    role: settings.migrations.role,
    leaves: true,
  };
  if (target) {
    if (options.verbose) progress.say(`database = ${describeTarget(target)} (${target.origin})`);
    return withDatabase(target, session, (database) => {
      if (database.pooled)
        progress.say(
          'a connection pooler stands before the server: a lease takes the place of session locks, and no setting outlives its transaction',
        );
      return use(database);
    });
  }
  const { withEmbeddedServer } = await import('../db/embedded/server.ts');
  return withEmbeddedServer(
    { folder: join(world.cwd, '.eduschema'), onProgress: (text) => progress.work(text) },
    (server) => {
      progress.rest();
      progress.say(`using the embedded PostgreSQL ${server.version} in .eduschema/ (no database was named)`);
      return withDatabase(server.target, session, use);
    },
  );
}
