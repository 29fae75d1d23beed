import { EduschemaError } from '../errors.ts';
import { describeTarget, type HostAndPort, type Target } from './target.ts';

/** The fields of an error that PostgreSQL sent. https://www.postgresql.org/docs/current/protocol-error-fields.html */
export interface ServerError extends Error {
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
  readonly hint?: string;
  /** 1-based, in characters of the message that was sent. */
  readonly position?: string;
  readonly where?: string;
  readonly schema_name?: string;
  readonly table_name?: string;
  readonly column_name?: string;
  readonly constraint_name?: string;
}

/** True for an error that the server sent, by whichever copy of the driver; or a pooler, which leaves out a field. */
export function isServerError(error: unknown): error is ServerError {
  return (
    error instanceof Error &&
    error.name === 'PostgresError' &&
    ('severity' in error || 'severity_local' in error)
  );
}

/** True when the connection broke: the server went away, or it or a pooler ended the session. */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  if (isServerError(error) && /^(FATAL|PANIC)$/.test(error.severity ?? severityOf(error))) return true;
  return [
    'CONNECTION_CLOSED',
    'CONNECTION_DESTROYED',
    'CONNECTION_ENDED',
    'ECONNRESET',
    'EPIPE',
    '57P01',
    '57P02',
  ].includes(code);
}

/** A pooler gives it in words alone. */
const severityOf = (error: Error) => String((error as { severity_local?: unknown }).severity_local);

/** The error in an ErrorResponse, by field code: https://www.postgresql.org/docs/current/protocol-error-fields.html */
export function serverErrorOf(fields: ReadonlyMap<string, string>): Error {
  const error = new Error(fields.get('M') ?? 'the server gave no reason');
  error.name = 'PostgresError';
  return Object.assign(error, {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    code: fields.get('C') ?? '',
    detail: fields.get('D'),
    hint: fields.get('H'),
    where: fields.get('W'),
    table_name: fields.get('t'),
    column_name: fields.get('c'),
    constraint_name: fields.get('n'),
  });
}

/** The error for a connection that is gone. */
export function connectionClosed(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'CONNECTION_CLOSED' });
}

/** Turns what went wrong while connecting into words. An EduschemaError or an unknown error comes back as it was. */
export function explainConnectError(error: unknown, target: Target, address: HostAndPort): unknown {
  if (error instanceof EduschemaError) return error;
  const at = `${address.host}:${address.port}`;
  const from = `(${target.origin})`;
  const failed = (
    code: 'connection-failed' | 'authentication-failed' | 'database-missing',
    message: string,
    hint: string,
  ) =>
    new EduschemaError(code, `${message} ${from}`, {
      hint,
      cause: error,
      details: { target: describeTarget(target), cause: codeOf(error) },
    });
  switch (codeOf(error)) {
    case 'ECONNREFUSED':
      return failed(
        'connection-failed',
        `no server answers at ${at}`,
        'check host and port, and that PostgreSQL is running there',
      );
    case 'ENOENT':
      return failed(
        'connection-failed',
        `there is no server socket in ${address.host} for port ${address.port}`,
        'check the folder and the port, and that PostgreSQL is running',
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return failed(
        'connection-failed',
        `the host name ${address.host} is not known`,
        'check the spelling of the host',
      );
    case 'ETIMEDOUT':
    case 'CONNECT_TIMEOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return failed(
        'connection-failed',
        `no answer from ${at} within ${target.connectTimeout} s`,
        'check the network, a firewall, and the port',
      );
    case 'ECONNRESET':
    case 'EPIPE':
    case 'CONNECTION_CLOSED':
      return failed(
        'connection-failed',
        `${at} closed the connection before logging in`,
        'is it PostgreSQL that listens on this port?',
      );
    case '28P01':
      return failed(
        'authentication-failed',
        `the password for ${target.user} is wrong`,
        target.password === undefined
          ? 'no password was given: put it in the URL, PGPASSWORD or ~/.pgpass'
          : 'check the password',
      );
    case '28000':
      return failed(
        'authentication-failed',
        `${at} does not let ${target.user} in: ${messageOf(error)}`,
        'check the user, and pg_hba.conf on the server',
      );
    case '3D000':
      return failed(
        'database-missing',
        `there is no database ${target.database} at ${at}`,
        `create it: CREATE DATABASE ${target.database}`,
      );
    case '53300':
      return failed('connection-failed', `${at} has no connection left`, 'wait, or raise max_connections');
    case '57P03':
      return failed('connection-failed', `${at} is not ready: ${messageOf(error)}`, 'try again in a moment');
    default:
      // PgBouncer's words.
      if (isServerError(error) && /unsupported startup parameter/.test(error.message))
        return failed(
          'connection-failed',
          `the pooler at ${at} refused the connection: ${error.message}`,
          'leave options (PGOPTIONS) out, name the parameter in ignore_startup_parameters, or connect to the server directly',
        );
      if (isServerError(error))
        return failed(
          'connection-failed',
          `${at} refused the connection: ${messageOf(error)}`,
          'see the log of the server',
        );
      if (isTlsError(error))
        return failed(
          'connection-failed',
          `the TLS connection to ${at} failed: ${messageOf(error)}`,
          `check sslmode (now ${target.tls.mode}) and sslrootcert`,
        );
      return error;
  }
}

function isTlsError(error: unknown): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_)/.test(codeOf(error));
}

/** Turns a server's error outside migrations into words; anything else comes back as it was. */
export function explainServerError(error: unknown, target: Target): unknown {
  if (error instanceof EduschemaError) return error;
  if (isConnectionLost(error)) {
    return new EduschemaError(
      'connection-failed',
      `the connection to ${describeTarget(target)} was lost: ${messageOf(error)}`,
      {
        hint: 'see whether the server still runs, and run the command again',
        cause: error,
      },
    );
  }
  if (!isServerError(error)) return error;
  const details = { sqlstate: error.code, detail: error.detail };
  switch (error.code) {
    case '42501':
      return new EduschemaError('permission-denied', error.message, {
        hint: 'use a role that has this right, or --role',
        cause: error,
        details,
      });
    case '25006':
      return new EduschemaError('server-read-only', error.message, {
        hint: 'connect to the primary',
        cause: error,
        details,
      });
    default:
      return new EduschemaError('database-error', `${error.message} (${error.code})`, {
        hint: error.hint ?? error.detail,
        cause: error,
        details,
      });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
