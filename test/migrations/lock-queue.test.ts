import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EduschemaError } from '../../src/errors.ts';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { openClient } from '../helpers/clients.ts';
import { type Project, withProject } from '../helpers/project.ts';

/** The server's own lock_timeout is off in it: only we can end the wait. */
const files = {
  '1_t.sql': 'CREATE TABLE t (id int);',
  '2_alter.sql': 'CREATE TABLE before_it (id int); SET LOCAL lock_timeout = 0; ALTER TABLE t ADD note text;',
};

/** Readers that ask again and again until `stop`, which returns the longest time that one waited, in milliseconds. */
function startReaders({ connect }: Project, count: number): { stop(): Promise<number> } {
  let stopped = false;
  let longest = 0;
  const reading = Array.from({ length: count }, async () => {
    const sql = connect({ max: 1, connection: { application_name: 'reader' } });
    while (!stopped) {
      const started = performance.now();
      await sql`SELECT count(*) FROM t`;
      longest = Math.max(longest, performance.now() - started);
      await sleep(20);
    }
  });
  return {
    async stop() {
      stopped = true;
      await Promise.all(reading);
      return longest;
    },
  };
}

const typesOf = (events: readonly MigrationEvent[]) => events.map(({ type }) => type);

describe('a migration behind which sessions queue', () => {
  it(
    'lets go, so that they go on, and succeeds when it can',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const holder = await openClient(project, 'shop');
      await holder.begin('SELECT FROM t');
      const readers = startReaders(project, 6);
      const events: MigrationEvent[] = [];

      const migrating = project.migrate({}, { queueLimit: 3, onProgress: (event) => events.push(event) });
      await sleep(1500);
      await holder.sql`COMMIT`;

      expect((await migrating).done.map(({ version }) => version)).toEqual(['2']);
      expect(await readers.stop()).toBeLessThan(1000);
      const letGo = events.filter((event) => event.type === 'let-go');
      expect(letGo.length).toBeGreaterThan(0);
      for (const { relation, queued } of letGo) {
        expect(relation).toBe('t');
        expect(queued).toBeGreaterThan(3);
      }
      expect(typesOf(events)).toContain('retrying');
    }),
  );

  it(
    'says at the deadline that it let go, and leaves nothing',
    withProject(files, async (project) => {
      await project.migrate({ to: '1' });
      const holder = await openClient(project, 'shop');
      await holder.begin('SELECT FROM t');
      const readers = startReaders(project, 3);

      const failing = project.migrate({}, { queueLimit: 1, lockDeadlineSeconds: 1 });
      const error = await failing.catch((reason) => reason);
      await readers.stop();

      expect(error).toBeInstanceOf(EduschemaError);
      expect(error.details).toMatchObject({ letGo: error.details.attempts, sqlstate: '57014' });
      expect(error.excerpt).toMatch(
        /let go (once|\d+ times), as more than 1 queued behind it \(--queue-limit\)/,
      );
      expect(error.excerpt).toContain('in the way: pid');
      expect(await project.sql`SELECT to_regclass('before_it') AS none`).toEqual([{ none: null }]);
      expect(await project.versions()).toEqual(['1']);
    }),
  );

  it(
    'does not let go of a lock that it has, nor without a limit',
    withProject(
      { '1_t.sql': files['1_t.sql'], '2_slow.sql': 'ALTER TABLE t ADD note text; SELECT pg_sleep(1);' },
      async (project) => {
        await project.migrate({ to: '1' });
        const readers = startReaders(project, 5);
        const events: MigrationEvent[] = [];
        const onProgress = (event: MigrationEvent) => events.push(event);

        await project.migrate({}, { queueLimit: 1, onProgress });
        const holder = await openClient(project, 'shop');
        await holder.begin('SELECT FROM t');
        project.write({ '3_alter.sql': 'SET LOCAL lock_timeout = 0; ALTER TABLE t ADD b text;' });
        const waiting = project.migrate({}, { queueLimit: 0, onProgress });
        await sleep(600);
        await holder.sql`COMMIT`;
        await waiting;
        await readers.stop();

        expect(await project.versions()).toEqual(['1', '2', '3']);
        expect(typesOf(events)).not.toContain('let-go');
      },
    ),
  );
});

describe('a migration whose lock an old transaction holds', () => {
  const plain = { '1_t.sql': files['1_t.sql'], '2_alter.sql': 'ALTER TABLE t ADD note text;' };

  it(
    'waits for that one without queueing, and goes on as soon as it ends',
    withProject(plain, async (project) => {
      await project.migrate({ to: '1' });
      const holder = await openClient(project, 'shop');
      await holder.begin('SELECT FROM t');
      await sleep(1000);
      const events: MigrationEvent[] = [];

      const migrating = project.migrate({}, { onProgress: (event) => events.push(event) });
      await sleep(3000);
      await holder.sql`COMMIT`;
      const released = performance.now();
      await migrating;

      expect(performance.now() - released).toBeLessThan(4500);
      expect(events).toContainEqual({
        type: 'holding-off',
        relation: 't',
        holderSeconds: expect.any(Number),
      });
      const attempts = events.filter(({ type }) => type === 'retrying').length;
      expect(attempts).toBeLessThan(5);
    }),
  );

  it(
    'tries all the same when there always is one, and stops at the deadline',
    withProject(plain, async (project) => {
      await project.migrate({ to: '1' });
      const holder = await openClient(project, 'shop');
      await holder.begin('SELECT FROM t');
      await sleep(1000);
      const started = performance.now();

      const error = await project.migrate({}, { lockDeadlineSeconds: 4 }).catch((reason) => reason);

      expect(performance.now() - started).toBeLessThan(4500);
      expect(error.details.attempts).toBeGreaterThanOrEqual(2);
      expect(await project.versions()).toEqual(['1']);
    }),
  );

  it(
    'with a deadline of 0 tries once',
    withProject(plain, async (project) => {
      await project.migrate({ to: '1' });
      const holder = await openClient(project, 'shop');
      await holder.begin('SELECT FROM t');

      const error = await project.migrate({}, { lockDeadlineSeconds: 0 }).catch((reason) => reason);

      expect(error.details).toMatchObject({ attempts: 1, letGo: 0, sqlstate: '55P03' });
      expect(error.details.blockers).toMatchObject([{ application: 'shop', lockMode: 'AccessShareLock' }]);
    }),
  );
});
