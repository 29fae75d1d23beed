import type { Sql } from 'postgres';
import { type LockHolder, lockKeyOf, withAdvisoryLock } from '../db/advisory-lock.ts';
import type { Database } from '../db/connect.ts';
import { isServerError } from '../db/explain-error.ts';
import { quoteIdentifier } from '../db/identifiers.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { type FoundDatabase, listDatabases, markStatement } from './databases.ts';
import { newName, templateName } from './names.ts';

/** What fills a template. */
export interface TemplateSource {
  /** As `templateKey` makes it. */
  readonly key: string;
  /** Migrates, and seeds, the database of that name, which is empty. */
  readonly build: (name: string) => Promise<void>;
}

export interface Template {
  readonly name: string;
  readonly built: boolean;
}

/** Seconds that others wait for whoever builds a template: longer than any schema takes, seeds included. */
const buildSeconds = 1800;

/**
 * The template of `key`, built if there is none. Of several at once one builds and the others wait. It is built under
 * another name, and renamed when it is complete: a broken or half-built one is never used.
 */
export async function ensureTemplate(
  admin: Database,
  { key, build }: TemplateSource,
  settings: WorkSettings,
): Promise<Template> {
  const { sql } = admin;
  const name = templateName(key);
  if (await exists(sql, name)) return { name, built: false };
  const wait = {
    waitSeconds: settings.waitSeconds ?? buildSeconds,
    signal: settings.signal,
    onWait: (holder: LockHolder) => settings.onProgress?.({ type: 'waiting', holder }),
  };
  return withAdvisoryLock(
    sql,
    lockKeyOf(`building of ${name}`),
    async () => undefined,
    wait,
    async () => {
      if (await exists(sql, name)) return { name, built: false };
      await removeAbandoned(sql, key);
      await buildTemplate(sql, name, key, build);
      return { name, built: true };
    },
  );
}

/** Whether the server has a database of that name. */
export async function exists(sql: Sql, name: string): Promise<boolean> {
  const found = await sql`SELECT FROM pg_database WHERE datname = ${name}`;
  return found.length > 0;
}

/** Whoever has the lock is the only one to build: what others began is a wreck. */
async function removeAbandoned(sql: Sql, key: string): Promise<void> {
  const found = await listDatabases(sql);
  for (const { name, kind, key: of, isOwn } of found)
    if (kind === 'building' && of === key && isOwn) await dropDatabase(sql, name);
}

async function buildTemplate(
  sql: Sql,
  name: string,
  key: string,
  build: TemplateSource['build'],
): Promise<void> {
  const now = Date.now();
  const building = newName('building', key, now);
  await sql.unsafe(`CREATE DATABASE ${quoteIdentifier(building)} TEMPLATE template0 ENCODING 'UTF8'`);
  try {
    await sql.unsafe(markStatement(building, now));
    await build(building);
    // Nobody can connect to a template, so that nobody is in the way of its clones.
    await sql.unsafe(
      `ALTER DATABASE ${quoteIdentifier(building)} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true`,
    );
    await sql.unsafe(`ALTER DATABASE ${quoteIdentifier(building)} RENAME TO ${quoteIdentifier(name)}`);
  } catch (error) {
    await dropDatabase(sql, building).catch(() => {});
    throw error;
  }
}

/** Drops a database of ours that nobody is in; returns why it stays, where the server leaves it. */
export async function dropUnused(sql: Sql, { name, kind }: FoundDatabase): Promise<string | undefined> {
  const template = (is: boolean) => sql.unsafe(`ALTER DATABASE ${quoteIdentifier(name)} IS_TEMPLATE ${is}`);
  try {
    if (kind === 'template') await template(false);
    await sql.unsafe(`DROP DATABASE ${quoteIdentifier(name)}`);
    return undefined;
  } catch (error) {
    if (!isServerError(error)) throw error;
    if (kind === 'template') await template(true).catch(() => {});
    return error.detail ?? error.message;
  }
}

/** Drops a database of ours, with the sessions that are in it. */
export async function dropDatabase(sql: Sql, name: string): Promise<void> {
  const [found] = await sql<{ template: boolean }[]>`
    SELECT datistemplate AS template FROM pg_database WHERE datname = ${name}`;
  if (!found) return;
  if (found.template) await sql.unsafe(`ALTER DATABASE ${quoteIdentifier(name)} WITH IS_TEMPLATE false`);
  await sql.unsafe(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}
