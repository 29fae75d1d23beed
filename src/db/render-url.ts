import type { Target } from './target.ts';

/**
 * The URL that leads to `database` on the target's server, with the password and the settings of its sessions: for a
 * person, psql, and other tools.
 */
export async function renderUrl(target: Target, database: string): Promise<string> {
  const password = typeof target.password === 'function' ? await target.password() : target.password;
  const login = [target.user, ...(password === undefined ? [] : [password])]
    .map(encodeURIComponent)
    .join(':');
  const sockets = target.hosts.filter(({ host }) => /^[/@]/.test(host));
  const query = new URLSearchParams();
  if (sockets.length > 0) {
    query.set('host', target.hosts.map(({ host }) => host).join(','));
    query.set('port', target.hosts.map(({ port }) => port).join(','));
  }
  const { mode, rootCertificate, certificate, key } = target.tls;
  const isLocal = target.hosts.every(({ host }) => host === '127.0.0.1' || /^[/@]/.test(host));
  // What it comes to without being said.
  if (mode !== 'prefer' && !(mode === 'disable' && isLocal)) query.set('sslmode', mode);
  if (rootCertificate) query.set('sslrootcert', rootCertificate);
  if (certificate) query.set('sslcert', certificate);
  if (key) query.set('sslkey', key);
  const { application_name: _, ...settings } = target.parameters;
  const said = Object.entries(settings).map(
    ([name, value]) => `-c ${name}=${value.replace(/[\s\\]/g, '\\$&')}`,
  );
  if (said.length > 0) query.set('options', said.join(' '));
  // Other readers of URLs want a host where there is a user; psql takes that of the query.
  const hosts =
    sockets.length > 0
      ? 'localhost'
      : target.hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
  // psql takes a plus for a plus.
  const options = query.size > 0 ? `?${String(query).replaceAll('+', '%20')}` : '';
  return `postgres://${login}@${hosts}/${encodeURIComponent(database)}${options}`;
}
