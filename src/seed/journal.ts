import type { Sql, TransactionSql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { toolVersion } from '../tool-version.ts';
import type { Values } from './parameter.ts';

/** A run of a seed, as it is recorded. */
export interface SeedRun {
  readonly seed: string;
  /** 1 for the first, one more for each `--append`. */
  readonly run: number;
  /** `planned`: keys are reserved, no row is there. `loaded`: all rows are there. `done`: and statistics are fresh. */
  readonly state: 'planned' | 'loaded' | 'done';
  readonly seedNumber: number | null;
  readonly asOf: number | null;
  readonly values: Values;
  readonly parts: readonly SeedPart[];
  /** Of an SQL or code seed: SHA-256 of its file. */
  readonly fileChecksum: string | null;
  readonly seededAt: string | null;
}

/** A table in a run. Keys are text, as JSON has no numbers of 64 bits. */
export interface SeedPart extends QualifiedName {
  readonly kind: 'table' | 'lookup';
  /** As the seed calls it. */
  readonly table: string;
  readonly key: string | null;
  readonly firstRow: number;
  /** How many numbers; `rows` is how many rows were written. */
  readonly numbers: number;
  readonly firstKey: string | null;
  readonly rows: number | null;
  readonly checksum: string | null;
  /** Keys of entries of a list that were added. */
  readonly added: readonly string[];
  /** Of a table without a key: a column that holds keys of another table of the seed. */
  readonly tiedTo: { readonly column: string; readonly table: string } | null;
}

/** All runs in their order, those of the seed that ran first before those of others. Empty when nothing was ever seeded. */
export async function readRuns(sql: Pick<Sql, 'unsafe'>, journal: QualifiedName): Promise<SeedRun[]> {
  const [found] = await sql.unsafe(
    `SELECT to_regclass(${quoteLiteral(quoteName(journal))}) IS NOT NULL AS there`,
  );
  if (!found?.there) return [];
  return sql.unsafe<SeedRun[]>(`
    SELECT seed, run, state, seed_number::float8 AS "seedNumber", extract(epoch from as_of)::float8 * 1000 AS "asOf",
           settings AS "values", parts, file_checksum AS "fileChecksum",
           to_char(seeded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "seededAt"
    FROM ${quoteName(journal)} ORDER BY min(seeded_at) OVER (PARTITION BY seed), seed, run`);
}

/** SQL that makes the journal where it is missing. */
export function createJournal(journal: QualifiedName): string {
  return `
    CREATE TABLE IF NOT EXISTS ${quoteName(journal)} (
      seed          text NOT NULL,
      run           integer NOT NULL,
      state         text NOT NULL CHECK (state IN ('planned', 'loaded', 'done')),
      seed_number   bigint,
      as_of         timestamptz,
      settings      jsonb NOT NULL DEFAULT '{}',
      parts         jsonb NOT NULL DEFAULT '[]',
      file_checksum text,
      seeded_at     timestamptz NOT NULL DEFAULT current_timestamp,
      seeded_by     text NOT NULL DEFAULT session_user,
      tool_version  text,
      PRIMARY KEY (seed, run)
    )`;
}

/** Records a run, in the place of one of the same number. */
export async function writeRun(
  sql: TransactionSql,
  journal: QualifiedName,
  run: Omit<SeedRun, 'seededAt'>,
): Promise<void> {
  await sql.unsafe(
    `INSERT INTO ${quoteName(journal)} (seed, run, state, seed_number, as_of, settings, parts, file_checksum, tool_version)
     VALUES ($1, $2::int, $3, $4::text::bigint, to_timestamp($5::text::float8 / 1000), $6::text::jsonb, $7::text::jsonb, $8, $9)
     ON CONFLICT (seed, run) DO UPDATE
       SET state = excluded.state, seed_number = excluded.seed_number, as_of = excluded.as_of, settings = excluded.settings,
           parts = excluded.parts, file_checksum = excluded.file_checksum, seeded_at = current_timestamp,
           seeded_by = session_user, tool_version = excluded.tool_version`,
    [
      run.seed,
      run.run,
      run.state,
      run.seedNumber === null ? null : String(run.seedNumber),
      run.asOf === null ? null : String(run.asOf),
      JSON.stringify(run.values),
      JSON.stringify(run.parts),
      run.fileChecksum,
      toolVersion,
    ],
  );
}

/** Takes runs of a seed out of the journal: those from `from` on. */
export async function removeRuns(
  sql: TransactionSql,
  journal: QualifiedName,
  seed: string,
  from = 1,
): Promise<void> {
  await sql.unsafe(`DELETE FROM ${quoteName(journal)} WHERE seed = $1 AND run >= $2::int`, [seed, from]);
}
