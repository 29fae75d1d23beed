import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import { type MigrateOptions, migrate } from '../../src/migrations/migrate.ts';
import { withProject } from '../helpers/project.ts';

const files = {
  '1_one.sql': 'CREATE TABLE one (id int);',
  '2_slow.sql': 'CREATE TABLE slow (id int); SELECT pg_sleep(1.5);',
  '3_three.sql': 'CREATE TABLE three (id int);',
};

/** Ends sessions of the database once a migration sleeps in one of them. */
async function endSessions(sql: Sql, which: 'PgSleep' | 'ClientRead'): Promise<void> {
  for (;;) {
    await sleep(30);
    const [busy] =
      await sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
    if (busy) break;
  }
  await sql`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'eduschema%' AND wait_event = ${which}`;
}

/** A way to the server on which the connection can be reset, and breaks `at` what a client sends. */
async function openResettable(to: URL, at?: { text: string; arrives: boolean; for?: string }) {
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const upstream = connectTcp(Number(to.port), to.hostname);
    sockets.push(client);
    let isIt = at?.for === undefined;
    client.on('data', (chunk) => {
      isIt ||= chunk.includes(at?.for ?? '');
      const breaks = at !== undefined && isIt && chunk.includes(at.text);
      if (!breaks || at.arrives) upstream.write(chunk);
      if (!breaks) return;
      client.resetAndDestroy();
      // The server reads to the end what it was sent.
      if (!at.arrives) upstream.destroy();
    });
    client.on('close', () => upstream.end());
    upstream.pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => {});
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.address() as AddressInfo).port,
    reset: () => sockets.map((socket) => socket.resetAndDestroy()),
    close: () => server.close(),
  };
}

