import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = {
  '1_t.sql': 'CREATE TABLE t (id int);',
  '2_alter.sql': 'CREATE TABLE before_it (id int); ALTER TABLE t ADD note text;',
};

/** Reads the table in a transaction that stays open until `release` is called. */
async function holdTable({ connect }: Project): Promise<{ release: () => Promise<void> }> {
  const sql: Sql = connect({ max: 1, connection: { application_name: 'shop' } });
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const started = deferred();
  const ended = sql.begin(async (transaction) => {
    await transaction`SELECT count(*) FROM t`;
    started.resolve();
    await held;
  });
  await started.promise;
  return {
    async release() {
      release();
      await ended;
    },
  };
}

function deferred() {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('a migration that needs a lock', () => {
  it(
    'tries again until it gets it, names who is in the way, and lets others through in between',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const { release } = await holdTable(project);
      const events: MigrationEvent[] = [];

      const migrating = project.migrate({}, { onProgress: (event) => events.push(event) });
      await sleep(900);
      // Behind an ALTER TABLE that waits without a limit, this would never be answered.
      await project.sql`SELECT count(*) FROM t`;
      await release();

      expect((await migrating).done.map(({ version }) => version)).toEqual(['2']);
      expect(events.filter(({ type }) => type === 'retrying').length).toBeGreaterThan(0);
      expect(events).toContainEqual({
        type: 'blocked',
        blockers: [expect.objectContaining({ application: 'shop', state: 'idle in transaction' })],
      });
    }),
  );

  it(
    'gives up at the deadline: nothing of it stays, and the error names who is in the way',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const { release } = await holdTable(project);

      const { exitCode, stderr } = await eduschema('migrate --lock-deadline 1', {
        cwd: project.folder,
        env: { DATABASE_URL: project.url },
      });
      await release();

      expect(exitCode).toBe(2);
      expect(stderr).toMatch(
        /waiting for a lock: pid \d+ \(shop, user \w+, idle in transaction, for \d+ s, holds ACCESS SHARE on t\): SELECT count/,
      );
      expect(stderr).toMatch(
        /migration 2_alter failed at line 1 of migrations\/2_alter\.sql \(55P03\)\n {2}in the way: pid \d+ \(shop/,
      );
      expect(stderr).toContain('--lock-deadline');
      expect(await project.sql`SELECT to_regclass('before_it') AS none`).toEqual([{ none: null }]);
      expect(await project.versions()).toEqual(['1']);
    }),
  );

  it(
    'in a single transaction tries all of them again',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int);',
        '2_a.sql': 'CREATE TABLE a (id int);',
        '3_alter.sql': 'ALTER TABLE t ADD note text;',
      },
      async (project) => {
        await project.migrate({ to: '1' });
        const { release } = await holdTable(project);

        const migrating = project.migrate({ singleTransaction: true });
        await sleep(600);
        await release();

        expect((await migrating).done.map(({ version }) => version)).toEqual(['2', '3']);
        expect(await project.versions()).toEqual(['1', '2', '3']);
      },
    ),
  );

  it(
    'chosen to end a deadlock, is tried again',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int); CREATE TABLE u (id int);',
        '2_both.sql':
          "SET LOCAL lock_timeout = 0; SET LOCAL deadlock_timeout = '100ms'; LOCK t; SELECT pg_sleep(0.5); LOCK u;",
      },
      async (project) => {
        await project.migrate({ to: '1' });
        const other = project.connect({ max: 1 }).begin(async (sql) => {
          await sql`SET LOCAL deadlock_timeout = '1min'`;
          await sql`LOCK u`;
          await sleep(300);
          await sql`LOCK t`;
        });

        const [{ done }] = await Promise.all([project.migrate(), other]);

        expect(done.map(({ version }) => version)).toEqual(['2']);
      },
    ),
  );
});
