import type { Database, SessionOptions } from '../db/connect.ts';
import { withDatabase } from '../db/connect.ts';
import { quoteIdentifier } from '../db/identifiers.ts';
import { renderUrl } from '../db/render-url.ts';
import type { Target } from '../db/target.ts';
import { EduschemaError } from '../errors.ts';
import { migrate } from '../migrations/migrate.ts';
import { forbidReadOnly } from '../migrations/prepare-journal.ts';
import type { MigrationSettings } from '../migrations/settings.ts';
import { cloneTemplate } from './clone.ts';
import { type FoundDatabase, listDatabases, markStatement } from './databases.ts';
import { templateKey } from './key.ts';
import { readName } from './names.ts';
import type { Seeding } from './seeding.ts';
import { dropDatabase, ensureTemplate } from './template.ts';

/** A database for a test. */
export interface TestDatabaseMade {
  readonly name: string;
  /** With the password. */
  readonly url: string;
}

export interface ClonesMade {
  readonly databases: readonly TestDatabaseMade[];
  readonly template: string;
  /** Whether the template had to be built first. */
  readonly built: boolean;
}

const session: SessionOptions = { applicationName: 'eduschema testdb' };

/** Opens a database of the server in which nothing is done: `postgres`, or the target's own where that is out of reach. */
export async function withServer<T>(target: Target, use: (admin: Database) => Promise<T>): Promise<T> {
  let begun = false;
  const enter = (admin: Database) => {
    begun = true;
    return use(admin);
  };
  try {
    return await withDatabase({ ...target, database: 'postgres' }, session, enter);
  } catch (error) {
    if (begun) throw error;
    return withDatabase(target, session, enter);
  }
}

/**
 * Makes `count` databases with the current schema: copies of a template, which is built when the migrations, the
 * seeds or eduschema have changed. Nobody's database is touched; the one that `target` names only says which server.
 */
export async function createClones(
  target: Target,
  settings: MigrationSettings,
  count: number,
  seeding?: Seeding,
): Promise<ClonesMade> {
  const key = await templateKey(settings, seeding?.key ?? '');
  return withServer(target, async (admin) => {
    await forbidPowerless(admin);
    if (admin.pooled) throw behindPooler();
    forbidReadOnly(admin);
    const build = (name: string) =>
      withDatabase({ ...target, database: name }, { ...session, role: settings.role }, async (database) => {
        await migrate(database, settings);
        await seeding?.seed(database);
      });
    let template = await ensureTemplate(admin, { key, build }, settings);
    if (template.built) await prune(admin, {});
    const databases: TestDatabaseMade[] = [];
    for (let made = 0; made < count; made++) {
      settings.signal?.throwIfAborted();
      let name = await cloneTemplate(admin.sql, template.name, admin.facts.versionNumber);
      if (name === undefined) {
        // Somebody has removed it since.
        template = await ensureTemplate(admin, { key, build }, settings);
        name = await cloneTemplate(admin.sql, template.name, admin.facts.versionNumber);
      }
      if (name === undefined) throw templateGone(template.name);
      databases.push({ name, url: await renderUrl(target, name) });
    }
    await touch(admin, template.name);
    return { databases, template: template.name, built: template.built };
  });
}

/** Throws when the role may not make databases. */
async function forbidPowerless({ sql, facts }: Database): Promise<void> {
  const [may] = await sql`
    SELECT FROM pg_roles WHERE rolname = current_user AND (rolcreatedb OR rolsuper)`;
  if (may) return;
  throw new EduschemaError('permission-denied', `${facts.user} may not make databases`, {
    hint: `ALTER ROLE ${quoteIdentifier(facts.user)} CREATEDB, or log in as somebody who may`,
  });
}

const touchAfterSeconds = 3600;

/** Notes that a template is in use, now and then: whoever clones at the same moment notes the same. */
async function touch({ sql }: Database, template: string): Promise<void> {
  const [found] = await listDatabases(sql, template);
  if (!found?.isOwn || found.ageSeconds < touchAfterSeconds) return;
  await sql.unsafe(markStatement(template, Date.now())).catch(() => {});
}

/** Drops clones, by name or URL. Throws `database-missing`, before any is dropped, for one that `testdb` did not make. */
export async function dropClones(target: Target, names: readonly string[]): Promise<readonly string[]> {
  return withServer(target, async (admin) => {
    const found = await listDatabases(admin.sql);
    for (const name of names) forbidOthers(name, found);
    for (const name of names) await dropDatabase(admin.sql, name);
    return names;
  });
}

function forbidOthers(name: string, found: readonly FoundDatabase[]): void {
  const kind = readName(name)?.kind;
  const database = found.find((one) => one.name === name);
  if (kind === undefined || (database && database.kind === 'template'))
    throw new EduschemaError('database-missing', `${name} is no test database that eduschema made`, {
      hint: 'eduschema testdb list shows them; others are left alone',
    });
}

export interface PruneOptions {
  /** Seconds without use after which a clone, or what was half built, goes; a day without it. */
  readonly clonesAfter?: number | undefined;
  /** Seconds without use after which a template goes; a week without it. */
  readonly templatesAfter?: number | undefined;
}

const day = 86_400;

/**
 * Drops what nobody needs any more: clones and half-built templates that are older than a day and in which nobody
 * is, and templates that nobody has cloned for a week. Only what the role that asks owns.
 */
export async function prune(
  { sql }: Database,
  { clonesAfter = day, templatesAfter = 7 * day }: PruneOptions,
): Promise<FoundDatabase[]> {
  const old = (await listDatabases(sql)).filter(
    ({ kind, isOwn, ageSeconds, sessions }) =>
      isOwn && sessions === 0 && ageSeconds >= (kind === 'template' ? templatesAfter : clonesAfter),
  );
  for (const { name } of old) await dropDatabase(sql, name);
  return old;
}

function templateGone(template: string): EduschemaError {
  return new EduschemaError(
    'database-missing',
    `the template ${template} is removed as often as it is built`,
    {
      hint: 'see who drops it; eduschema testdb prune --templates 7d keeps those that are in use',
    },
  );
}

function behindPooler(): EduschemaError {
  return new EduschemaError(
    'pooler-unsuitable',
    'a connection pooler stands before the server: databases are made through a session of its own',
    { hint: 'connect to the server directly' },
  );
}

/** The databases of ours on the server that `target` leads to. */
export async function listOnServer(target: Target): Promise<FoundDatabase[]> {
  return withServer(target, ({ sql }) => listDatabases(sql));
}

/** `prune`, on the server that `target` leads to. */
export async function pruneServer(target: Target, options: PruneOptions): Promise<FoundDatabase[]> {
  return withServer(target, (admin) => prune(admin, options));
}