describe('a connection that breaks', () => {
  it(
    'refuses what was sent in between as well, rather than let it wait for ever',
    withProject({}, async ({ open, target }) => {
      const { host, port: direct } = target.hosts[0] as { host: string; port: number };
      const way = await openResettable(new URL(`postgres://${host}:${direct}`));
      const hosts = [{ host: '127.0.0.1', port: way.port }];
      await open(
        async ({ sql }) => {
          const failed: string[] = [];
          const slow = sql`SELECT pg_sleep(20)`.catch(async () => {
            failed.push('the first');
            await sql`SELECT 1`.catch(() => failed.push('the second'));
            await sql`SELECT 1`.catch(() => failed.push('the third'));
          });
          await sleep(100);
          way.reset();
          await slow;
          expect(failed).toEqual(['the first', 'the second', 'the third']);
        },
        { ...target, hosts },
      );
      way.close();
    }),
  );

  it(
    'in the session of the migration: nothing of it stays, and a rerun goes on',
    withProject(files, async ({ migrate, sql, versions }) => {
      const ended = endSessions(sql, 'PgSleep');

      await expect(migrate()).rejects.toMatchObject({
        code: 'migration-failed',
        details: { sqlstate: '57P01' },
      });
      await ended;
      expect(await versions()).toEqual(['1']);
      expect(await sql`SELECT to_regclass('slow') AS slow`).toEqual([{ slow: null }]);

      await migrate();
      expect(await versions()).toEqual(['1', '2', '3']);
    }),
  );

  it.each([
    [
      'a TypeScript migration',
      { '2_slow.ts': 'export const up = (sql: any) => sql`SELECT pg_sleep(1.5)`;' },
      {},
    ],
    ['a single transaction', { '2_slow.sql': files['2_slow.sql'] }, { singleTransaction: true }],
  ])('in %s: nothing of it stays, and a rerun goes on', (_, slow, options) =>
    withProject(
      { '1_one.sql': files['1_one.sql'], ...(slow as Record<string, string>) },
      async ({ migrate, sql, versions }) => {
        const ended = endSessions(sql, 'PgSleep');

        await expect(migrate(options)).rejects.toMatchObject({
          code: 'migration-failed',
          details: { reason: expect.stringMatching(/terminating connection|CONNECTION_CLOSED/) },
        });
        await ended;

        await migrate();
        expect(await versions()).toEqual(['1', '2']);
      },
    )(),
  );

  it(
    'in the session that holds the lock: the migration under way is finished, no other is begun',
    withProject(files, async ({ migrate, sql, versions }) => {
      const ended = endSessions(sql, 'ClientRead');

      await expect(migrate()).rejects.toMatchObject({
        code: 'connection-failed',
        message: 'the session that keeps other runners out was ended by the server',
      });
      await ended;
      expect(await versions()).toEqual(['1', '2']);

      await migrate();
      expect(await versions()).toEqual(['1', '2', '3']);
    }),
  );

  it(
    'while data is copied',
    withProject(
      {
        '1_copy.sql': `CREATE TABLE t (id int);\nCREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;\nCREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();\nCOPY t FROM stdin;\n${'1\n'.repeat(100)}\\.\n`,
      },
      async ({ migrate, sql }) => {
        const ended = endSessions(sql, 'PgSleep');

        await expect(migrate()).rejects.toMatchObject({ code: 'migration-failed' });
        await ended;

        expect(await sql`SELECT to_regclass('t') AS t`).toEqual([{ t: null }]);
      },
    ),
  );

  const slowly = 'CREATE TABLE two (id int); SELECT pg_sleep(0.3);';
  const kinds: [string, Record<string, string>, MigrateOptions][] = [
    ['SQL', { '2_two.sql': slowly }, {}],
    ['TypeScript', { '2_two.ts': 'export const up = (sql: any) => sql`CREATE TABLE two (id int)`;' }, {}],
    ['a single transaction', { '2_two.sql': slowly }, { singleTransaction: true }],
    ['a repeatable migration', { 'repeatable/two.sql': 'CREATE TABLE IF NOT EXISTS two (id int);' }, {}],
  ];
  it.each(
    kinds.flatMap(([kind, files, options]) =>
      [true, false].map((arrives) => ({ kind, files, options, arrives })),
    ),
  )(
    'at the COMMIT of $kind (it arrives: $arrives): says what became of it, and a rerun goes on',
    ({ kind, files, options, arrives }) =>
      withProject({ '1_one.sql': 'CREATE TABLE one (id int);' }, async (project) => {
        const { host, port } = project.target.hosts[0] as { host: string; port: number };
        await project.migrate();
        project.write(files);
        const repeatable = kind.startsWith('a repeatable');
        if (!repeatable) project.write({ '3_three.sql': 'CREATE TABLE three (id int);' });
        // In TypeScript the driver sends it: alone, in small letters.
        const text = kind === 'TypeScript' || options.singleTransaction ? 'commit' : 'COMMIT';
        const way = await openResettable(new URL(`postgres://${host}:${port}`), {
          text,
          arrives,
          for: 'eduschema migration',
        });
        const error = await project
          .open((database) => migrate(database, project.settings, options), {
            ...project.target,
            hosts: [{ host: '127.0.0.1', port: way.port }],
          })
          .catch((thrown) => thrown);
        way.close();

        const steps = options.singleTransaction ? ['2', '3'] : ['2'];
        const what = repeatable ? 'two' : steps.at(-1);
        expect(error.details?.outcome).toBe(
          arrives
            ? `${what} was applied all the same, and is recorded so`
            : `nothing of ${what} was applied; 1 is the current version`,
        );
        if (!repeatable) expect(await project.versions()).toEqual(['1', ...(arrives ? steps : [])]);
        expect(await project.sql`SELECT to_regclass('two')::text AS two`).toEqual([
          { two: arrives ? 'two' : null },
        ]);
        await project.migrate();
        if (!repeatable) expect(await project.versions()).toEqual(['1', '2', '3']);
        expect((await project.status()).counts.pending).toBe(0);
      })(),
  );
});
