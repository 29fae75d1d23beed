import { readFileSync } from 'node:fs';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { EduschemaError } from '../errors.ts';
import type { HostAndPort, Target, TlsSettings } from './target.ts';

/**
 * Opens a stream to one host of `target`, encrypted as its sslmode asks, ready for the startup message.
 * Done here, not by the driver, because sslmode then means what it means to psql, and what the server says can
 * be counted (statement-tap.ts). Throws the system's error: ECONNREFUSED, ENOTFOUND, ETIMEDOUT ...
 */
export async function openSocket(target: Target, address: HostAndPort): Promise<Socket | Duplex> {
  if (target.openSocket) return encrypt((await target.openSocket()) as Socket, address.host, target.tls);
  const socket = await connectTo(address, target.connectTimeout);
  return isSocketFolder(address) ? socket : encrypt(socket, address.host, target.tls);
}

function isSocketFolder({ host }: HostAndPort): boolean {
  return host.startsWith('/') || host.startsWith('@');
}

function connectTo(address: HostAndPort, timeoutSeconds: number): Promise<Socket> {
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    const socket = isSocketFolder(address)
      ? connectTcp({ path: `${host.replace(/^@/, '\0')}/.s.PGSQL.${port}` })
      : connectTcp({ host, port, noDelay: true });
    const timer = setTimeout(() => {
      const error = new Error(`no answer from ${host}:${port} for ${timeoutSeconds} s`);
      socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }));
    }, timeoutSeconds * 1000);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

/** The SSLRequest message: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

async function encrypt(socket: Socket, host: string, tls: TlsSettings): Promise<Socket> {
  if (tls.mode === 'disable') return socket;
  const accepted = await askForTls(socket);
  if (!accepted) {
    if (tls.mode === 'prefer' || tls.mode === 'allow') return socket;
    socket.destroy();
    throw new EduschemaError(
      'connection-failed',
      `the server at ${host} does not support TLS, but sslmode is ${tls.mode}`,
      {
        hint: 'switch ssl on in postgresql.conf, or use sslmode=prefer',
      },
    );
  }
  const { connect: connectTls } = await import('node:tls');
  return new Promise((resolve, reject) => {
    const secured: TLSSocket = connectTls({ socket, ...tlsOptions(host, tls) }, () => {
      secured.removeAllListeners('error');
      resolve(secured);
    });
    secured.once('error', reject);
  });
}

function askForTls(socket: Socket): Promise<boolean> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () =>
      reject(Object.assign(new Error('the server closed the connection'), { code: 'ECONNRESET' })),
    );
    socket.once('data', (answer: Buffer) => {
      socket.removeAllListeners('error');
      socket.removeAllListeners('close');
      resolve(answer[0] === 'S'.charCodeAt(0));
    });
    socket.write(sslRequest);
  });
}

/** As libpq: `require` with a root certificate is `verify-ca`; only `verify-full` compares the host's name. */
function tlsOptions(host: string, tls: TlsSettings): ConnectionOptions {
  // Node compares the certificate with `localhost` where it is told neither; an address cannot be a servername.
  const name: ConnectionOptions = isIP(host) === 0 ? { host, servername: host } : { host };
  if (tls.options) return { ...name, ...tls.options };
  const verifies =
    tls.mode.startsWith('verify') || (tls.mode === 'require' && tls.rootCertificate !== undefined);
  return {
    ...name,
    rejectUnauthorized: verifies,
    ...(tls.rootCertificate && tls.rootCertificate !== 'system'
      ? { ca: readCertificate(tls.rootCertificate) }
      : {}),
    ...(tls.certificate ? { cert: readCertificate(tls.certificate) } : {}),
    ...(tls.key ? { key: readCertificate(tls.key) } : {}),
    ...(tls.mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
}

function readCertificate(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new EduschemaError('target-invalid', `the certificate file ${path} cannot be read`, {
      hint: 'check the path and its permissions',
      cause,
    });
  }
}

/**
 * After an error of the socket the driver refuses what was under way, and forgets what is sent until the socket
 * closes, which then waits for ever: https://github.com/porsager/postgres/blob/v3.4.9/src/connection.js#L436.
 * Told of no error, it refuses that as well.
 */
export function closesWithoutError(socket: Duplex): Duplex {
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string, ...args: unknown[]) =>
    event === 'close' ? emit('close', false) : emit(event, ...args);
  return socket;
}
