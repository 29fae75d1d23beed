import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { EduschemaError } from '../errors.ts';
import { type ConnectionParameters, readVariables, variables } from './connection-parameters.ts';
import { parseConnectionUrl } from './connection-url.ts';
import { readPassword } from './pass-file.ts';
import { readService } from './service-file.ts';
import { parseSessionOptions } from './session-options.ts';
import type { HostAndPort, SessionAttributes, Target } from './target.ts';
import { resolveTls } from './tls-settings.ts';

/** Everything that can say which database is meant. */
export interface TargetSources {
  /** From `--url`. */
  readonly url?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From the configuration. */
  readonly configUrl?: string | undefined;
  /** Where ~ is; the home of this process without it. */
  readonly homeFolder?: string | undefined;
  /** Who runs us: libpq's default for the user, and so for the database. */
  readonly userName?: string | undefined;
  /** Told of a password file that was not used. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** The variables that name a server. PGUSER or PGSSLMODE alone are somebody's habit and name none. */
const naming = ['service', 'host', 'hostaddr', 'port', 'dbname'] as const;

/**
 * Decides which database is meant: --url, else DATABASE_URL, else the PG* variables, else the configuration; undefined
 * stands for the embedded server. What a URL leaves open comes from its service, then from the variables, as in libpq.
 * Throws an EduschemaError `target-invalid`, also where NODE_ENV=production forbids the embedded server.
 */
export function resolveTarget(sources: TargetSources): Target | undefined {
  const { env, url, configUrl } = sources;
  const fromVariables = readVariables(env);
  if (url !== undefined) return resolveUrl(url, '--url', sources);
  if (env.DATABASE_URL) return resolveUrl(env.DATABASE_URL, 'DATABASE_URL', sources);
  const named = naming.find((name) => fromVariables[name] !== undefined);
  if (named) return completeTarget({}, variables[named], sources);
  if (configUrl !== undefined) return resolveUrl(configUrl, 'url in the configuration', sources);
  if (env.NODE_ENV !== 'production') return undefined;
  throw new EduschemaError(
    'target-invalid',
    'no database is named, and NODE_ENV=production rules out the embedded one',
    {
      hint: 'set DATABASE_URL, or use --url',
    },
  );
}

function resolveUrl(url: string, origin: string, sources: TargetSources): Target {
  return completeTarget(parseConnectionUrl(url, origin), origin, sources);
}

function completeTarget(given: ConnectionParameters, origin: string, sources: TargetSources): Target {
  const fromVariables = readVariables(sources.env);
  const service = given.service ?? fromVariables.service;
  const parameters: ConnectionParameters = {
    ...fromVariables,
    ...(service === undefined
      ? {}
      : readService(service, serviceFiles({ ...fromVariables, ...given }, sources))),
    ...given,
  };
  const user = parameters.user ?? sources.userName ?? findUserName();
  const database = parameters.dbname ?? user;
  const logins = resolveLogins(parameters, origin).map((login) => ({ ...login, database, user }));
  return {
    hosts: logins.map(({ address, port }) => ({ host: address, port })),
    database,
    user,
    password:
      parameters.password ??
      readPassword(passFile(parameters, sources), logins, sources.onWarning ?? (() => {})),
    tls: resolveTls(parameters, sources.homeFolder ?? homedir()),
    connectTimeout: parseTimeout(parameters.connect_timeout),
    parameters: {
      ...parseSessionOptions(parameters.options ?? ''),
      ...(parameters.application_name === undefined ? {} : { application_name: parameters.application_name }),
    },
    sessionAttributes: parseAttributes(parameters.target_session_attrs),
    origin,
  };
}

/** `host` is what passwords are found by, `address` where it is. */
function resolveLogins(
  { host, hostaddr, port }: ConnectionParameters,
  origin: string,
): (HostAndPort & { address: string })[] {
  const names = host?.split(',');
  const addresses = hostaddr?.split(',');
  const ports = (port ?? '').split(',').map((text) => parsePort(text, origin));
  const count = (addresses ?? names ?? ['']).length;
  if ((names && names.length !== count) || (ports.length > 1 && ports.length !== count)) {
    throw new EduschemaError(
      'target-invalid',
      `${origin} does not name as many hosts as addresses or ports`,
      {
        hint: 'give one port for all hosts, or one for each',
      },
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const name = names?.[index] || addresses?.[index] || 'localhost';
    return { host: name, address: addresses?.[index] || name, port: ports[index] ?? ports[0] ?? 5432 };
  });
}

function parsePort(text: string, origin: string): number {
  if (text === '') return 5432;
  const port = /^\d+$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65535) return port;
  throw new EduschemaError('target-invalid', `${origin} has a port that is no number from 1 to 65535`, {
    hint: "PostgreSQL's own is 5432",
  });
}

/** Seconds. Without one libpq waits as long as the system does, which can be minutes. */
function parseTimeout(text = '10'): number {
  if (!/^\s*-?\d+\s*$/.test(text)) {
    throw new EduschemaError('target-invalid', `connect_timeout ${text} is no number of seconds`);
  }
  // Zero and less are no limit: here a day.
  return Number(text) > 0 ? Number(text) : 86_400;
}

function parseAttributes(text = 'any'): SessionAttributes {
  const known = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
  const found = known.find((attributes) => attributes === text);
  if (found) return found;
  throw new EduschemaError('target-invalid', `target_session_attrs ${text} is not known`, {
    hint: `known are ${known.join(', ')}`,
  });
}

function passFile(
  { passfile }: ConnectionParameters,
  { env, homeFolder = homedir() }: TargetSources,
): string {
  if (passfile !== undefined) return passfile;
  return env.APPDATA && process.platform === 'win32'
    ? join(env.APPDATA, 'postgresql', 'pgpass.conf')
    : join(homeFolder, '.pgpass');
}

function serviceFiles(
  { servicefile }: ConnectionParameters,
  { env, homeFolder = homedir() }: TargetSources,
): string[] {
  const system = join(env.PGSYSCONFDIR ?? '/etc/postgresql-common', 'pg_service.conf');
  return [servicefile ?? join(homeFolder, '.pg_service.conf'), system];
}

/** In a container the user may have no name. */
function findUserName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'postgres';
  }
}
