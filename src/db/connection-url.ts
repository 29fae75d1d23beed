import { EduschemaError } from '../errors.ts';
import { type ConnectionParameters, collectParameters } from './connection-parameters.ts';

const shape = 'postgres://user:password@host:5432/database';

const passwordHint = 'in a password write @ as %40, / as %2F, : as %3A';

/**
 * Reads a connection URL as libpq does, which knows several hosts and takes no part for required.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 * Throws an EduschemaError `target-invalid` that names `origin` and holds nothing which could be the password.
 */
export function parseConnectionUrl(url: string, origin: string): ConnectionParameters {
  const [, scheme, rest] = url.trim().match(/^([a-z][a-z0-9+.-]*):\/\/(.*)$/is) ?? [];
  if (scheme === undefined || rest === undefined)
    throw invalid(`${origin} is no URL`, `write it as ${shape}`);
  if (!/^postgres(ql)?$/.test(scheme))
    throw invalid(`${origin} has the scheme ${scheme}, which is not PostgreSQL's`, `write it as ${shape}`);

  const [, credentials, address = ''] = rest.match(/^(?:([^@/]*)@)?(.*)$/s) ?? [];
  // In a database's name an @ is rarer than in a password: it must be encoded.
  if (/^[^?]*@/.test(address)) throw invalid(`${origin} cannot be read`, passwordHint);
  const [, hosts = '', path = '', query = ''] = address.match(/^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s) ?? [];
  const [, user = '', password = ''] = credentials?.match(/^([^:]*)(?::(.*))?$/s) ?? [];
  const decode = (text: string) => decodePart(text, origin);
  const found = {
    user: decode(user),
    password: decode(password),
    dbname: decode(path),
    ...parseHosts(hosts, origin, decode),
  };
  const given = Object.entries(found).filter(([, value]) => value !== '');
  try {
    return collectParameters([...given, ...parseQuery(query, origin, decode)], origin);
  } catch (error) {
    // After an @ that was left over, what looks like a parameter's name may be a piece of the password.
    throw address.includes('@') ? invalid(`${origin} cannot be read`, passwordHint) : error;
  }
}

function parseHosts(text: string, origin: string, decode: (text: string) => string) {
  const parts = text.split(',').map((part) => {
    const [, ipv6, name, port = ''] = part.match(/^(?:\[([^\]]*)\]|([^:[\]@]*))(?::(\d*))?$/) ?? [];
    const host = ipv6 ?? name;
    if (host !== undefined) return { host: decode(host), port };
    // Not shown: where a password was not encoded, a piece of it stands here.
    throw invalid(
      `${origin} has no valid host and port`,
      `write it as ${shape}, IPv6 addresses in brackets; ${passwordHint}`,
    );
  });
  const hosts = parts.map(({ host }) => host);
  const ports = parts.map(({ port }) => port);
  return {
    host: hosts.some((host) => host !== '') ? hosts.join(',') : '',
    port: ports.some((port) => port !== '') ? ports.join(',') : '',
  };
}

function parseQuery(query: string, origin: string, decode: (text: string) => string): [string, string][] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0)
        throw invalid(
          `${origin} has a parameter without a value`,
          'write parameters as ?name=value&name=value',
        );
      return [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

function decodePart(text: string, origin: string): string {
  try {
    const decoded = decodeURIComponent(text);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // Falls through to the same words.
  }
  throw invalid(`${origin} has a % that starts no valid escape`, 'write a % itself as %25');
}

function invalid(message: string, hint: string): EduschemaError {
  return new EduschemaError('target-invalid', message, { hint });
}
