import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startProcess, until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';
import { runsOf, untilSleeps } from '../helpers/runners.ts';

const around = {
  '1_runs.sql': 'CREATE TABLE runs (n int);',
  '3_last.sql': 'INSERT INTO runs VALUES (3);',
};

const code = (body: string, outside = false) => ({
  '2_x.ts': `${outside ? 'export const transaction = false;' : ''}
export const up = async (sql: any, { log }: any) => {
  await sql\`INSERT INTO runs VALUES (2)\`;
  log('begun');
  ${body}
};`,
});

const start = ({ folder, url }: Project, line = 'migrate') =>
  startProcess(line, folder, { DATABASE_URL: url });

const sessions = ({ sql }: Project) => sql`
  SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'eduschema%'`;

describe('code of a migration', () => {
  it.each([
    ['in a transaction', false, [], 'nothing of 2 was applied; 1 is the current version'],
    ['outside of one', true, [2], 'what it committed stays'],
  ])('that calls process.exit(0) %s does not end eduschema', (_, outside, left, outcome) =>
    withProject({ ...around, ...code('process.exit(0);', outside) }, async (project) => {
      const { exitCode, stderr } = await start(project).ended;

      expect([exitCode, stderr]).toEqual([
        2,
        expect.stringMatching(/failed at line 5 of migrations\/2_x\.ts\n {2}process\.exit\(0\) was called/),
      ]);
      expect(stderr).toContain(outcome);
      expect([await project.versions(), await runsOf(project)]).toEqual([['1'], left]);
    })(),
  );

  it.each([
    ['rejects', "Promise.reject(new Error('nobody'))"],
    ['throws', "setTimeout(() => { throw new Error('nobody'); }, 50)"],
  ])(
    'that %s while nobody waits for it: the statement is cancelled, nothing stays, and it is named',
    (_, fault) =>
      withProject({ ...around, ...code(`${fault}; await sql\`SELECT pg_sleep(30)\`;`) }, async (project) => {
        const { exitCode, stderr } = await start(project).ended;

        expect([exitCode, stderr]).toEqual([
          2,
          expect.stringContaining('an error was thrown that nobody waited for: nobody'),
        ]);
        expect(stderr).toMatch(/at .*migrations\/2_x\.ts:\d+:\d+/);
        expect(stderr).toContain('1 of 3 done; 1 is the current version');
        await until('no session is left', async () => (await sessions(project)).length === 0);
        expect([await project.versions(), await runsOf(project)]).toEqual([['1'], []]);

        const json = await start(project, 'migrate --json').ended;
        expect([json.exitCode, JSON.parse(json.stdout).error.code]).toEqual([2, 'migration-failed']);
      })(),
  );

  const waits = 'setInterval(() => {}, 1000); await new Promise(() => {});';
  it.each([
    ['SIGINT', 130, false, []],
    ['SIGTERM', 143, false, []],
    ['SIGINT', 130, true, [2]],
  ] as const)(
    'that never ends is left by %s (exit %i, outside a transaction: %s)',
    (signal, exit, outside, left) =>
      withProject({ ...around, ...code(waits, outside) }, async (project) => {
        const running = start(project);
        await until('it has begun', () => running.stderr().includes('begun'));
        running.child.kill(signal);
        const { exitCode, stderr } = await running.ended;

        expect([exitCode, stderr]).toEqual([exit, expect.stringContaining('interrupted: 1 of 3 done')]);
        await until('no session is left', async () => (await sessions(project)).length === 0);
        expect([await project.versions(), await runsOf(project)]).toEqual([['1'], left]);
        project.write(code(''));
        expect((await start(project).ended).exitCode).toBe(0);
        expect(await project.versions()).toEqual(['1', '2', '3']);
      })(),
  );

  it(
    'that leaves a timer behind does not keep the process',
    withProject({ ...around, ...code('setInterval(() => {}, 1000);') }, async (project) => {
      expect((await start(project).ended).exitCode).toBe(0);
      expect(await project.versions()).toEqual(['1', '2', '3']);
    }),
  );
});

