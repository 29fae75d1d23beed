import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { checksumAlgorithm } from './checksum.ts';

/** A row of the journal, `schema_versions`. */
export interface JournalRow {
  readonly version: string;
  readonly description: string | null;
  /** ISO 8601 in UTC. */
  readonly appliedAt: string | null;
  /** `migration`: eduschema ran it. `baseline`: recorded without running. `adopted`: the row was there before. */
  readonly kind: 'migration' | 'baseline' | 'adopted';
  readonly checksum: string | null;
  readonly checksumAlgorithm: string | null;
  readonly durationMs: number | null;
  readonly appliedBy: string | null;
  readonly toolVersion: string | null;
}

/** A row of the journal of repeatable migrations, `schema_versions_repeatable`. */
export interface RepeatableRow {
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: string;
}

/** What is recorded in a database, and whether the tables that record it are there. */
export interface Journal {
  readonly name: QualifiedName;
  /** `guide`: a table in the guide's own shape, to be widened before the first write. */
  readonly shape: 'absent' | 'guide' | 'complete';
  readonly hasRepeatable: boolean;
  readonly rows: readonly JournalRow[];
  readonly repeatable: readonly RepeatableRow[];
}

/** How much of each row to read. */
export type JournalDetail = 'plan' | 'whole';

/** The journal of repeatable migrations stands beside the journal. */
export function repeatableJournal({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_repeatable` };
}

const addedColumns: Readonly<Record<string, string>> = {
  applied_at: 'timestamp with time zone DEFAULT CURRENT_TIMESTAMP',
  description: 'text',
  // The default that existing rows take; new rows get another (journalStatements).
  kind: "text NOT NULL DEFAULT 'adopted'",
  checksum: 'text',
  checksum_algorithm: 'text',
  duration_ms: 'bigint',
  applied_by: 'text',
  tool_version: 'text',
};

/**
 * Reads the journal, without creating anything; for a plan, its rows lack who, when and how long.
 * Throws when there is a table of that name which cannot be a journal.
 */
export async function readJournal(
  sql: Sql,
  name: QualifiedName,
  detail: JournalDetail = 'plan',
): Promise<Journal> {
  const columns = await listColumns(sql, name);
  const hasRepeatable = columns.some(({ repeatable }) => repeatable);
  const own = columns.filter(({ repeatable }) => !repeatable);
  if (own.length === 0) return { name, shape: 'absent', hasRepeatable, rows: [], repeatable: [] };
  forbidStrangeTable(name, own);
  const has = new Set(own.map(({ column }) => column));
  const shape = Object.keys(addedColumns).every((column) => has.has(column)) ? 'complete' : 'guide';
  const rows = await listRows(sql, name, has, detail);
  const repeatable = hasRepeatable ? await listRepeatable(sql, name) : [];
  return { name, shape, hasRepeatable, rows, repeatable };
}

interface JournalColumn {
  readonly repeatable: boolean;
  readonly column: string;
  readonly textual: boolean;
  readonly required: boolean;
}

const regclass = (name: QualifiedName) => quoteLiteral(quoteName(name));

function listColumns(sql: Sql, name: QualifiedName): Promise<JournalColumn[]> {
  return sql.unsafe<JournalColumn[]>(`
    SELECT attrelid = to_regclass(${regclass(repeatableJournal(name))}) AS repeatable,
           attname AS "column",
           atttypid IN ('text'::regtype, 'varchar'::regtype) AS textual,
           attnotnull AND NOT atthasdef AND attidentity = '' AS required
    FROM pg_attribute
    WHERE attrelid IN (to_regclass(${regclass(name)}), to_regclass(${regclass(repeatableJournal(name))}))
      AND attnum > 0 AND NOT attisdropped`);
}

function forbidStrangeTable(name: QualifiedName, columns: readonly JournalColumn[]): void {
  const version = columns.find(({ column }) => column === 'version');
  const hint = 'name another table for the journal: journal.table in eduschema.config, or --journal';
  if (!version?.textual) {
    throw new EduschemaError(
      'journal-invalid',
      `${quoteName(name)} is no journal: it has no text column "version"`,
      { hint },
    );
  }
  const extra = columns.find(
    ({ column, required }) => required && column !== 'version' && !(column in addedColumns),
  );
  if (extra)
    throw new EduschemaError(
      'journal-invalid',
      `${quoteName(name)} is no journal: its column "${extra.column}" must have a value`,
      { hint },
    );
}

/** As one JSON text of arrays: a thousand rows are parsed several times faster than as rows of the driver. */
async function listRows(
  sql: Sql,
  name: QualifiedName,
  has: ReadonlySet<string>,
  detail: JournalDetail,
): Promise<JournalRow[]> {
  const column = (of: string, expression = of) => (has.has(of) ? expression : 'NULL');
  const whole = (of: string, expression = of) => (detail === 'whole' ? column(of, expression) : 'NULL');
  const [{ rows } = { rows: '[]' }] = await sql.unsafe<[{ rows: string }]>(`
    SELECT coalesce(json_agg(json_build_array(
             version,
             ${column('description')},
             ${column('kind')},
             ${column('checksum')},
             ${column('checksum_algorithm')},
             ${whole('applied_at', "date_trunc('milliseconds', applied_at AT TIME ZONE 'UTC')")},
             ${whole('duration_ms')},
             ${whole('applied_by')},
             ${whole('tool_version')})), '[]')::text AS rows
    FROM ${quoteName(name)}`);
  return (JSON.parse(rows) as RowAsArray[]).map(toRow);
}

type RowAsArray = [
  version: string,
  description: string | null,
  kind: JournalRow['kind'] | null,
  checksum: string | null,
  checksumAlgorithm: string | null,
  appliedAt: string | null,
  durationMs: number | null,
  appliedBy: string | null,
  toolVersion: string | null,
];

function toRow([
  version,
  description,
  kind,
  checksum,
  checksumAlgorithm,
  appliedAt,
  durationMs,
  appliedBy,
  toolVersion,
]: RowAsArray): JournalRow {
  return {
    version,
    description,
    kind: kind ?? 'adopted',
    checksum,
    checksumAlgorithm,
    appliedAt: appliedAt && `${appliedAt}Z`,
    durationMs,
    appliedBy,
    toolVersion,
  };
}

function listRepeatable(sql: Sql, name: QualifiedName): Promise<RepeatableRow[]> {
  return sql.unsafe<RepeatableRow[]>(`
    SELECT name, checksum, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "appliedAt"
    FROM ${quoteName(repeatableJournal(name))} ORDER BY name`);
}

/**
 * The SQL that makes the journal complete: creates it, or widens a table in the guide's shape and keeps its rows.
 * Empty when nothing is to be done. To be run by one session at a time: IF NOT EXISTS does not protect from a race.
 */
export function journalStatements(journal: Journal, options: { readonly repeatable: boolean }): string[] {
  const table = quoteName(journal.name);
  const statements: string[] = [];
  if (journal.shape === 'absent') {
    if (journal.name.schema !== 'public')
      statements.push(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(journal.name.schema)}`);
    const columns = Object.entries(addedColumns).map(
      ([name, type]) => `  ${name} ${type.replace('adopted', 'migration')}`,
    );
    statements.push(`CREATE TABLE ${table} (\n  version varchar(20) PRIMARY KEY,\n${columns.join(',\n')}\n)`);
    statements.push(`COMMENT ON TABLE ${table} IS 'Journal of migrations, written by eduschema'`);
  } else if (journal.shape === 'guide') {
    const added = Object.entries(addedColumns).map(
      ([name, type]) => `  ADD COLUMN IF NOT EXISTS ${name} ${type}`,
    );
    statements.push(`ALTER TABLE ${table}\n${added.join(',\n')}`);
    statements.push(`ALTER TABLE ${table} ALTER COLUMN kind SET DEFAULT 'migration'`);
  }
  if (options.repeatable && !journal.hasRepeatable) {
    statements.push(`CREATE TABLE ${quoteName(repeatableJournal(journal.name))} (
  name text PRIMARY KEY,
  checksum text NOT NULL,
  checksum_algorithm text NOT NULL,
  applied_at timestamp with time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
  duration_ms bigint,
  applied_by text,
  tool_version text
)`);
  }
  return statements;
}

