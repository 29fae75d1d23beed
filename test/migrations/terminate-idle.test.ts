import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { openClient } from '../helpers/clients.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = { '1_t.sql': 'CREATE TABLE t (id int);', '2_alter.sql': 'ALTER TABLE t ADD note text;' };

async function migrateEnding(project: Project, seconds: number, target = project.target) {
  const events: MigrationEvent[] = [];
  const { migrate } = await import('../../src/migrations/migrate.ts');
  const settings = {
    ...project.settings,
    terminateIdleBlockers: '1s',
    lockDeadlineSeconds: seconds,
    onProgress: (event: MigrationEvent) => void events.push(event),
  };
  const outcome = await project
    .open((database) => migrate(database, settings), target)
    .then(
      () => 'applied',
      (error) => error.details?.sqlstate ?? error.message,
    );
  const ended = events.flatMap((event) => (event.type === 'terminated' ? [event.blocker.pid] : []));
  return { outcome, ended, events };
}

describe('idle sessions in the way', () => {
  it(
    'are ended once they sit there long enough, and whoever waits for them is left alone',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const idle = await openClient(project, 'shop');
      await idle.begin('SELECT FROM t');
      const aborted = await openClient(project, 'aborted');
      await aborted.sql.unsafe('BEGIN; SELECT FROM t; SAVEPOINT s');
      await aborted.sql.unsafe('SELECT 1/0').catch(() => {});
      const bystander = await openClient(project, 'bystander');
      await bystander.begin('SELECT 1');
      const queued = await openClient(project, 'queued');
      const { running } = await queued.begin('ALTER TABLE t ADD other text');
      // It has to wait for the one in the queue as well.
      void running.then(() => queued.sql`COMMIT`);
      await sleep(300);

      const { outcome, ended } = await migrateEnding(project, 20);

      expect(outcome).toBe('applied');
      expect(ended.sort()).toEqual([idle.pid, aborted.pid].sort());
      expect(await Promise.all([idle, aborted, bystander, queued].map((client) => client.lives()))).toEqual([
        false,
        false,
        true,
        true,
      ]);
    }),
  );

  it(
    'are not ended while they are young, work, or are ours',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const works = await openClient(project, 'works');
      await works.begin('SELECT pg_sleep(6) FROM (SELECT count(*) FROM t) AS counted');
      const ours = await openClient(project, 'eduschema migration');
      await ours.begin('SELECT FROM t');
      const young = await openClient(project, 'young');
      await young.begin('SELECT FROM t');
      const alive = setInterval(() => void young.sql`SELECT 1`.catch(() => {}), 300);

      const { outcome, ended } = await migrateEnding(project, 3);
      clearInterval(alive);

      expect([outcome, ended]).toEqual(['55P03', []]);
      expect(await Promise.all([works, ours, young].map((client) => client.lives()))).toEqual([
        true,
        true,
        true,
      ]);
    }),
  );

  it(
    'are not ended without the rights for it, which is said once',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const deployer = await project.createUser();
      const clerk = await project.createUser();
      await project.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${deployer.name}; ALTER TABLE t OWNER TO ${deployer.name};
         GRANT SELECT ON t TO ${clerk.name}; ALTER TABLE schema_versions OWNER TO ${deployer.name}`,
      );
      const clerks = project.connect({ max: 1, user: clerk.name, password: clerk.password });
      const idle = await openClient(project, 'shop', clerks);
      await idle.begin('SELECT FROM t');
      await sleep(1000);
      const reasons = (events: MigrationEvent[]) =>
        events.flatMap((event) => (event.type === 'not-terminated' ? [event.reason] : []));

      const blind = await migrateEnding(project, 2, deployer.target);
      await project.sql.unsafe(`GRANT pg_read_all_stats TO ${deployer.name}`);
      const powerless = await migrateEnding(project, 2, deployer.target);
      expect(await idle.lives()).toBe(true);
      await project.sql.unsafe(`GRANT pg_signal_backend TO ${deployer.name}`);
      const powerful = await migrateEnding(project, 10, deployer.target);

      expect(reasons(blind.events)).toEqual([expect.stringContaining('pg_read_all_stats')]);
      expect(reasons(powerless.events)).toEqual([expect.stringContaining('pg_signal_backend')]);
      expect([blind.outcome, powerless.outcome]).toEqual(['55P03', '55P03']);
      expect([powerful.outcome, powerful.ended]).toEqual(['applied', [idle.pid]]);
    }),
  );

  it(
    'of a superuser are ended by a superuser alone',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const deployer = await project.createUser('IN ROLE pg_signal_backend, pg_read_all_stats');
      await project.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${deployer.name}; ALTER TABLE t OWNER TO ${deployer.name};
         ALTER TABLE schema_versions OWNER TO ${deployer.name}`,
      );
      const idle = await openClient(project, 'admin');
      await idle.begin('SELECT FROM t');
      await sleep(1100);

      const { outcome, ended } = await migrateEnding(project, 2, deployer.target);

      expect([outcome, ended, await idle.lives()]).toEqual(['55P03', [], true]);
    }),
  );
});
