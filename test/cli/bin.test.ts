import { execFile, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';

const bin = resolve(import.meta.dirname, '../../bin/eduschema.cjs');
const run = promisify(execFile);

/** The built command line, which `npm ci` makes. */
describe('the installed eduschema', () => {
  it('says its version', async () => {
    expect((await run(process.execPath, [bin, '--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it(
    'migrates, loads what lies apart, and ends by itself',
    withProject(
      {
        '1_a.sql': 'CREATE TABLE a (id int);',
        '2_b.ts': 'export const up = (sql: any) => sql`CREATE TABLE b (id int)`;',
      },
      async ({ folder: cwd, url, versions, write }) => {
        write({ '../.env': `DATABASE_URL=${url}` });
        const { stdout } = await run(process.execPath, [bin, 'migrate'], {
          cwd,
          env: { PATH: process.env.PATH },
        });

        expect(stdout).toContain('2 migrations applied');
        expect(await versions()).toEqual(['1', '2']);
      },
    ),
  );

  // script(1), of every Linux, gives it a terminal.
  it.runIf(process.platform === 'linux')(
    'in a terminal shows a spinner and colours, and Ctrl-C cancels',
    withProject(
      { '1_a.sql': 'CREATE TABLE a (id int);', '2_slow.sql': 'SELECT pg_sleep(30);' },
      async ({ folder: cwd, url, versions }) => {
        const command = `trap : INT; stty cols 100 rows 30; ${process.execPath} ${bin} migrate; echo "exit $?"`;
        const terminal = spawn('script', ['-qec', command, '/dev/null'], {
          cwd,
          env: { PATH: process.env.PATH, TERM: 'xterm', DATABASE_URL: url },
        });
        let screen = '';
        terminal.stdout.on('data', (data) => {
          const before = screen;
          screen += data;
          if (!before.includes('2_slow') && screen.includes('2_slow')) terminal.stdin.write('\x03');
        });
        await new Promise((done) => terminal.on('close', done));

        expect(screen).toContain('2_slow (2 of 2)');
        expect(screen).toContain('\x1b[31minterrupted: 1 of 2 done; 1 is the current version\x1b[39m');
        expect(screen).toContain('exit 130');
        expect(await versions()).toEqual(['1']);
      },
    ),
  );

  it(
    'stops quietly when nobody reads on',
    withProject(
      Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`${i + 1}_m.sql`, ''])),
      async ({ folder: cwd, url }) => {
        const { stdout, stderr } = await run('sh', ['-c', `${process.execPath} ${bin} status | head -1`], {
          cwd,
          env: { PATH: process.env.PATH, DATABASE_URL: url },
        });

        expect([stdout.trim().split(/ +/)[0], stderr]).toEqual(['state', '']);
      },
    ),
  );
});
