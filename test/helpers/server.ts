import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { startThrowawayServer } from '../../src/db/embedded/throwaway-server.ts';
import { renderUrl } from '../../src/db/render-url.ts';
import { packageOf } from '../../src/testdb/test-server.ts';
import { startServer } from '../../src/testing.ts';

/** The server of a test run. */
export interface TestServer {
  /** Of a superuser, in the database `postgres` or the one that was named. */
  readonly url: string;
  /** The database that each test's own is cloned from: empty, UTF-8, and Hangul are letters in it. */
  readonly template: string;
  /** Which server it is, for a person: `PostgreSQL 18.4 (embedded)`. */
  readonly description: string;
}

/** What some tests need. */
const settings = { max_prepared_transactions: '10' };

export interface StartedServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts the server for a test run, or takes the one that TEST_DATABASE_URL names. */
export async function startTestServer(): Promise<TestServer & { stop(): Promise<void> }> {
  const server = await startServer({
    settings,
    onFallback: (reason) => void process.stderr.write(`${reason}\n`),
  });
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  try {
    const template = `eduschema_template_${randomBytes(4).toString('hex')}`;
    const [facts] = await sql<[{ version: string }]>`SELECT current_setting('server_version') AS version`;
    await createTemplate(sql, template);
    return {
      url: server.url,
      template,
      description: `PostgreSQL ${facts.version} (${server.kind})`,
      async stop() {
        if (server.kind === 'TEST_DATABASE_URL') await dropTemplate(server.url, template);
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function createTemplate(sql: postgres.Sql, template: string): Promise<void> {
  const create = `CREATE DATABASE ${template} TEMPLATE template0 ENCODING 'UTF8'`;
  try {
    // The same sorting order on every server that tests meet.
    await sql.unsafe(`${create} LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`);
  } catch {
    await sql.unsafe(create);
  }
}

async function dropTemplate(url: string, template: string): Promise<void> {
  const sql = postgres(url, { max: 1 });
  await sql.unsafe(`DROP DATABASE IF EXISTS ${template}`);
  await sql.end({ timeout: 1 });
}

/** A server of a test's own: another version, or one whose data folder `prepare` changes before the start. */
export async function startEmbedded(
  packageName?: string,
  prepare: (dataFolder: string) => void = () => {},
): Promise<StartedServer> {
  const { target, stop } = await startThrowawayServer({
    projectFolder: process.cwd(),
    packageName: packageName ?? packageOf(process.env.TEST_POSTGRES_VERSION),
    prepare,
    settings,
  });
  return { url: await renderUrl(target, target.database), stop };
}
