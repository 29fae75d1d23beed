import type { Sql } from 'postgres';
import { type StartedProcess, startProcess, until } from './process.ts';
import type { Project } from './project.ts';

/** A process of the built command line in the project's folder, with a lease of two seconds behind a pooler. */
export function startRunner(
  { folder }: Pick<Project, 'folder'>,
  url: string,
  line = 'migrate',
): StartedProcess {
  return startProcess(line, folder, { DATABASE_URL: url, EDUSCHEMA_LEASE: '2' });
}

/** Migrations 1 to `count` + 1 that count how often they are run, in a table that has no key. */
export function counting(count: number, seconds = 0.02): Record<string, string> {
  const files = Array.from({ length: count }, (_, index): [string, string] => [
    `${index + 2}_count.sql`,
    `INSERT INTO runs VALUES (${index + 2}); SELECT pg_sleep(${seconds});`,
  ]);
  return { '1_runs.sql': 'CREATE TABLE runs (n int);', ...Object.fromEntries(files) };
}

/** What the migrations of `counting` have counted. */
export async function runsOf({ sql }: { readonly sql: Sql }): Promise<number[]> {
  return (await sql<{ n: number }[]>`SELECT n FROM runs ORDER BY n`).map(({ n }) => n);
}

/** `from` to `to`. */
export const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** The sessions in which a migration sleeps. */
export const sleepers = ({ sql }: { readonly sql: Sql }) => sql<{ pid: number }[]>`
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'active' AND query ~ 'pg_sleep' AND pid <> pg_backend_pid()`;

/** Waits until a migration sleeps. */
export const untilSleeps = (project: { readonly sql: Sql }): Promise<void> =>
  until('a migration sleeps', async () => (await sleepers(project)).length > 0);

/** Waits until a version is recorded. */
export const untilRecorded = ({ versions }: Pick<Project, 'versions'>, version: string): Promise<void> =>
  until(`${version} is recorded`, async () =>
    (await versions().catch(() => [] as string[])).includes(version),
  );
