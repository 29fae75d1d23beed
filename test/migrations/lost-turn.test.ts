import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { newLockKey } from '../../src/db/advisory-lock.ts';
import { proveByLock } from '../../src/migrations/turn-proof.ts';
import { until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';
import { runsOf, startRunner, untilSleeps } from '../helpers/runners.ts';

const files = {
  '1_runs.sql': 'CREATE TABLE runs (n int);',
  '3_last.sql': 'INSERT INTO runs VALUES (3);',
};

const endTurn = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'eduschema'`;

/** Ends the session that holds the turn once a migration sleeps. */
async function endTurnLater(project: Project): Promise<void> {
  await untilSleeps(project);
  await project.sql.unsafe(endTurn);
}

const ended = 'the session that keeps other runners out was ended by the server';

describe('a runner whose session with the turn is ended', () => {
  it.each([
    ['SQL', { '2_slow.sql': 'INSERT INTO runs VALUES (2); SELECT pg_sleep(0.7);' }],
    [
      'TypeScript',
      {
        '2_slow.ts':
          'export const up = async (sql: any) => { await sql`INSERT INTO runs VALUES (2)`; await sql`SELECT pg_sleep(0.7)`; };',
      },
    ],
  ])('in the middle of 2 of 3 (%s), which kept all others out: 2 is recorded, 3 is not begun', (_, slow) =>
    withProject({ ...files, ...slow }, async (project) => {
      const later = endTurnLater(project);

      await expect(project.migrate()).rejects.toMatchObject({
        code: 'connection-failed',
        message: ended,
        details: { outcome: 'nothing of 3 was applied; 2 is the current version' },
      });
      await later;
      expect([await project.versions(), await runsOf(project)]).toEqual([['1', '2'], [2]]);

      await project.migrate();
      expect(await runsOf(project)).toEqual([2, 3]);
    })(),
  );

  it.each([
    [
      'SQL',
      { '2_slow.sql': 'INSERT INTO runs VALUES (2); SELECT pg_advisory_unlock_all(); SELECT pg_sleep(0.7);' },
    ],
    [
      'TypeScript',
      {
        '2_slow.ts': `export const up = async (sql: any) => {
          await sql\`INSERT INTO runs VALUES (2)\`;
          await sql\`SELECT pg_advisory_unlock_all(), pg_sleep(0.7)\`;
        };`,
      },
    ],
  ])('in the middle of 2 of 3 (%s), which let others in: nothing of 2 is left', (_, slow) =>
    withProject({ ...files, ...slow }, async (project) => {
      const later = endTurnLater(project);

      await expect(project.migrate()).rejects.toMatchObject({
        code: 'connection-failed',
        message: ended,
        details: { outcome: 'nothing of 2 was applied; 1 is the current version' },
      });
      await later;
      expect([await project.versions(), await runsOf(project)]).toEqual([['1'], []]);
    })(),
  );

  it(
    'in a single transaction: nothing is left',
    withProject(
      { ...files, '2_slow.sql': 'INSERT INTO runs VALUES (2); SELECT pg_sleep(0.7);' },
      async (project) => {
        const later = endTurnLater(project);

        await expect(project.migrate({ singleTransaction: true })).rejects.toMatchObject({ message: ended });
        await later;
        expect(await project.sql`SELECT to_regclass('runs') AS runs, to_regclass('schema_versions')`).toEqual(
          [{ runs: null, to_regclass: 'schema_versions' }],
        );
        expect(await project.versions()).toEqual([]);
      },
    ),
  );

  it(
    'by the migration itself',
    withProject({ ...files, '2_end.sql': `INSERT INTO runs VALUES (2); ${endTurn};` }, async (project) => {
      await expect(project.migrate()).rejects.toMatchObject({ message: ended });
      expect([await project.versions(), await runsOf(project)]).toEqual([['1', '2'], [2]]);
    }),
  );

  it.each([
    ['which has a transaction of its own', 'INSERT INTO runs SELECT 2 FROM pg_sleep(0.7);', []],
    [
      'which commits by itself',
      'DO $$ BEGIN INSERT INTO runs VALUES (2); PERFORM pg_sleep(0.7); COMMIT; END $$;',
      [2],
    ],
  ])(
    'at a statement outside a transaction, %s: it is in doubt no longer than to the next run',
    (_, slow, left) =>
      withProject(
        {
          ...files,
          '2_out.sql': `-- migrate:up transaction:false\nINSERT INTO runs VALUES (1);\n${slow}\nINSERT INTO runs VALUES (20);`,
        },
        async (project) => {
          const later = endTurnLater(project);
          const failed = project.migrate().catch((error) => error);
          await later;

          expect(await failed).toMatchObject({ message: expect.stringMatching(/lost|ended/) });
          expect(await project.versions()).toEqual(['1']);
          expect(await runsOf(project)).toEqual([1, ...left]);
          expect(
            await project.sql`SELECT ordinal, state FROM schema_versions_statements ORDER BY ordinal`,
          ).toEqual([
            { ordinal: 1, state: 'done' },
            { ordinal: 2, state: 'started' },
          ]);
          // Of what commits by itself nobody can tell.
          await project.migrate(left.length > 0 ? { markDone: [2] } : {});
          expect(await runsOf(project)).toEqual([1, 2, 3, 20]);
          expect(await project.versions()).toEqual(['1', '2', '3']);
        },
      )(),
  );

  it(
    'in TypeScript outside a transaction: it is not recorded',
    withProject(
      {
        ...files,
        '2_out.ts':
          'export const transaction = false;\nexport const up = async (sql: any) => { await sql`INSERT INTO runs SELECT 2 FROM pg_sleep(0.7)`; };',
      },
      async (project) => {
        const later = endTurnLater(project);
        await expect(project.migrate()).rejects.toMatchObject({
          message: ended,
          details: { outcome: '2_out was carried out, but is not recorded' },
        });
        await later;
        expect(await project.versions()).toEqual(['1']);
      },
    ),
  );

  it(
    'records nothing more than what is under way, and who waits runs nothing twice',
    withProject(
      { ...files, '2_slow.sql': 'INSERT INTO runs VALUES (2); SELECT pg_sleep(6);' },
      async (project) => {
        const first = startRunner(project, project.url);
        await endTurnLater(project);
        const second = startRunner(project, project.url);
        await until('the second waits', () => second.stderr().includes('waiting for another eduschema'));

        expect(await first.ended).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(ended) });
        expect(await second.ended).toMatchObject({
          exitCode: 0,
          stdout: expect.stringContaining('1 migration applied'),
          stderr: expect.stringMatching(/waiting for another eduschema: pid \d+ \(eduschema migration/),
        });
        expect(await runsOf(project)).toEqual([2, 3]);
        expect(await project.versions()).toEqual(['1', '2', '3']);
      },
    ),
  );
});

