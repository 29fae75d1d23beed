import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { checksumAlgorithm } from './checksum.ts';
import { addedColumns, hooksJournal, type Journal, type JournalRow, repeatableJournal } from './journal.ts';

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

/** The SQL that creates the journal of hooks. */
export function createHooksJournal(journal: QualifiedName): string {
  return `CREATE TABLE ${quoteName(hooksJournal(journal))} (
  hook text PRIMARY KEY,
  due_since timestamp with time zone NOT NULL DEFAULT clock_timestamp()
)`;
}

/** The SQL that records the after hooks as due; they may be so already. */
export function makeAfterDueStatement(journal: QualifiedName): string {
  return `INSERT INTO ${quoteName(hooksJournal(journal))} (hook) VALUES ('after') ON CONFLICT (hook) DO NOTHING`;
}

/** The SQL that records that the after hooks have run. */
export function settleAfterStatement(journal: QualifiedName): string {
  return `DELETE FROM ${quoteName(hooksJournal(journal))} WHERE hook = 'after'`;
}

/** The SQL that gives adopted rows the checksums of the files they match, so that later edits are seen. */
export function adoptStatement(name: QualifiedName, version: string, checksum: string): string {
  return `UPDATE ${quoteName(name)} SET checksum = ${quoteLiteral(checksum)}, checksum_algorithm = ${quoteLiteral(checksumAlgorithm)}
WHERE version = ${quoteLiteral(version)} AND checksum IS NULL`;
}
