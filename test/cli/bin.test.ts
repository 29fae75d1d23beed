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

  it(
    'goes on when nobody reads stderr any more',
    withProject(
      {
        '1_a.sql': "DO $$ BEGIN RAISE WARNING 'a'; END $$;",
        '2_b.sql': 'SELECT pg_sleep(0.3);',
        '3_c.sql': '',
      },
      async ({ folder: cwd, url, versions }) => {
        const shell = `(${process.execPath} ${bin} migrate --json; echo "exit $?") 2>&1 >&3 3>&- | head -1 >&2`;
        const { stdout } = await run('sh', ['-c', `exec 3>&1; ${shell}`], {
          cwd,
          env: { PATH: process.env.PATH, DATABASE_URL: url },
        });

        expect(stdout).toMatch(/^\{\n {2}"ok": true.*exit 0\n$/s);
        expect(await versions()).toEqual(['1', '2', '3']);
      },
    ),
  );

  it(
    'keeps stdout for results, whatever code prints',
    withProject(
      {
        '1_a.ts': `import { stdout } from 'node:process';
          console.log('loaded');
          export const up = (sql: any) => {
            console.info('by the console');
            process.stdout.write('by the stream\\n');
            stdout.write('by the import\\n');
            return sql\`SELECT 1\`;
          };`,
        '../eduschema.config.ts': "console.log('configured'); export default {};",
      },
      async ({ folder: cwd, url, versions }) => {
        const { stdout, stderr } = await run(process.execPath, [bin, 'migrate', '--json'], {
          cwd,
          env: { PATH: process.env.PATH, DATABASE_URL: url },
        });

        expect(JSON.parse(stdout)).toMatchObject({ ok: true, summary: { current: '1' } });
        for (const words of ['loaded', 'configured', 'by the console', 'by the stream', 'by the import'])
          expect(stderr).toContain(`${words}\n`);
        expect(await versions()).toEqual(['1']);
      },
    ),
  );

  it.runIf(process.platform === 'linux')(
    'says that the result cannot be written',
    withProject({ '1_a.sql': 'SELECT 1;' }, async ({ folder: cwd, url, versions }) => {
      const failed = await run('sh', ['-c', `${process.execPath} ${bin} migrate > /dev/full`], {
        cwd,
        env: { PATH: process.env.PATH, DATABASE_URL: url },
      }).catch((error) => error);

      expect([failed.code, failed.stderr]).toEqual([
        2,
        'the result cannot be written (ENOSPC); what the command did stays\n',
      ]);
      expect(await versions()).toEqual(['1']);
    }),
  );
});
