import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { eduschema, type Outcome } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';

/** A table of logs with two months that are long over, `logs_2024_01` and `logs_2024_02`, and one that never ends. */
export interface OldLogs extends TestDatabase {
  readonly folder: string;
  /** Where archives go. */
  readonly archives: string;
  /** Runs a command line on the database. */
  run(line: string, more?: { answer?: string; cwd?: string }): Promise<Outcome>;
  /** `partitions retain logs --keep 24mo --yes`, with an archive, and more. */
  retain(more?: string): Promise<Outcome>;
  /** Count and checksum of all rows, wherever they are: in the table, and in those that were partitions of it. */
  control(): Promise<{ rows: number; sum: string }>;
  /** The folder of a month's archive. */
  archiveOf(partition: string): string;
}

export interface LogOptions {
  readonly withDefault?: boolean;
  readonly withReference?: boolean;
}

const rowsOf = (from: string) => `
  SELECT n, 1 + n % 7, E'a\\tb\\\\c\\nd \\r "' || n || '" 교육', (n % 100) / 3.0, '\\x00ff'::bytea, timestamptz '${from}' + n * interval '1 hour'
  FROM generate_series(1, 500) n`;

/** Makes a test over such a table; months begin in Seoul. */
export function withOldLogs(
  use: (logs: OldLogs) => Promise<void>,
  { withDefault = false, withReference = true }: LogOptions = {},
): () => Promise<void> {
  return withDatabase((database) =>
    withFolder({}, async (folder) => {
      const { sql, url, name } = database;
      await sql.unsafe(`
        CREATE TABLE materials (id int PRIMARY KEY);
        INSERT INTO materials SELECT generate_series(1, 7);
        CREATE TABLE logs (id bigint, material_id int ${withReference ? 'REFERENCES materials ON DELETE CASCADE' : ''}, note text,
          amount float8 CHECK (amount >= 0), raw bytea, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE INDEX logs_material ON logs (material_id, at);
        CREATE TABLE logs_2024_01 PARTITION OF logs FOR VALUES FROM ('2024-01-01+09') TO ('2024-02-01+09');
        CREATE TABLE logs_2024_02 PARTITION OF logs FOR VALUES FROM ('2024-02-01+09') TO ('2024-03-01+09');
        CREATE TABLE logs_now PARTITION OF logs FOR VALUES FROM ('2024-03-01+09') TO (MAXVALUE);
        ${withDefault ? 'CREATE TABLE logs_default PARTITION OF logs DEFAULT;' : ''}
        INSERT INTO logs ${rowsOf('2024-01-01 00:00+09')};
        INSERT INTO logs ${rowsOf('2024-02-01 00:00+09')};
        INSERT INTO logs ${rowsOf('2026-01-01 00:00+09')};`);
      const archives = join(folder, 'archives');
      mkdirSync(archives);
      const run = (line: string, more = {}) =>
        eduschema(line, { cwd: folder, env: { DATABASE_URL: url }, ...more });
      await use({
        ...database,
        folder,
        archives,
        run,
        retain: (more = '') => run(`partitions retain logs --keep 24mo --archive archives --yes ${more}`),
        archiveOf: (partition) => join(archives, name, `public.${partition}`),
        async control() {
          const tables = await sql<{ name: string }[]>`
            SELECT relname AS name FROM pg_class WHERE relname LIKE 'logs%' AND relkind = 'r'`;
          const all = tables.map((table) => `SELECT * FROM ${table.name}`).join(' UNION ALL ');
          const [found] = await sql.unsafe<[{ rows: number; sum: string }]>(
            `SELECT count(*)::int AS rows, sum(hashtextextended((id, material_id, note, amount, raw, at)::text, 0))::text AS sum FROM (${all}) l`,
          );
          return found;
        },
      });
    }),
  );
}

/** The rows of an outcome, by partition: its state and what was done. */
export function states(outcome: Outcome): Record<string, unknown> {
  return Object.fromEntries(
    outcome.json().rows.map((row) => [row.partition, [row.state, ...(row.did as string[])].join(' ')]),
  );
}

/** Partitions of logs, by name. */
export async function partitionsOf({ sql }: Pick<OldLogs, 'sql'>, table = 'logs'): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = ${table}::regclass ORDER BY 1`;
  return rows.map(({ name }) => name);
}

/** Expects that the command ended well, and shows what it said when not. */
export function expectDone(outcome: Outcome): Outcome {
  expect(outcome.stderr + outcome.stdout, 'output').not.toMatch(/hint:/);
  expect(outcome.exitCode, outcome.stderr + outcome.stdout).toBe(0);
  return outcome;
}