describe('a statement that never ends', () => {
  const never = 'INSERT INTO runs VALUES (2);\nSELECT pg_sleep(600);';
  it.each([
    ['in a transaction', never, 'SIGINT', 130, []],
    ['in a transaction', never, 'SIGTERM', 143, []],
    ['outside of one', `-- migrate:up transaction:false\n${never}`, 'SIGINT', 130, [2]],
    [
      'alone',
      '-- migrate:up transaction:false\nINSERT INTO runs VALUES (2);\nDO $$ BEGIN PERFORM pg_sleep(600); COMMIT; END $$;',
      'SIGTERM',
      143,
      [2],
    ],
  ] as const)(
    '%s (%s) is cancelled on the server by %s (exit %i), and the journal is right',
    (_, text, signal, exit, left) =>
      withProject({ ...around, '2_x.sql': text }, async (project) => {
        const running = start(project);
        await untilSleeps(project);
        running.child.kill(signal);
        const { exitCode, stderr } = await running.ended;

        expect([exitCode, stderr]).toEqual([exit, expect.stringContaining('interrupted: 1 of 3 done')]);
        expect(await sessions(project)).toEqual([]);
        expect([await project.versions(), await runsOf(project)]).toEqual([['1'], left]);
        if (left.length > 0)
          expect(
            await project.sql`SELECT ordinal, state, sqlstate FROM schema_versions_statements ORDER BY ordinal`,
          ).toEqual([
            { ordinal: 1, state: 'done', sqlstate: null },
            { ordinal: 2, state: 'failed', sqlstate: '57014' },
          ]);
        project.write({ '2_x.sql': text.replace('pg_sleep(600)', 'pg_sleep(0)') });
        const alone = text.includes('DO');
        const next = await start(project, alone ? 'migrate --redo 2' : 'migrate').ended;
        expect(next.exitCode).toBe(0);
        expect(await runsOf(project)).toEqual([2, 3]);
      })(),
  );
});

describe.runIf(process.platform === 'linux')('memory', () => {
  /** The largest resident set so far, in MB. */
  const peakOf = (pid: number | undefined): number => {
    try {
      return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
    } catch {
      return 0;
    }
  };

  async function peakWhile(running: ReturnType<typeof start>): Promise<number> {
    let peak = 0;
    let ended = false;
    void running.ended.then(() => {
      ended = true;
    });
    while (!ended) {
      peak = Math.max(peak, peakOf(running.child.pid));
      await sleep(20);
    }
    return peak;
  }

  it(
    'a file of 200 MB of COPY data takes little of it, killed in the middle too',
    () =>
      withProject({ '1_t.sql': 'CREATE TABLE t (id int, note text);' }, async (project) => {
        const file = openSync(join(project.settings.directory, '2_copy.sql'), 'w');
        writeSync(file, 'COPY t FROM stdin;\n');
        const rows = Array.from({ length: 10_000 }, (_, n) => `${n}\t${'x'.repeat(94)}\n`).join('');
        for (let written = 0; written < 200 * 1024 * 1024; written += rows.length) writeSync(file, rows);
        writeSync(file, '\\.\n');
        closeSync(file);
        const killed = start(project);
        await until('the data is under way', async () => {
          const copying =
            await project.sql`SELECT FROM pg_stat_progress_copy WHERE datname = current_database() AND bytes_processed > 10000000`;
          return copying.length > 0;
        });
        killed.child.kill('SIGKILL');
        await killed.ended;
        expect(await project.versions()).toEqual(['1']);

        const running = start(project, 'migrate --wait 120');
        const peak = await peakWhile(running);
        expect((await running.ended).exitCode).toBe(0);
        expect(peak).toBeGreaterThan(20);
        expect(peak).toBeLessThan(250);
        expect(await project.sql`SELECT count(*) > 2000000 AS all FROM t`).toEqual([{ all: true }]);
      })(),
    180_000,
  );

  it(
    'so does one giant line, in COPY data and in a statement',
    () =>
      withProject({ '1_t.sql': 'CREATE TABLE t (note text);' }, async (project) => {
        const giant = 'x'.repeat(7 * 1024 * 1024);
        project.write({
          '2_copy.sql': `COPY t FROM stdin;\n${giant}\n\\.\n`,
          '3_line.sql': `INSERT INTO t VALUES ('${giant}');`,
          '4_ts.ts':
            'export const up = (sql: any) => sql.unsafe("INSERT INTO t VALUES ($1)", ["x".repeat(7 * 1024 * 1024)]);',
        });
        const running = start(project);
        const peak = await peakWhile(running);
        expect((await running.ended).exitCode).toBe(0);
        expect(peak).toBeLessThan(300);
        expect(await project.sql`SELECT length(note) AS n FROM t`).toEqual(
          Array(3).fill({ n: giant.length }),
        );
      })(),
    60_000,
  );
});
