// STUB by the lead so that others can compile; its owner replaces this file.
import type { Target } from './target.ts';

export function resolveTarget({ url, env, configUrl }: { url?: string | undefined; env: Readonly<Record<string, string | undefined>>; configUrl?: string | undefined; homeFolder?: string; userName?: string }): Target | undefined {
  const text = url ?? env.DATABASE_URL ?? configUrl;
  if (text === undefined) return undefined;
  const { hostname, port, pathname, username, password } = new URL(text);
  return {
    hosts: [{ host: hostname, port: Number(port || 5432) }],
    database: pathname.slice(1),
    user: decodeURIComponent(username),
    password: password ? decodeURIComponent(password) : undefined,
    tls: { mode: 'prefer' },
    connectTimeout: 10,
    parameters: {},
    sessionAttributes: 'any',
    origin: url ? '--url' : 'DATABASE_URL',
  };
}
