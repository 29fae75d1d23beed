import { resolve } from 'node:path';
import type { Sql } from 'postgres';
import { loadConfig } from './config.ts';
import { openHandle } from './db/connect.ts';
import { resolveTarget } from './db/resolve-target.ts';
import { EduschemaError } from './errors.ts';
import type { MigrationSettings } from './migrations/settings.ts';
import { startTestServer, type TestServer, type TestServerOptions } from './testdb/test-server.ts';
import { createClones, dropClones } from './testdb/testdb.ts';

export type { TestServer, TestServerOptions };

/** A database of a test's or a worker's own, with the current schema. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** With the password. */
  readonly url: string;
  /** postgres.js, up to ten connections. Closed by `drop`. */
  readonly sql: Sql;
  /** Closes `sql` and drops the database, with whoever is in it. */
  drop(): Promise<void>;
}

/** What a test database is made of; what is not given comes from eduschema's configuration in the working directory. */
export interface TestDatabaseOptions {
  /** The server; without it TEST_DATABASE_URL, the one of `setup`, or one that is started for this process. */
  readonly url?: string | undefined;
  /** Folder of migrations: `migrations` without it. */
  readonly directory?: string | undefined;
  readonly schema?: string | undefined;
  readonly placeholders?: Readonly<Record<string, string>> | undefined;
}

/** The variable in which `setup` leaves the server's URL for the workers. */
const serverVariable = 'EDUSCHEMA_TEST_SERVER';

/**
 * A fresh, migrated database. The first one builds a template, later ones are copies of it, in milliseconds.
 * Throws an EduschemaError as the command line would print it, when a migration fails or there is no server.
 */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const url =
    options.url ?? process.env.TEST_DATABASE_URL ?? process.env[serverVariable] ?? (await ownServer()).url;
  const target = resolveTarget({ url, env: {} });
  if (!target)
    throw new EduschemaError('target-invalid', 'no server for test databases was given', {
      hint: 'pass url',
    });
  const settings = await settingsOf(options);
  const { databases } = await createClones({ ...target, origin: 'the test server' }, settings, 1);
  const [made] = databases as [(typeof databases)[number]];
  const sql = openHandle(made.url);
  const drop = async () => {
    await sql.end({ timeout: 0 });
    await dropClones(target, [made.name]);
  };
  return { ...made, sql, drop, [Symbol.asyncDispose]: drop };
}

async function settingsOf(options: TestDatabaseOptions): Promise<MigrationSettings> {
  const { config } = await loadConfig(process.cwd(), process.env.EDUSCHEMA_CONFIG);
  const directory = options.directory ?? process.env.EDUSCHEMA_DIR ?? config.directory ?? 'migrations';
  const schema = options.schema ?? config.schema;
  return {
    directory: resolve(directory),
    shownDirectory: directory,
    journal: {
      schema: config.journal?.schema ?? schema ?? 'public',
      name: config.journal?.table ?? 'schema_versions',
    },
    schema,
    placeholders: options.placeholders ?? config.placeholders,
  };
}

let own: Promise<TestServer> | undefined;

/** The server of this process, started at the first call; it ends with the process. */
function ownServer(): Promise<TestServer> {
  own ??= startTestServer(optionsOf({}), process.env);
  return own;
}

function optionsOf(options: TestServerOptions): TestServerOptions {
  return {
    url: process.env.TEST_DATABASE_URL,
    image: process.env.TEST_POSTGRES_IMAGE,
    version: process.env.TEST_POSTGRES_VERSION,
    ...options,
  };
}

/**
 * One server for a whole run, as a global setup: for vitest `globalSetup: 'eduschema/testing'`, for jest a file that
 * exports it by default. Returns what stops it; it also ends when the run is killed.
 */
export async function setup(): Promise<() => Promise<void>> {
  const server = await startTestServer(optionsOf({}), process.env);
  process.env[serverVariable] = server.url;
  return async () => {
    delete process.env[serverVariable];
    await server.stop();
  };
}

/** A server for test databases, when `setup` is not what you need. Stop it when you are done. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  return startTestServer(optionsOf(options), process.env);
}
