import { createHash } from 'node:crypto';
import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import type { Statement } from '../sql/split.ts';
import { type Journal, statementJournal } from './journal.ts';
import { readGap } from './large-file.ts';
import { fenceOf } from './lease.ts';
import { nameOfRepeatable, type Unit } from './prepare.ts';
import type { RunSettings } from './run-settings.ts';

/** A row of `schema_versions_statements`: a statement of a migration with `transaction:false`. */
export interface StatementRow {
  /** From 1. */
  readonly ordinal: number;
  readonly statement: string;
  readonly hash: string;
  /** `started`: nobody has heard how it ended. */
  readonly state: 'started' | 'done' | 'failed';
  /** Whether it ran in a transaction, whose end the server remembers, or alone. */
  readonly mode: 'transaction' | 'alone';
  /** The transaction that was about to be committed. */
  readonly transactionId: string | null;
  /** What was there before it, as it was asked for. */
  readonly found: readonly number[];
  /** ISO 8601 in UTC. */
  readonly startedAt: string;
  readonly error: string | null;
  /** Where inside a function it failed. */
  readonly context: string | null;
}

/** Which statements: the name of the migration and its direction. */
export interface StatementsOf {
  readonly migration: string;
  readonly direction: 'up' | 'down';
}

/** A statement that is about to be carried out. */
export interface StartedStatement {
  readonly ordinal: number;
  readonly text: string;
  readonly hash: string;
}

/** The migration's name in the journal of statements. */
export function migrationOf(unit: Unit): string {
  if (unit.type === 'versioned') return unit.file.version;
  return unit.type === 'repeatable' ? nameOfRepeatable(unit.file.name) : unit.name;
}

/** The SQL that creates the journal of statements. */
export function createStatementJournal(journal: QualifiedName): string {
  return `CREATE TABLE ${quoteName(statementJournal(journal))} (
  migration text NOT NULL,
  direction text NOT NULL,
  ordinal integer NOT NULL,
  statement text NOT NULL,
  hash text NOT NULL,
  mode text NOT NULL,
  state text NOT NULL DEFAULT 'started',
  pid integer NOT NULL,
  backend_start timestamp with time zone,
  transaction_id text,
  found jsonb NOT NULL,
  started_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamp with time zone,
  sqlstate text,
  error text,
  context text,
  recorded boolean NOT NULL DEFAULT false,
  PRIMARY KEY (migration, direction, ordinal)
)`;
}

/** Characters of a statement that are kept for a person to read. */
const longestText = 10_000;

/** The hash of a statement's text, of the data behind a COPY too; Windows line ends are no edit, except in data on the disk. */
export function hashOf(
  text: string,
  { start, end, data }: Statement,
  lineEnds: 'lf' | 'as read' = 'lf',
): string {
  const piece = (from: number, to: number) => {
    const found = text.slice(from, to);
    return lineEnds === 'lf' ? found.replaceAll('\r\n', '\n') : found;
  };
  const hash = createHash('sha256').update(piece(start, end));
  if (!data) return hash.digest('hex');
  hash.update('\n');
  for (const part of 'path' in data ? readGap(data) : [piece(data.start, data.end)]) hash.update(part);
  return hash.digest('hex');
}

/** Whether the statement is the one of that hash. Hashes were once of the text with the line ends that it had. */
export function hasHash(hash: string, text: string, statement: Statement): boolean {
  return hashOf(text, statement) === hash || hashOf(text, statement, 'as read') === hash;
}

const where = (of: StatementsOf) =>
  `migration = ${quoteLiteral(of.migration)} AND direction = ${quoteLiteral(of.direction)}`;

/**
 * The SQL that keeps a migration's statements as history, now that it is recorded itself.
 */
export function closeStatements(journal: QualifiedName, of: StatementsOf): string {
  return `UPDATE ${quoteName(statementJournal(journal))} SET recorded = true WHERE ${where(of)}`;
}

/** What an unfinished run of a migration has carried out, by ordinal; empty when there was none. */
export async function listStatements(
  sql: Sql,
  journal: QualifiedName,
  of: StatementsOf,
): Promise<ReadonlyMap<number, StatementRow>> {
  const rows = await sql.unsafe<(Omit<StatementRow, 'found'> & { found: string })[]>(`
    SELECT ordinal, statement, hash, state, mode, transaction_id AS "transactionId", found::text AS found, error, context,
           to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "startedAt"
    FROM ${quoteName(statementJournal(journal))}
    WHERE ${where(of)} AND NOT recorded
    ORDER BY ordinal`);
  return new Map(rows.map((row) => [row.ordinal, { ...row, found: JSON.parse(row.found) }]));
}

/** How far a migration has come whose run ended in the middle. */
export interface Unfinished extends StatementsOf {
  /** Ordinals of statements that were carried out. */
  readonly done: readonly number[];
  /** The statement at which it ended, with the server's error; in doubt when there is none. */
  readonly begun: { readonly ordinal: number; readonly error: string | null } | null;
}