describe('the proof of the turn', () => {
  it(
    'fails when the session with the turn is gone, unless this one has kept the guard since the turn was ours',
    withProject({}, async ({ connect }) => {
      const [token, guard] = [newLockKey(), newLockKey()];
      const { note, fence } = proveByLock(token);
      const session = () => connect({ max: 1, idle_timeout: 0, max_lifetime: null });
      const keeper = session();
      const worker = session();
      const lock = ({ classId, objectId }: typeof token) =>
        `SELECT pg_advisory_lock(${classId}, ${objectId})`;
      const passes = () =>
        worker.unsafe(fence).then(
          () => true,
          (error) => String(error.message).replace(/.*(the turn is lost).*/, '$1'),
        );

      await keeper.unsafe(lock(token));
      expect(await passes()).toBe(true);
      await worker.unsafe(`${lock(guard)}; ${note}`);
      await keeper.end();
      // The server takes a moment to close it.
      await sleep(200);
      expect(await passes()).toBe(true);
      await worker.unsafe('SELECT pg_advisory_unlock_all()');
      expect(await passes()).toBe('the turn is lost');
      await worker.unsafe(lock(guard));
      expect(await passes()).toBe('the turn is lost');
      await worker.unsafe(note);
      expect(await passes()).toBe('the turn is lost');
    }),
  );
});
