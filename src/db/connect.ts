import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import postgres, { type Notice, type Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import { sendCancelRequest } from './cancel-request.ts';
import { connectionClosed, explainConnectError, explainServerError } from './explain-error.ts';
import { sendOneByOne } from './one-by-one.ts';
import { isPooled, sqlAs } from './pooler.ts';
import { makeBeginSafe } from './safe-begin.ts';
import { closesWithoutError, openSocket } from './socket.ts';
import { type StatementTap, tapStatements } from './statement-tap.ts';
import { takeRole } from './take-role.ts';
import type { HostAndPort, SessionAttributes, Target } from './target.ts';

/** The oldest server eduschema works with, as `server_version_num`. */
const oldestServer = 140000;

/** One connection to the database, and one only: what is set or locked in it stays until it is closed. */
export interface Session {
  readonly sql: Sql;
  readonly tap: StatementTap;
  readonly facts: ServerFacts;
  /** A pooler stands in between: each transaction can reach another session of the server. */
  readonly pooled: boolean;
  /** Cancels the statement that is under way, by the protocol's own request; a pooler passes it on. */
  cancel(): Promise<void>;
  /**
   * Lets the driver prepare what `work` sends; in a session that is emptied the first time alone: it goes on naming
   * statements that DISCARD ALL has taken away, even its own COMMIT, which then does a ROLLBACK.
   */
  preparing<T>(work: () => Promise<T>): Promise<T>;
  /** False once the connection is gone; it does not come back. */
  isOpen(): boolean;
}

/** What a server says of itself when a session starts. */
export interface ServerFacts {
  /** `server_version_num`: 180004 is 18.4. */
  readonly versionNumber: number;
  readonly version: string;
  readonly inRecovery: boolean;
  readonly readOnly: boolean;
  readonly database: string;
  readonly user: string;
  /** Behind a pooler, of the session that happened to answer. */
  readonly pid: number;
}

/** A database that is open: its first session, and a way to further ones. */
export interface Database extends Session {
  readonly target: Target;
  /** Lends another session and closes it afterwards, whatever happens. */
  withSession<T>(options: SessionOptions, use: (session: Session) => Promise<T>): Promise<T>;
}

export interface SessionOptions {
  /** `application_name`, by which others see the session in pg_stat_activity. */
  readonly applicationName?: string;
  /** Asks the server for its array types, which costs a round trip; needed where unknown SQL is given arrays. */
  readonly fetchTypes?: boolean;
  /** The role that the session takes on after logging in. */
  readonly role?: string | undefined;
  readonly onNotice?: (notice: Notice) => void;
  /** No pooler stands in between, as an earlier session showed: prepared statements can be used. */
  readonly direct?: boolean;
  /** DISCARD ALL is going to empty it: see Session.preparing. */
  readonly emptied?: boolean;
  /** Do not wait, at the end, until the server has closed the session: for a process that ends anyway. */
  readonly leaves?: boolean;
}

/**
 * Opens the database that `target` names, lends it to `use`, and closes it whatever happens.
 * Throws an EduschemaError that says what to do when it cannot be reached, or when the server is older than 14;
 * what the server says while `use` runs is turned into one as well.
 */
export async function withDatabase<T>(
  target: Target,
  options: SessionOptions,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  try {
    return await withSession(target, options, (session) =>
      use({
        ...session,
        sql: session.pooled && options.role !== undefined ? sqlAs(session.sql, options.role) : session.sql,
        target,
        withSession: (more, useSession) =>
          withSession(target, { ...options, direct: !session.pooled, ...more }, useSession),
      }),
    );
  } catch (error) {
    throw explainServerError(error, target);
  }
}

/** A handle of postgres.js as anybody has it: it opens connections when they are needed, and more of them after one broke. */
export function openHandle(target: Target, options: { max?: number; idle_timeout?: number } = {}): Sql {
  return postgres({
    ...loginOf(target, target.hosts[0] as HostAndPort),
    socket: () => openAny(target),
    connection: target.parameters,
    onnotice: () => {},
    ...options,
  } as unknown as postgres.Options<Record<string, never>>);
}

/** A socket to the first host that can be reached. */
async function openAny(target: Target): Promise<Duplex> {
  let lastError: unknown;
  for (const address of target.hosts) {
    try {
      return closesWithoutError(await openSocket(target, address));
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

/** What the driver is told of a login; the socket is ours. */
function loginOf({ database, user, password }: Target, { host, port }: HostAndPort) {
  return {
    host: host.replace(/^[/@].*/, 'localhost'),
    port,
    database,
    user,
    // A function, because an empty string would make the driver look into process.env.
    pass: typeof password === 'function' ? password : () => password ?? '',
    ssl: false,
  };
}

async function withSession<T>(
  target: Target,
  options: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(target, options);
  try {
    return await use(session);
  } finally {
    await session.close(options.leaves ? 0 : 1);
  }
}

interface OwnSession extends Session {
  close(timeoutSeconds: number): Promise<void>;
}

async function openSession(target: Target, options: SessionOptions): Promise<OwnSession> {
  let lastError: unknown;
  for (const address of target.hosts) {
    try {
      const session = await openSessionAt(target, address, options);
      if (fits(session.facts, target.sessionAttributes)) return session;
      await session.close(1);
      lastError = new EduschemaError(
        'connection-failed',
        `the server at ${address.host}:${address.port} is not ${target.sessionAttributes}, which target_session_attrs asks for`,
      );
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

async function openSessionAt(
  target: Target,
  address: HostAndPort,
  options: SessionOptions,
): Promise<OwnSession> {
  let tap: StatementTap | undefined;
  let opened: Duplex | undefined;
  // At once: the driver would begin a turn later.
  const opening = openSocket(target, address);
  opening.catch(() => {});
  const sql: Sql = postgres({
    ...loginOf(target, address),
    // The driver would silently open another session for the next query, without this one's locks and settings.
    socket: async () => {
      if (opened) {
        void sql.end({ timeout: 0 });
        throw connectionClosed();
      }
      opened = closesWithoutError(await opening);
      tap = tapStatements(opened);
      return opened;
    },
    max: 1,
    idle_timeout: 0,
    // The driver recycles connections after 30 to 60 minutes; a session lock would go with them.
    max_lifetime: null,
    connect_timeout: target.connectTimeout,
    fetch_types: options.fetchTypes ?? false,
    prepare: prepares(options),
    onnotice: options.onNotice ?? (() => {}),
    // Files are split as the SQL standard reads strings, whatever the database is set to.
    connection: {
      application_name: options.applicationName ?? 'eduschema',
      ...target.parameters,
      standard_conforming_strings: 'on',
      // At the start, as DISCARD ALL goes back to it; a pooler would refuse it.
      ...(options.direct ? { idle_session_timeout: '0' } : {}),
    },
  } as unknown as postgres.Options<Record<string, never>>);
  const isOpen = () => opened !== undefined && !opened.destroyed;
  makeBeginSafe(sql, isOpen);
  try {
    const facts = await findServerFacts(sql);
    if (facts.versionNumber < oldestServer) {
      throw new EduschemaError(
        'server-unsupported',
        `the server is PostgreSQL ${facts.version}; eduschema needs 14 or newer`,
        { hint: 'upgrade the server, or use another' },
      );
    }
    const close = async (timeout: number) => {
      await sql.end({ timeout });
      if (opened instanceof Socket) opened.unref();
    };
    const answers = tap as StatementTap | undefined;
    const pooled = isPooled(answers?.cancelKey, facts.pid);
    if (pooled && opened && answers) sendOneByOne(opened, answers);
    let cancelling: Promise<void> | undefined;
    const cancel = () => {
      cancelling ??= sendCancelRequest(target, address, answers?.cancelKey).finally(() => {
        cancelling = undefined;
      });
      return cancelling;
    };
    if (options.role !== undefined) await takeRole(sql, options.role, { user: facts.user, pooled });
    return {
      sql,
      tap: answers as StatementTap,
      facts,
      pooled,
      cancel,
      preparing: prepareOnce(sql, options),
      isOpen,
      close,
    };
  } catch (error) {
    await sql.end({ timeout: 0 });
    throw explainConnectError(error, target, address);
  }
}

/** The driver looks at this option with each query: https://github.com/porsager/postgres/blob/v3.4.9/src/connection.js#L232. */
function prepareOnce(sql: Sql, options: SessionOptions): Session['preparing'] {
  const otherwise = prepares(options);
  let first = options.direct ?? false;
  return async (work) => {
    sql.options.prepare = first || otherwise;
    first = false;
    try {
      return await work();
    } finally {
      sql.options.prepare = otherwise;
    }
  };
}

const prepares = ({ direct = false, emptied = false }: SessionOptions) => direct && !emptied;

async function findServerFacts(sql: Sql): Promise<ServerFacts> {
  const [facts] = await sql<[ServerFacts]>`
    SELECT current_setting('server_version_num')::int AS "versionNumber",
           current_setting('server_version') AS "version",
           pg_is_in_recovery() AS "inRecovery",
           current_setting('transaction_read_only')::bool AS "readOnly",
           current_database() AS "database",
           current_user AS "user",
           pg_backend_pid() AS "pid"
  `.simple();
  return facts;
}

function fits(facts: ServerFacts, attributes: SessionAttributes): boolean {
  switch (attributes) {
    case 'read-write':
      return !facts.readOnly && !facts.inRecovery;
    case 'read-only':
      return facts.readOnly || facts.inRecovery;
    case 'primary':
      return !facts.inRecovery;
    case 'standby':
      return facts.inRecovery;
    default:
      return true;
  }
}
