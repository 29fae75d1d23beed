import type { LockKey } from '../db/advisory-lock.ts';
import type { Session } from '../db/connect.ts';
import { quoteIdentifier, quoteLiteral } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import type { FailedMigration } from './failure.ts';
import { sinceTransactionStart } from './journal.ts';
import {
  isTransactional,
  nameOfUnit,
  type Prepared,
  type PreparedModule,
  type PreparedSql,
} from './prepare.ts';
import { runModule } from './run-module.ts';
import { runStatements } from './run-statements.ts';

/** The settings each migration starts with, whatever the one before it did. */
export interface RunSettings {
  /** PostgreSQL's lock_timeout for migrations in a transaction. Outside of one it is 0: there a timeout leaves wreckage. */
  readonly lockTimeout: string;
  readonly statementTimeout: string;
  readonly role: string | undefined;
  readonly schema: string | undefined;
  /** Held while a migration is at work in the server, even when its client was killed. */
  readonly guard: LockKey;
  readonly signal: AbortSignal | undefined;
  readonly log: (message: string) => void;
}

/** A migration, what records it, and what to say when it fails. */
export interface Run {
  readonly prepared: Prepared;
  /** The SQL that records it; `durationMs` is SQL. */
  readonly record: (durationMs: string) => string;
  /**
   * Whether its commit waits for the disk. Of many in a row only the last one needs to: the log is written in order,
   * so that its commit makes all before it durable, and a crash in between loses a migration whole, with its record.
   */
  readonly durable: boolean;
  /** The command to run again after a failure. */
  readonly command: string;
  /** The sentence on the state of the database after a failure in a transaction. */
  readonly outcome: () => string;
}

/** Runs a migration and records it; both in one transaction, unless it says `transaction:false`. */
export async function runMigration(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  if (!isTransactional(prepared)) return runOutside(session, run, settings);
  if (prepared.kind === 'module') return runTogether(session, [run], settings, () => {});
  const commit = run.durable ? '' : 'SET LOCAL synchronous_commit = off; ';
  const before = ['DISCARD ALL', `BEGIN; ${commit}${opening(settings)}`];
  const after = [`${closing(settings)}; ${run.record(sinceTransactionStart)}; COMMIT`];
  try {
    await runStatements(session, describe(prepared, run), prepared.section.statements, before, after);
  } catch (error) {
    await session.sql.unsafe('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** Runs migrations in one transaction: all of them are applied, or none. */
export async function runTogether(
  session: Session,
  runs: readonly Run[],
  settings: RunSettings,
  onDone: (run: Run) => void,
): Promise<void> {
  await session.sql.unsafe('DISCARD ALL');
  await session.sql.begin(async (sql) => {
    const inside: Session = { ...session, sql: sql as unknown as Session['sql'], tap: session.tap };
    for (const run of runs) {
      await runInside(inside, run, settings);
      onDone(run);
    }
  });
}

async function runInside(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  const before = `RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; ${opening(settings)}`;
  const after = `${closing(settings)}; ${run.record(sinceTransactionStart)}`;
  if (prepared.kind === 'sql') {
    return runStatements(session, describe(prepared, run), prepared.section.statements, [before], [after]);
  }
  await session.sql.unsafe(before);
  await runModule(session, prepared, describe(prepared, run), settings);
  if (session.tap.transaction !== 'open') throw endedTransaction(prepared);
  await session.sql.unsafe(after);
}

async function runOutside(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  const started = performance.now();
  await session.sql.unsafe('DISCARD ALL');
  await session.sql.unsafe(`${opening({ ...settings, lockTimeout: '0' }, 'SESSION')}`);
  await (prepared.kind === 'sql'
    ? runOneByOne(session, prepared, run)
    : runModule(session, prepared, describe(prepared, run, 'what it committed stays'), settings));
  if (session.tap.transaction !== 'none') {
    await session.sql.unsafe('ROLLBACK');
    throw new EduschemaError(
      'migration-failed',
      `${titleOf(prepared)} left a transaction open; it was rolled back, and the migration is not recorded`,
      {
        hint: 'end it with COMMIT in the file',
      },
    );
  }
  await session.sql.unsafe(
    `BEGIN; ${closing(settings)}; ${run.record(String(Math.round(performance.now() - started)))}; COMMIT`,
  );
}

/** Such statements may not share a message: several in one are one transaction to the server. */
async function runOneByOne(session: Session, prepared: PreparedSql, run: Run): Promise<void> {
  const { statements } = prepared.section;
  for (const [index, statement] of statements.entries()) {
    const done =
      index === 0
        ? 'nothing of it was carried out'
        : `statements 1 to ${index} of ${statements.length} were carried out and stay`;
    const failed = describe(prepared, run, `${done}; ${nameOfUnit(prepared.unit)} is not recorded`);
    await runStatements(session, failed, [statement], [], []).catch(async (error) => {
      if (session.tap.transaction !== 'none') await session.sql.unsafe('ROLLBACK');
      throw error;
    });
  }
}

/** What every migration starts with. */
function opening(
  { role, schema, lockTimeout, statementTimeout, guard }: RunSettings,
  scope: 'LOCAL' | 'SESSION' = 'LOCAL',
): string {
  const lock = scope === 'LOCAL' ? 'pg_advisory_xact_lock' : 'pg_advisory_lock';
  return [
    `SET ${scope} statement_timeout = ${quoteLiteral(statementTimeout)}`,
    `SET ${scope} lock_timeout = ${quoteLiteral(lockTimeout)}`,
    `SET ${scope} idle_in_transaction_session_timeout = 0`,
    ...(schema ? [`SET ${scope} search_path = ${quoteIdentifier(schema)}, public`] : []),
    ...(role ? [`SET ${scope} ROLE ${quoteIdentifier(role)}`] : []),
    `SELECT ${lock}(${guard.classId}, ${guard.objectId})`,
  ].join('; ');
}

/** A SET ROLE or a deferred constraint of the file must not reach the journal. */
function closing({ role }: RunSettings): string {
  return [
    'SET CONSTRAINTS ALL IMMEDIATE',
    'RESET SESSION AUTHORIZATION',
    'RESET ROLE',
    ...(role ? [`SET LOCAL ROLE ${quoteIdentifier(role)}`] : []),
  ].join('; ');
}

function titleOf({ unit, direction }: Prepared): string {
  if (direction === 'down') return `rollback of ${nameOfUnit(unit)}`;
  return unit.type === 'repeatable' ? nameOfUnit(unit) : `migration ${nameOfUnit(unit)}`;
}

function describe(prepared: Prepared, { command, outcome }: Run, instead?: string): FailedMigration {
  const text = prepared.kind === 'sql' ? prepared.text : '';
  return {
    title: titleOf(prepared),
    file: prepared.unit.file.file,
    text,
    outcome: instead === undefined ? outcome : () => instead,
    command,
  };
}

function endedTransaction(prepared: PreparedModule): EduschemaError {
  return new EduschemaError(
    'migration-failed',
    `${titleOf(prepared)} ended the transaction that it runs in`,
    {
      hint: 'leave COMMIT and ROLLBACK to eduschema, or write: export const transaction = false',
    },
  );
}
