import { describe, expect, it } from 'vitest';
import { findSettings } from '../../src/cli/settings.ts';
import type { World } from '../../src/cli/world.ts';
import { openClient } from '../helpers/clients.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';
import { withProject } from '../helpers/project.ts';

const settingsIn = (cwd: string, env: Record<string, string>, options = {}) =>
  findSettings({ cwd, env } as unknown as World, options);

describe('the options of locks', () => {
  it('come from a flag, else a variable, else the configuration', async () => {
    const config = { queueLimit: 5, terminateIdleBlockers: '1min', hideLiterals: true };
    await withFolder({ 'eduschema.config.json': JSON.stringify(config) }, async (folder) => {
      const env = {
        EDUSCHEMA_QUEUE_LIMIT: '0',
        EDUSCHEMA_TERMINATE_IDLE_BLOCKERS: '2s',
        EDUSCHEMA_HIDE_LITERALS: 'false',
      };
      const flags = { queueLimit: 7, terminateIdleBlockers: '3s', hideLiterals: true };

      expect((await settingsIn(folder, {})).migrations).toMatchObject(config);
      expect((await settingsIn(folder, env)).migrations).toMatchObject({
        queueLimit: 0,
        terminateIdleBlockers: '2s',
        hideLiterals: false,
      });
      expect((await settingsIn(folder, env, flags)).migrations).toMatchObject(flags);
    });
    await withFolder({}, async (folder) => {
      const { migrations } = await settingsIn(folder, {});
      expect(migrations).toMatchObject({ queueLimit: 20, hideLiterals: false });
      expect(migrations.terminateIdleBlockers).toBeUndefined();
    });
  });

  it.each([
    ['--queue-limit -1', {}, 'usage'],
    ['--queue-limit few', {}, 'usage'],
    ['--terminate-idle-blockers soon', {}, 'usage'],
    ['', { EDUSCHEMA_QUEUE_LIMIT: '1.5' }, 'config-invalid'],
    ['', { EDUSCHEMA_TERMINATE_IDLE_BLOCKERS: 'soon' }, 'config-invalid'],
    ['', { EDUSCHEMA_HIDE_LITERALS: 'maybe' }, 'config-invalid'],
  ])('refuse %s %o', async (line, env, code) => {
    await withFolder({}, async (cwd) => {
      const { exitCode, json } = await eduschema(`status --json ${line}`, { cwd, env });

      expect([exitCode, json().error.code]).toEqual([2, code]);
    });
  });

  it(
    'hide what stands in the statements of others, in words and in JSON',
    withProject(
      { '1_t.sql': 'CREATE TABLE t (id int);', '2_alter.sql': 'ALTER TABLE t ADD note text;' },
      async (project) => {
        await project.migrate({ to: '1' });
        const holder = await openClient(project, 'shop');
        await holder.begin("SELECT 'anna@example.org', 4711 FROM t");
        const surroundings = { cwd: project.folder, env: { DATABASE_URL: project.url } };

        const shown = await eduschema('migrate --lock-deadline 0', surroundings);
        const words = await eduschema('migrate --lock-deadline 0 --hide-literals', surroundings);
        const json = await eduschema('migrate --lock-deadline 0 --hide-literals --json', surroundings);

        expect(shown.stderr).toContain('anna@example.org');
        expect(words.stderr).toContain('SELECT ?, ? FROM t');
        expect(words.stderr + json.stderr + json.stdout).not.toMatch(/anna|4711/);
        expect(json.json().error.details).toMatchObject({ blockers: [{ query: 'SELECT ?, ? FROM t' }] });
        const events = json.stderr
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line).event);
        expect(events).toEqual(['started', 'blocked']);
      },
    ),
  );
});