/** What is recorded of a migration beside its version. */
export interface Recorded {
  readonly checksum: string;
  readonly toolVersion: string;
  /** SQL for the milliseconds it took. */
  readonly durationMs: string;
}

/** Milliseconds since the transaction began, as SQL. */
export const sinceTransactionStart =
  'round(extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000)';

/** The SQL that records a versioned migration. */
export function recordStatement(
  name: QualifiedName,
  migration: { readonly version: string; readonly description: string; readonly kind: JournalRow['kind'] },
  { checksum, toolVersion, durationMs }: Recorded,
): string {
  const values = [migration.version, migration.description, migration.kind, checksum, checksumAlgorithm].map(
    quoteLiteral,
  );
  return `INSERT INTO ${quoteName(name)} (version, description, kind, checksum, checksum_algorithm, applied_at, duration_ms, applied_by, tool_version)
VALUES (${values.join(', ')}, clock_timestamp(), ${durationMs}, session_user, ${quoteLiteral(toolVersion)})`;
}

/** The SQL that takes a versioned migration out of the journal. */
export function forgetStatement(name: QualifiedName, version: string): string {
  return `DELETE FROM ${quoteName(name)} WHERE version = ${quoteLiteral(version)}`;
}

/** The SQL that records a repeatable migration, for the first time or again. */
export function recordRepeatableStatement(
  journal: QualifiedName,
  name: string,
  { checksum, toolVersion, durationMs }: Recorded,
): string {
  const values = [name, checksum, checksumAlgorithm].map(quoteLiteral);
  return `INSERT INTO ${quoteName(repeatableJournal(journal))} AS r (name, checksum, checksum_algorithm, applied_at, duration_ms, applied_by, tool_version)
VALUES (${values.join(', ')}, clock_timestamp(), ${durationMs}, session_user, ${quoteLiteral(toolVersion)})
ON CONFLICT (name) DO UPDATE SET checksum = EXCLUDED.checksum, checksum_algorithm = EXCLUDED.checksum_algorithm,
  applied_at = EXCLUDED.applied_at, duration_ms = EXCLUDED.duration_ms, applied_by = EXCLUDED.applied_by, tool_version = EXCLUDED.tool_version`;
}

/** SQL that writes a row of the journal again, as it is. */
export function touchStatement(name: QualifiedName, version: string): string {
  return `UPDATE ${quoteName(name)} SET version = version WHERE version = ${quoteLiteral(version)}`;
}

/** The SQL that takes a repeatable migration out of its journal. */
export function forgetRepeatableStatement(journal: QualifiedName, name: string): string {
  return `DELETE FROM ${quoteName(repeatableJournal(journal))} WHERE name = ${quoteLiteral(name)}`;
}

/** The SQL that gives adopted rows the checksums of the files they match, so that later edits are seen. */
export function adoptStatement(name: QualifiedName, version: string, checksum: string): string {
  return `UPDATE ${quoteName(name)} SET checksum = ${quoteLiteral(checksum)}, checksum_algorithm = ${quoteLiteral(checksumAlgorithm)}
WHERE version = ${quoteLiteral(version)} AND checksum IS NULL`;
}