/** All migrations whose run ended in the middle. */
export async function listUnfinished(sql: Sql, { name, hasStatements }: Journal): Promise<Unfinished[]> {
  if (!hasStatements) return [];
  return sql.unsafe<Unfinished[]>(`
    SELECT migration, direction,
           coalesce(json_agg(ordinal ORDER BY ordinal) FILTER (WHERE state = 'done'), '[]') AS done,
           (json_agg(json_build_object('ordinal', ordinal, 'error', error) ORDER BY ordinal)
              FILTER (WHERE state <> 'done'))->0 AS begun
    FROM ${quoteName(statementJournal(name))}
    WHERE NOT recorded
    GROUP BY migration, direction`);
}

/**
 * Writes the journal of a migration's statements, in the session that holds the turn, or behind the lease. Each write is committed at
 * once, but does not wait for the disk: the log is written in order, so that the statement's own commit makes the
 * row before it durable.
 */
export interface StatementLog {
  /** Forgets the statements of a run that is recorded, and those from `ordinal` on. */
  forget(ordinal: number): Promise<void>;
  start(
    statements: readonly StartedStatement[],
    mode: StatementRow['mode'],
    pid: number,
    found: readonly number[],
  ): Promise<void>;
  /** They have to be carried out outside a transaction after all. */
  startAlone(ordinals: readonly number[]): Promise<void>;
  /** Their transaction is about to be committed. */
  commit(ordinals: readonly number[], transactionId: string): Promise<void>;
  finish(ordinals: readonly number[]): Promise<void>;
  /** The SQL of `finish`, to be carried out in the transaction of the statements themselves. */
  finished(ordinals: readonly number[]): string;
  /** `ended` is false when nobody has heard how it ended. */
  fail(ordinals: readonly number[], error: FailedStatement, ended: boolean): Promise<void>;
}

export interface FailedStatement {
  readonly message: string;
  readonly code?: string | undefined;
  readonly where?: string | undefined;
}

/** Opens the journal of one migration's statements. */
export function openStatementLog(
  sql: Sql,
  { journal, lease }: Pick<RunSettings, 'journal' | 'lease'>,
  of: StatementsOf,
): StatementLog {
  const table = quoteName(statementJournal(journal));
  const write = async (statement: string) => {
    const message = [
      'BEGIN',
      'SET LOCAL synchronous_commit = off',
      ...fenceOf({ lease }),
      statement,
      'COMMIT',
    ];
    await sql.unsafe(message.join('; ')).catch(async (error) => {
      await sql.unsafe('ROLLBACK').catch(() => {});
      throw error;
    });
  };
  const updated = (ordinals: readonly number[], set: string) =>
    `UPDATE ${table} SET ${set} WHERE ${where(of)} AND ordinal IN (${ordinals.join(', ')})`;
  const update = (ordinals: readonly number[], set: string) => write(updated(ordinals, set));
  const done = `state = 'done', finished_at = clock_timestamp()`;
  const text = (value: string | undefined) => (value === undefined ? 'NULL' : quoteLiteral(value));
  return {
    forget: (ordinal) =>
      write(`DELETE FROM ${table} WHERE ${where(of)} AND (recorded OR ordinal >= ${ordinal})`),
    start(statements, mode, pid, found) {
      const rows = statements.map(
        (statement) =>
          `(${quoteLiteral(of.migration)}, ${quoteLiteral(of.direction)}, ${statement.ordinal}, ${quoteLiteral(statement.text.slice(0, longestText))}, ${quoteLiteral(statement.hash)}, '${mode}', ${pid}, (SELECT backend_start FROM pg_catalog.pg_stat_activity WHERE pid = ${pid}), '${JSON.stringify(found)}')`,
      );
      return write(`INSERT INTO ${table} (migration, direction, ordinal, statement, hash, mode, pid, backend_start, found)
VALUES ${rows.join(',\n')}
ON CONFLICT (migration, direction, ordinal) DO UPDATE SET statement = EXCLUDED.statement, hash = EXCLUDED.hash,
  mode = EXCLUDED.mode, state = 'started', pid = EXCLUDED.pid, backend_start = EXCLUDED.backend_start,
  transaction_id = NULL, found = EXCLUDED.found, started_at = clock_timestamp(), finished_at = NULL,
  sqlstate = NULL, error = NULL, context = NULL`);
    },
    startAlone: (ordinals) => update(ordinals, `mode = 'alone'`),
    commit: (ordinals, transactionId) => update(ordinals, `transaction_id = ${quoteLiteral(transactionId)}`),
    finish: (ordinals) => update(ordinals, done),
    finished: (ordinals) => updated(ordinals, done),
    fail: (ordinals, { message, code, where: context }, ended) =>
      update(
        ordinals,
        `sqlstate = ${text(code)}, error = ${text(message)}, context = ${text(context)}${ended ? `, state = 'failed', finished_at = clock_timestamp()` : ''}`,
      ),
  };
}
