import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { eduschema } from '../helpers/eduschema.ts';
import { type Project, withProject } from '../helpers/project.ts';

const bin = resolve(import.meta.dirname, '../../bin/eduschema.cjs');
const files = { '1_a.sql': '-- migrate:up\nCREATE TABLE a (id int);\n-- migrate:down\nDROP TABLE a;' };

/** What a terminal shows of a rollback that is answered with `keys`; script(1), of every Linux, is the terminal. */
async function answerWith({ folder: cwd, url }: Project, keys: string): Promise<string> {
  const command = `trap : INT; ${process.execPath} ${bin} rollback; echo "exit $?"`;
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    cwd,
    env: { PATH: process.env.PATH, TERM: 'xterm', DATABASE_URL: url, NO_COLOR: '1' },
  });
  let screen = '';
  terminal.stdout.on('data', (data) => {
    const before = screen;
    screen += data;
    if (!before.includes('to go on: ') && screen.includes('to go on: ')) terminal.stdin.write(keys);
  });
  await new Promise((done) => terminal.on('close', done));
  return screen.replaceAll('\r', '');
}

describe('a question', () => {
  it.runIf(process.platform === 'linux').each([
    ['Ctrl-C', '\x03', '\ninterrupted: nothing was changed\nexit 130\n'],
    ['Ctrl-D', '\x04', '\nnot confirmed: nothing was changed\nexit 2\n'],
    ['no', 'no\r', '\nnot confirmed: nothing was changed\nexit 2\n'],
  ])('that is answered with %s changes nothing, and is no bug', (_, keys, end) =>
    withProject(files, async (project) => {
      await project.migrate();

      const screen = await answerWith(project, keys);

      expect(screen.slice(screen.indexOf('to go on: ')).endsWith(end)).toBe(true);
      expect(await project.versions()).toEqual(['1']);
    })(),
  );

  it(
    'may take longer than the server lets a session be idle',
    withProject(files, async (project) => {
      await project.migrate();
      const answer = async () => {
        await sleep(2000);
        return 'yes';
      };

      const { exitCode, stderr } = await eduschema('rollback', {
        cwd: project.folder,
        env: { DATABASE_URL: `${project.url}?options=-c%20idle_session_timeout%3D1000` },
        answer,
      });

      expect([exitCode, stderr]).toEqual([0, expect.stringContaining('This undoes 1_a')]);
      expect(await project.versions()).toEqual([]);
    }),
  );
});
