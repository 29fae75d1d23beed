import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findSettings } from '../../src/cli/settings.ts';
import type { World } from '../../src/cli/world.ts';
import { withFolder } from '../helpers/folder.ts';

const settingsIn = (cwd: string, env: Record<string, string> = {}) =>
  findSettings({ cwd, env } as unknown as World, {});

const variables = [
  'DIR SEEDS SCHEMA ROLE JOURNAL CONFIG LOCK_TIMEOUT LOCK_DEADLINE QUEUE_LIMIT TERMINATE_IDLE_BLOCKERS',
  'HIDE_LITERALS STATEMENT_TIMEOUT WAIT LEASE',
].flatMap((names) => names.split(' '));

describe('settings', () => {
  it('are as if a variable were not there that is empty, as CI sets them', async () => {
    const config = { directory: 'sql', schema: 'app', wait: 7, lockTimeout: '3s', role: 'owner' };
    for (const files of [{}, { 'eduschema.config.json': JSON.stringify(config) }])
      await withFolder(files, async (folder) => {
        const empty = Object.fromEntries(variables.map((name) => [`EDUSCHEMA_${name}`, '']));

        const [given, without] = [await settingsIn(folder, empty), await settingsIn(folder)];

        expect([given.migrations, given.seeds, given.origins]).toEqual([
          without.migrations,
          without.seeds,
          without.origins,
        ]);
      });
  });

  it('are read from a configuration in JSON that begins with a byte order mark', () =>
    withFolder({ 'eduschema.config.json': '\ufeff{ "schema": "app" }' }, async (folder) => {
      expect((await settingsIn(folder)).migrations.schema).toBe('app');
    }));

  it.each([
    ['UTF-16, as PowerShell writes it', Buffer.from('\ufeffDATABASE_URL=postgres://a@b/c\r\n', 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('DATABASE_URL=postgres://a@b/c\r\n', 'utf16le')],
    ['an older encoding', Buffer.from('DATABASE_URL=postgres://\xe9@b/c\n', 'latin1')],
  ])('are not looked for elsewhere when .env is %s', (_, bytes) =>
    withFolder({}, async (folder) => {
      writeFileSync(join(folder, '.env'), bytes);

      await expect(settingsIn(folder)).rejects.toMatchObject({
        code: 'file-unreadable',
        message: '.env is not UTF-8',
      });
    }),
  );

  it('are not looked for elsewhere when .env cannot be read', () =>
    withFolder({}, async (folder) => {
      symlinkSync('.env', join(folder, '.env'));

      await expect(settingsIn(folder)).rejects.toMatchObject({
        code: 'file-unreadable',
        message: '.env cannot be read (ELOOP)',
      });
    }));

  it("need no .env, and leave Python's folder of that name alone", () =>
    withFolder({}, async (folder) => {
      mkdirSync(join(folder, '.env'));

      expect((await settingsIn(folder, { DATABASE_URL: 'x' })).env).toEqual({ DATABASE_URL: 'x' });
    }));
});
