import { appendFileSync, chmodSync, chownSync, copyFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withDatabase } from '../../src/db/connect.ts';
import { resolveTarget } from '../../src/db/resolve-target.ts';
import { targetOfSql } from '../../src/db/target-of-sql.ts';
import { type StartedServer, startEmbedded } from '../helpers/server.ts';

const certificates = resolve(import.meta.dirname, '../fixtures/tls');
const authority = `sslrootcert=${encodeURIComponent(join(certificates, 'ca.crt'))}`;
const another = `sslrootcert=${encodeURIComponent(join(certificates, 'server.crt'))}`;

let secure: StartedServer;
let plain: StartedServer;

/** A server whose certificate is for `localhost`, and one without TLS. */
beforeAll(async () => {
  secure = await startEmbedded(undefined, (dataFolder) => {
    const { uid, gid } = statSync(dataFolder);
    for (const name of ['server.crt', 'server.key']) {
      copyFileSync(join(certificates, name), join(dataFolder, name));
      chownSync(join(dataFolder, name), uid, gid);
      chmodSync(join(dataFolder, name), 0o600);
    }
    appendFileSync(join(dataFolder, 'postgresql.conf'), '\nssl = on\n');
  });
  plain = await startEmbedded();
});

afterAll(async () => {
  await Promise.all([secure?.stop(), plain?.stop()]);
});

/** Whether the session is encrypted, by the server's word. */
async function connect({ url }: StartedServer, host: string, parameters: string): Promise<boolean> {
  const target = resolveTarget({ url: `${url.replace('127.0.0.1', host)}?${parameters}`, env: {} });
  if (!target) throw new Error('no target');
  return withDatabase(target, {}, async ({ sql }) => {
    const [{ ssl } = { ssl: false }] = await sql<[{ ssl: boolean }]>`
      SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
    return ssl;
  });
}

describe('sslmode', () => {
  it.each([
    ['localhost', 'sslmode=disable', false],
    ['localhost', 'sslmode=prefer', true],
    ['localhost', 'sslmode=require', true],
    ['localhost', `sslmode=verify-ca&${authority}`, true],
    ['localhost', `sslmode=verify-full&${authority}`, true],
    ['127.0.0.1', `sslmode=verify-ca&${authority}`, true],
  ])('at %s with %s connects', async (host, parameters, encrypted) => {
    expect(await connect(secure, host, parameters)).toBe(encrypted);
  });

  it.each([
    ['127.0.0.1', `sslmode=verify-full&${authority}`, 'a certificate for another name'],
    ['localhost', `sslmode=verify-full&${another}`, 'an authority that did not sign it'],
    ['localhost', `sslmode=verify-ca&${another}`, 'an authority that did not sign it'],
    ['localhost', `sslmode=require&${another}`, 'an authority that did not sign it'],
  ])('at %s with %s refuses %s', async (host, parameters) => {
    await expect(connect(secure, host, parameters)).rejects.toMatchObject({
      code: 'connection-failed',
      message: expect.stringMatching(/^the TLS connection to .* failed: /),
    });
  });

  it('prefer goes on without TLS where there is none, require does not', async () => {
    expect(await connect(plain, 'localhost', 'sslmode=prefer')).toBe(false);
    await expect(connect(plain, 'localhost', 'sslmode=require')).rejects.toMatchObject({
      message: expect.stringContaining('does not support TLS'),
    });
  });

  it("of the caller's own handle is kept: ssl: true compares the name as well", async () => {
    const { readFileSync } = await import('node:fs');
    const ca = readFileSync(join(certificates, 'ca.crt'));
    for (const [host, fits] of [
      ['localhost', true],
      ['127.0.0.1', false],
    ] as const) {
      const sql = postgres(secure.url.replace('127.0.0.1', host), { ssl: { ca } });
      const opened = withDatabase(targetOfSql(sql), {}, async () => true);
      await (fits
        ? expect(opened).resolves.toBe(true)
        : expect(opened).rejects.toMatchObject({ code: 'connection-failed' }));
      await sql.end({ timeout: 0 });
    }
  });
});
