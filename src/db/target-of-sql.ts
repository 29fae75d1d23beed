import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import type { Target, TlsSettings } from './target.ts';

/** What postgres.js makes of the options it was given. */
interface DriverOptions {
  readonly host: readonly string[];
  readonly port: readonly number[];
  readonly path: string | false;
  readonly database: string;
  readonly user: string;
  readonly pass: Target['password'];
  readonly ssl: unknown;
  readonly socket?: (options: unknown) => never;
  readonly connection: Readonly<Record<string, string>>;
  readonly connect_timeout: number;
  readonly target_session_attrs: Target['sessionAttributes'] | null | undefined;
}

/**
 * The target that the caller's own postgres.js handle leads to. Sessions of our own are opened to it, as a lock and
 * a migration need a connection each that is nobody else's; the handle itself is neither used up nor closed.
 */
export function targetOfSql(sql: Sql): Target {
  const options = (sql as { options?: unknown }).options as DriverOptions | undefined;
  if (!options?.host) {
    throw new EduschemaError('target-invalid', 'the given sql is no handle of postgres()', {
      hint: 'pass what postgres() returned, not a transaction or a reserved connection',
    });
  }
  const { application_name: _, ...parameters } = options.connection;
  return {
    hosts: options.path
      ? [socketAddress(options.path, options.port[0])]
      : options.host.map((host, index) => ({ host, port: options.port[index] ?? 5432 })),
    database: options.database,
    user: options.user,
    password: options.pass,
    tls: tlsOf(options.ssl),
    connectTimeout: options.connect_timeout,
    parameters,
    sessionAttributes: options.target_session_attrs ?? 'any',
    openSocket: options.socket && (() => options.socket?.(options) as never),
    origin: 'the given sql',
  };
}

function socketAddress(path: string, port: number | undefined) {
  return { host: path.replace(/\/\.s\.PGSQL\.\d+$/, ''), port: port ?? 5432 };
}

function tlsOf(ssl: unknown): TlsSettings {
  if (ssl === false || ssl === undefined || ssl === null || ssl === 'disable') return { mode: 'disable' };
  if (ssl === true) return { mode: 'verify-full' };
  if (typeof ssl === 'string') return { mode: ssl as TlsSettings['mode'] };
  return { mode: 'require', options: ssl as object };
}
