import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A server and how to log in to it, completely resolved: nothing about it is looked up later. */
export interface Target {
  /** Tried in this order. A host that starts with `/` is the folder of a Unix socket. */
  readonly hosts: readonly HostAndPort[];
  readonly database: string;
  readonly user: string;
  /** A function is asked at each new connection (tokens that expire). */
  readonly password: string | (() => string | Promise<string>) | undefined;
  readonly tls: TlsSettings;
  /** Seconds until an attempt to connect is given up. */
  readonly connectTimeout: number;
  /** Settings sent when the session starts, such as those of PGOPTIONS or `options=` in a URL. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Which kind of server will do (libpq's target_session_attrs). */
  readonly sessionAttributes: SessionAttributes;
  /** A way to the server that replaces host and port: the caller's own. */
  readonly openSocket?: (() => Socket | Duplex | Promise<Socket | Duplex>) | undefined;
  /** Where this came from, in a user's words: `--url`, `DATABASE_URL`, `the embedded server` ... */
  readonly origin: string;
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export type SessionAttributes = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby';

/** libpq's sslmode with its files, as paths. */
export interface TlsSettings {
  readonly mode: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  readonly rootCertificate?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  /** Options of Node's `tls.connect`, as the caller of the API gave them; they replace what `mode` implies. */
  readonly options?: object | undefined;
}

/** Names the target without its password: `postgres@127.0.0.1:5432/eduschema`. */
export function describeTarget(target: Target): string {
  const hosts = target.hosts.map(({ host, port }) =>
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  );
  return `${target.user}@${hosts.join(',')}/${target.database}`;
}
