import { EduschemaError } from '../errors.ts';

/** The parameters of libpq that eduschema knows, and the variable that stands for each. */
export const variables = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  service: 'PGSERVICE',
  servicefile: 'PGSERVICEFILE',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  options: 'PGOPTIONS',
  application_name: 'PGAPPNAME',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
} as const;

export type ParameterName = keyof typeof variables;

/** How to connect, as far as one source says: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS */
export type ConnectionParameters = { readonly [name in ParameterName]?: string };

/** What libpq takes and what makes no difference here. */
const ignored = new Set([
  'client_encoding',
  'fallback_application_name',
  'gssdelegation',
  'gssencmode',
  'gsslib',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'krbsrvname',
  'load_balance_hosts',
  'sslcertmode',
  'sslcompression',
  'sslsni',
  'tcp_user_timeout',
]);

/**
 * Sorts named values into the parameters that count. Throws an EduschemaError `target-invalid` on one that libpq does
 * not know, or that asks for something eduschema cannot do. `where` names the source in the message.
 */
export function collectParameters(
  pairs: Iterable<readonly [string, string]>,
  where: string,
): ConnectionParameters {
  const found: Record<string, string> = {};
  for (const [name, value] of pairs) {
    if (name in variables) found[name] = value;
    else if (name === 'ssl' && value === 'true') found.sslmode = 'require';
    else if (name === 'channel_binding' && value !== 'require') continue;
    else if (!ignored.has(name)) throw describeUnknown(name, where);
  }
  return found;
}

function describeUnknown(name: string, where: string): EduschemaError {
  return new EduschemaError(
    'target-invalid',
    `${where} has the parameter ${name}, which eduschema does not know`,
    {
      hint:
        name === 'search_path' || name === 'schema'
          ? 'use --schema, or options=-c%20search_path=...'
          : `remove it; known are ${Object.keys(variables).join(', ')}`,
    },
  );
}

/** Reads the PG* variables; an empty one counts as not set. */
export function readVariables(env: Readonly<Record<string, string | undefined>>): ConnectionParameters {
  const set = Object.entries(variables).flatMap(([name, variable]) =>
    env[variable] ? [[name, env[variable]]] : [],
  );
  return Object.fromEntries(set) as ConnectionParameters;
}
