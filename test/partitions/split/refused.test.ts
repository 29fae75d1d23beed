import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { startServer } from '../../../src/testing.ts';
import { openClient } from '../../helpers/clients.ts';
import { targetOf, withDatabase } from '../../helpers/database.ts';
import { withFolder } from '../../helpers/folder.ts';
import { mountDisk } from '../../helpers/small-disk.ts';
import { differences, makeLibrary, splitLogs } from './library.ts';

const year = { unit: 'year' } as const;

describe('a split that is refused what it needs', () => {
  it(
    'waits for transactions that would find nothing in the new table, names them, and goes on when they are at their end',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 2000);
      await test.sql`CREATE TABLE control AS TABLE logs`;
      const report = await openClient(test, 'yearly report');
      // Its snapshot is taken, and no lock on the logs.
      await report.sql.unsafe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM readers');

      await expect(splitLogs(test, { lockDeadlineSeconds: 1 }, year)).rejects.toMatchObject({
        code: 'transaction-open',
        message: expect.stringContaining('yearly report'),
      });
      // It still finds all of them.
      expect(await report.sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 2000 }]);
      await report.sql.unsafe('COMMIT');
      await splitLogs(test, {}, year);

      expect(await differences(test.sql)).toEqual([]);
      expect(await report.sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 2000 }]);
    }),
    60_000,
  );

  it(
    'lacks rights on what is referenced, or on the schema: nothing is left behind, and with them a rerun completes',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 2000);
      await test.sql`CREATE TABLE control AS TABLE logs`;
      const keeper = await test.createUser();
      await test.sql.unsafe(`
        ALTER TABLE logs OWNER TO ${keeper.name};
        ALTER VIEW recent OWNER TO ${keeper.name};
        GRANT REFERENCES, UPDATE ON materials TO ${keeper.name};
        GRANT REFERENCES ON readers TO ${keeper.name};
        REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
      const tables = () => test.sql`
        SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`;
      const before = await tables();

      await expect(splitLogs(keeper, {}, year)).rejects.toMatchObject({
        code: 'table-unsuitable',
        excerpt: expect.stringMatching(
          /lacks UPDATE on public\.readers.*\n +GRANT UPDATE ON "public"\."readers" TO/,
        ),
      });
      await test.sql.unsafe(
        `GRANT UPDATE ON readers TO ${keeper.name}; ALTER STATISTICS logs_stats OWNER TO ${keeper.name}`,
      );
      await expect(splitLogs(keeper, {}, year)).rejects.toMatchObject({
        code: 'permission-denied',
        message: expect.stringContaining('make public.logs_eduschema'),
      });
      expect(await tables()).toEqual(before);
      await test.sql.unsafe(`GRANT CREATE ON SCHEMA public TO ${keeper.name}`);
      await splitLogs(keeper, {}, year);

      expect(await differences(test.sql)).toEqual([]);
    }),
    60_000,
  );

  it('meets a full disk while it copies: the table is as it was, and with more room a rerun completes', async () => {
    await withFolder({}, async (folder) => {
      // A server of its own: with its disk its next checkpoint fails, too.
      const server = await startServer();
      const admin = postgres(server.url, { max: 1, onnotice: () => {} });
      const disk = await mountDisk(admin, folder, '200m');
      const name = `full_split_${process.pid}`;
      const { href } = Object.assign(new URL(server.url), { pathname: `/${name}` });
      try {
        if (!disk) return;
        await admin.unsafe(`CREATE TABLESPACE ${name} LOCATION '${disk.place}'`);
        await admin.unsafe(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' TABLESPACE ${name}`);
        const sql = postgres(href, { max: 1, onnotice: () => {} });
        const test = { target: targetOf(href) };
        await makeLibrary(sql, 60_000);
        await sql`CREATE TABLE control AS TABLE logs`;
        await sql.unsafe('CHECKPOINT');
        disk.resize(disk.used() + 3_000_000);

        await expect(splitLogs(test, {}, year)).rejects.toMatchObject({
          code: 'database-error',
          details: { sqlstate: '53100' },
        });
        expect(await sql`SELECT relkind FROM pg_class WHERE relname = 'logs'`).toEqual([{ relkind: 'r' }]);
        expect(await differences(sql)).toEqual([]);
        disk.resize('200m');
        await splitLogs(test, {}, year);

        expect(await differences(sql)).toEqual([]);
        expect(await sql`SELECT relkind FROM pg_class WHERE relname = 'logs'`).toEqual([{ relkind: 'p' }]);
        await sql.end();
      } finally {
        await admin.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
        await admin.unsafe(`DROP TABLESPACE IF EXISTS ${name}`);
        await admin.end();
        await server.stop();
        disk?.remove();
      }
    });
  }, 120_000);
});
