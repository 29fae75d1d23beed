import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { afterAll, inject } from 'vitest';
import type { Target } from '../../src/db/target.ts';

/** A database of one test's own: empty, UTF-8, on the server of this run. */
export interface TestDatabase {
  readonly name: string;
  /** Of a superuser, with the password. */
  readonly url: string;
  readonly target: Target;
  /** Up to ten connections of a superuser, closed with the database. */
  readonly sql: postgres.Sql;
  /** Further connections, closed with the database. */
  connect(options?: ConnectOptions): postgres.Sql;
  /** One more connection, in which `user` is the session's user, whether it may log in or not. */
  connectAs(user: string): Promise<postgres.Sql>;
  /** A new role that can log in, dropped with the database. `attributes` are those of CREATE ROLE, such as `CREATEROLE`. */
  createUser(attributes?: string): Promise<TestUser>;
}

export interface TestUser {
  readonly name: string;
  readonly password: string;
  readonly url: string;
  readonly target: Target;
}

type ConnectOptions = postgres.Options<Record<string, postgres.PostgresType>>;

/** Makes a test of `use`: a fresh database is lent to it and dropped afterwards. `it('...', withDatabase(async ({ sql }) => ...))` */
export function withDatabase(use: (database: TestDatabase) => Promise<void>): () => Promise<void> {
  return async () => {
    const database = await createDatabase();
    try {
      await use(database);
    } finally {
      await dropDatabase(database);
    }
  };
}

const closers = new WeakMap<TestDatabase, () => Promise<void>>();

/** For `beforeAll`: a database that several tests look at. Give it to `dropDatabase` in `afterAll`. */
export async function createDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await admin().unsafe(`CREATE DATABASE ${name} TEMPLATE ${inject('server').template}`);
  return takeDatabase(name);
}

/** Makes the database of that name a test's own. */
export function takeDatabase(name: string): TestDatabase {
  const url = urlOf({ database: name });
  const pools: postgres.Sql[] = [];
  const users: string[] = [];
  const connect = (options: ConnectOptions = {}) => {
    const pool = postgres(url, { onnotice: () => {}, ...options });
    pools.push(pool);
    return pool;
  };
  const database: TestDatabase = {
    name,
    url,
    target: targetOf(url),
    sql: connect(),
    connect,
    async connectAs(user) {
      const pool = connect({ max: 1, idle_timeout: 0, max_lifetime: null });
      await pool`SET SESSION AUTHORIZATION ${pool(user)}`;
      return pool;
    },
    async createUser(attributes = '') {
      const user = `${name}_user_${users.length}`;
      const password = randomBytes(6).toString('hex');
      users.push(user);
      await admin().unsafe(`CREATE ROLE ${user} LOGIN PASSWORD '${password}' ${attributes}`);
      const userUrl = urlOf({ database: name, user, password });
      return { name: user, password, url: userUrl, target: targetOf(userUrl) };
    },
  };
  closers.set(database, async () => {
    await Promise.all(pools.map((pool) => pool.end({ timeout: 0 })));
    await admin().unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    for (const user of users) await admin().unsafe(`DROP ROLE IF EXISTS ${user}`);
  });
  return database;
}

/** Closes every connection to `database` and drops it, with the users that were made for it. */
export async function dropDatabase(database: TestDatabase): Promise<void> {
  await closers.get(database)?.();
  closers.delete(database);
}

let adminPool: postgres.Sql | undefined;

function admin(): postgres.Sql {
  adminPool ??= postgres(inject('server').url, { max: 2, onnotice: () => {} });
  return adminPool;
}

afterAll(async () => {
  await adminPool?.end({ timeout: 1 });
  adminPool = undefined;
});

/** The run's server with another database, user or password. */
export function urlOf(parts: { database?: string; user?: string; password?: string } = {}): string {
  const url = new URL(inject('server').url);
  if (parts.database !== undefined) url.pathname = `/${parts.database}`;
  if (parts.user !== undefined) url.username = parts.user;
  if (parts.password !== undefined) url.password = parts.password;
  return url.href;
}

/** A URL of the run's server as a Target, without the code that is tested elsewhere. */
export function targetOf(url: string): Target {
  const { hostname, port, pathname, username, password } = new URL(url);
  return {
    hosts: [{ host: hostname, port: Number(port || 5432) }],
    database: pathname.slice(1),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    tls: { mode: 'disable' },
    connectTimeout: 10,
    parameters: {},
    sessionAttributes: 'any',
    origin: 'the test server',
  };
}
