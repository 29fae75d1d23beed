import type { Database } from '../db/connect.ts';
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
import { pruneUnlessOthersDo } from './prune.ts';
import type { Seeding } from './seeding.ts';
import { dropDatabase, ensureTemplate, exists } from './template.ts';
import { session, withServer } from './with-server.ts';

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

/**
 * Makes `count` databases with the current schema: copies of a template, which is built when the migrations, the
 * seeds or eduschema have changed. All of them, or none: when it is interrupted, those made by then are dropped.
 * Nobody's database is touched; the one that `target` names only says which server.
 */
export async function createClones(
  target: Target,
  settings: MigrationSettings,
  count: number,
  seeding?: Seeding,
): Promise<ClonesMade> {
  const key = await templateKey(settings, seeding?.key ?? '', target);
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
    if (template.built) await pruneUnlessOthersDo(admin);
    const databases: TestDatabaseMade[] = [];
    try {
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
    } catch (error) {
      // Nobody learns the names of these.
      for (const { name } of databases) await dropDatabase(admin.sql, name).catch(() => {});
      throw error;
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

/**
 * Drops clones, by name, and returns those that were there. Throws before any is dropped: `database-missing` for one
 * that `testdb` did not make, `permission-denied` for one of another role.
 */
export async function dropClones(target: Target, names: readonly string[]): Promise<readonly string[]> {
  return withServer(target, async (admin) => {
    const found = await listDatabases(admin.sql);
    const there: string[] = [];
    for (const name of names) {
      const database = found.find((one) => one.name === name);
      const isThere = database !== undefined || (await exists(admin.sql, name));
      forbidOthers(name, isThere, database);
      if (isThere) there.push(name);
    }
    for (const name of there) await dropDatabase(admin.sql, name);
    return there;
  });
}

function forbidOthers(name: string, isThere: boolean, database: FoundDatabase | undefined): void {
  const kind = readName(name)?.kind;
  if (kind === undefined || database?.kind === 'template' || (isThere && !database))
    throw new EduschemaError('database-missing', `${name} is no test database that eduschema made`, {
      hint: 'eduschema testdb list shows them; others are left alone',
    });
  if (database && !database.isOwn)
    throw new EduschemaError('permission-denied', `${name} is a test database of ${database.owner}`, {
      hint: 'drop it as that role',
    });
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
