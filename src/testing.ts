import { resolve } from 'node:path';
import type { Sql } from 'postgres';
import { type Config, loadConfig } from './config.ts';
import { openHandle } from './db/connect.ts';
import { resolveTarget } from './db/resolve-target.ts';
import type { Target } from './db/target.ts';
import { EduschemaError } from './errors.ts';
import type { MigrationSettings } from './migrations/settings.ts';
import { type Cloner, createCloner } from './testdb/cloner.ts';
import { type Seeding, seedingOf } from './testdb/seeding.ts';
import { startTestServer, type TestServer, type TestServerOptions } from './testdb/test-server.ts';

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
  /** Filled from the folder of seeds: as it stands with `true`, or with these wishes. */
  readonly seed?: boolean | TestSeedOptions | undefined;
}

/** What `eduschema seed` takes on the command line. */
export interface TestSeedOptions {
  /** Folder of seeds: `seeds` without it. */
  readonly directory?: string | undefined;
  /** The seeds to run, by name; all without it. */
  readonly only?: readonly string[] | undefined;
  /** Parameters of the seeds: `{ materials: 500 }`. */
  readonly parameters?: Readonly<Record<string, string | number>> | undefined;
  /** Other rows of the same kind; 1 without it. */
  readonly number?: number | undefined;
  /** The day before which all happened, `2026-11-01`: today without it, which makes a new template each day. */
  readonly asOf?: string | undefined;
}

/** The variable in which `setup` leaves the server's URL for the workers. */
const serverVariable = 'EDUSCHEMA_TEST_SERVER';

/**
 * A fresh, migrated database. The first one builds a template, later ones are copies of it, in milliseconds.
 * Throws an EduschemaError as the command line would print it, when a migration fails or there is no server.
 */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const url =
    options.url ?? (process.env.TEST_DATABASE_URL || process.env[serverVariable] || (await ownServer()).url);
  const { name, url: own, drop: dropIt } = await (await cloner(url, options)).clone();
  const sql = openHandle({ ...targetOf(url), database: name });
  const drop = async () => {
    await sql.end({ timeout: 0 });
    await dropIt();
  };
  return { name, url: own, sql, drop, [Symbol.asyncDispose]: drop };
}

const cloners = new Map<string, Promise<Cloner>>();

/** What a process has read and built once serves all its tests. */
function cloner(url: string, options: TestDatabaseOptions): Promise<Cloner> {
  const asked = JSON.stringify([url, options, process.cwd()]);
  const found = cloners.get(asked) ?? openCloner(url, options);
  cloners.set(asked, found);
  // What has failed may be mended, and tried again.
  found.catch(() => cloners.delete(asked));
  return found;
}

async function openCloner(url: string, options: TestDatabaseOptions): Promise<Cloner> {
  const { config } = await loadConfig(process.cwd(), process.env.EDUSCHEMA_CONFIG || undefined);
  const settings = settingsOf(options, config);
  return createCloner(targetOf(url), settings, await seedingFor(options.seed, settings, config));
}

function targetOf(url: string): Target {
  const target = resolveTarget({ url, env: {} });
  if (target) return { ...target, origin: 'the test server' };
  throw new EduschemaError('target-invalid', 'no server for test databases was given', { hint: 'pass url' });
}

function settingsOf(options: TestDatabaseOptions, config: Config): MigrationSettings {
  const directory = options.directory ?? (process.env.EDUSCHEMA_DIR || config.directory) ?? 'migrations';
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

async function seedingFor(
  seed: TestDatabaseOptions['seed'],
  settings: MigrationSettings,
  config: Config,
): Promise<Seeding | undefined> {
  if (seed === undefined || seed === false) return undefined;
  const wishes = seed === true ? {} : seed;
  const directory = wishes.directory ?? (process.env.EDUSCHEMA_SEEDS || config.seedsDirectory) ?? 'seeds';
  const parameters = Object.entries(wishes.parameters ?? {}).map(([name, value]) => [name, String(value)]);
  const { journal, schema } = settings;
  return seedingOf(
    { directory: resolve(directory), shownDirectory: directory, journal, schema },
    {
      only: wishes.only ?? [],
      given: Object.fromEntries(parameters),
      seedNumber: wishes.number,
      asOf: wishes.asOf,
      now: Date.now(),
    },
  );
}

let own: Promise<TestServer> | undefined;

/** The server of this process, started at the first call; it ends with the process. */
function ownServer(): Promise<TestServer> {
  own ??= startTestServer(optionsOf({}), process.env);
  return own;
}

function optionsOf(options: TestServerOptions): TestServerOptions {
  return {
    // CI sets variables that have no value.
    url: process.env.TEST_DATABASE_URL || undefined,
    image: process.env.TEST_POSTGRES_IMAGE || undefined,
    version: process.env.TEST_POSTGRES_VERSION || undefined,
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
