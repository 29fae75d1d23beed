import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../../src/db/lock-settings.ts';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { openClient } from '../helpers/clients.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withProject } from '../helpers/project.ts';

const table = { '1_t.sql': 'CREATE TABLE t (id int); INSERT INTO t VALUES (1);' };
const concurrently = {
  '2_i.sql': '-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON t (id);\n',
};

/** An index whose build takes seconds, whatever the machine, and shows blocks. */
const slowly = {
  '1_t.sql': `CREATE TABLE t (id int);
    INSERT INTO t SELECT * FROM generate_series(1, 3000);
    CREATE FUNCTION slowly(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.001); RETURN i; END $$;`,
  '2_i.sql': 'CREATE INDEX i ON t (slowly(id));',
};

const progressOf = (events: readonly MigrationEvent[]) =>
  events.filter((event): event is ProgressEvent => event.type === 'progress');

describe('CREATE INDEX CONCURRENTLY', () => {
  it(
    'names the old transaction that it waits for, is not let go, and ends when that does',
    withProject({ ...table, ...concurrently }, async (project) => {
      await project.migrate({ to: '1' });
      const old = await openClient(project, 'report');
      await old.begin('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; INSERT INTO t VALUES (2)');
      const events: MigrationEvent[] = [];

      const migrating = project.migrate({}, { onProgress: (event) => events.push(event) });
      await sleep(1500);
      expect(events.filter(({ type }) => type === 'blocked')).toEqual([]);
      await sleep(2500);
      await old.sql`COMMIT`;
      await migrating;

      expect(events.filter(({ type }) => type === 'blocked')).toEqual([
        {
          type: 'blocked',
          blockers: [expect.objectContaining({ pid: old.pid, root: true, application: 'report' })],
        },
      ]);
      expect(progressOf(events)).toContainEqual(
        expect.objectContaining({
          command: 'CREATE INDEX CONCURRENTLY',
          relation: 't',
          phase: 'waiting for writers before build',
          done: 0,
          total: 1,
          unit: 'transactions',
          waitingFor: [expect.objectContaining({ pid: old.pid })],
        }),
      );
      expect(await project.sql`SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass`).toEqual([
        { indisvalid: true },
      ]);
    }),
  );

  it(
    'is killed by no timeout of the role',
    withProject({ ...table, ...concurrently }, async (project) => {
      const deployer = await project.createUser();
      await project.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${deployer.name};
         ALTER ROLE ${deployer.name} SET statement_timeout = '100ms';
         ALTER ROLE ${deployer.name} SET lock_timeout = '50ms'`,
      );
      const { migrate } = await import('../../src/migrations/migrate.ts');
      await project.open((database) => migrate(database, project.settings, { to: '1' }), deployer.target);
      const old = await openClient(project, 'report');
      await old.begin('INSERT INTO t VALUES (2)');

      const migrating = project.open((database) => migrate(database, project.settings), deployer.target);
      await sleep(1000);
      await old.sql`COMMIT`;
      await migrating;

      expect(await project.versions()).toEqual(['1', '2']);
      expect(await project.sql`SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass`).toEqual([
        { indisvalid: true },
      ]);
    }),
  );

  it(
    'does not wait for the session that looks at it',
    withProject(
      {
        ...slowly,
        '2_i.sql': '-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON t (slowly(id));\n',
      },
      async (project) => {
        const events: MigrationEvent[] = [];

        await project.migrate({}, { onProgress: (event) => events.push(event) });

        expect(progressOf(events).length).toBeGreaterThan(2);
        expect(events.filter(({ type }) => type === 'blocked')).toEqual([]);
        expect(progressOf(events).flatMap(({ waitingFor }) => waitingFor)).toEqual([]);
      },
    ),
  );
});

describe('a statement that takes seconds', () => {
  it(
    'tells how far it is, also under a role that may not see the session',
    withProject(slowly, async (project) => {
      const deployer = await project.createUser();
      const owner = await project.createUser();
      await project.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${owner.name}; GRANT ${owner.name} TO ${deployer.name}`,
      );
      const events: MigrationEvent[] = [];
      const { migrate } = await import('../../src/migrations/migrate.ts');
      const { withDatabase } = await import('../../src/db/connect.ts');

      await withDatabase(deployer.target, { role: owner.name }, (database) =>
        migrate(database, {
          ...project.settings,
          role: owner.name,
          onProgress: (event) => events.push(event),
        }),
      );

      const told = progressOf(events);
      expect(told.length).toBeGreaterThanOrEqual(2);
      expect(told).toContainEqual({
        type: 'progress',
        command: 'CREATE INDEX',
        relation: 't',
        phase: 'building index: scanning table',
        done: expect.any(Number),
        total: 14,
        unit: 'blocks',
        percent: expect.any(Number),
        ratePerSecond: expect.any(Number),
        secondsLeft: expect.any(Number),
        seconds: expect.any(Number),
        waitingFor: [],
      });
      expect(told.at(-1)?.percent).toBeGreaterThan(told[0]?.percent ?? 100);
    }),
  );

  it(
    'tells it of COPY and VACUUM too',
    withProject(
      {
        '1_t.sql': slowly['1_t.sql'],
        '2_copy.sql': `CREATE TABLE c (id int CHECK (slowly(id) > 0));\nCOPY c FROM stdin;\n${Array.from({ length: 3000 }, (_, i) => `${i + 1}\n`).join('')}\\.\n`,
        '3_vacuum.sql':
          "-- migrate:up transaction:false\nSET vacuum_cost_delay = '100ms';\nSET vacuum_cost_limit = 5;\nVACUUM (FREEZE) t;\n",
      },
      async (project) => {
        const events: MigrationEvent[] = [];

        await project.migrate({}, { onProgress: (event) => events.push(event) });

        const told = progressOf(events);
        expect(told).toContainEqual(
          expect.objectContaining({
            command: 'COPY FROM',
            done: expect.any(Number),
            total: null,
            unit: 'rows',
          }),
        );
        expect(told).toContainEqual(
          expect.objectContaining({
            command: 'VACUUM',
            relation: 't',
            phase: 'scanning heap',
            total: 14,
            unit: 'blocks',
          }),
        );
      },
    ),
  );

  it(
    'is told of also when the server counts nothing, as JSON lines on stderr with --json, and not with --quiet',
    withProject(
      {
        '1_slow.sql': 'SELECT pg_sleep(2.5);',
        '2_notice.sql': "DO $$ BEGIN RAISE WARNING 'password=geheim'; END $$;",
      },
      async ({ folder: cwd, url }) => {
        const surroundings = { cwd, env: { DATABASE_URL: url } };

        const { stderr, json } = await eduschema('migrate --json', surroundings);
        const quiet = await eduschema('rollback --json --quiet --all --dry-run', surroundings);

        const lines = stderr
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        expect(json()).toMatchObject({ ok: true, summary: { applied: 2 } });
        expect(lines[0]).toEqual({ event: 'started', name: '1_slow', index: 0, total: 2 });
        expect(lines).toContainEqual(
          expect.objectContaining({
            event: 'progress',
            command: null,
            percent: null,
            seconds: expect.any(Number),
          }),
        );
        expect(lines).toContainEqual({ event: 'done', name: '1_slow', durationMs: expect.any(Number) });
        expect(lines).toContainEqual({ event: 'notice', severity: 'WARNING', message: 'password=***' });
        expect(quiet.stderr).toBe('');
      },
    ),
  );
});
