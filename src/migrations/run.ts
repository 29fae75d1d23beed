import type { LockKey } from '../db/advisory-lock.ts';
import type { Session } from '../db/connect.ts';
import { EduschemaError } from '../errors.ts';
import type { FailedMigration } from './failure.ts';
import { sinceTransactionStart } from './journal-statements.ts';
import {
  isTransactional,
  nameOfUnit,
  type Prepared,
  type PreparedModule,
  type PreparedSql,
} from './prepare.ts';
import { runModule } from './run-module.ts';
import { runStatements } from './run-statements.ts';
import {
  closingStatements,
  insideTransaction,
  lockStatement,
  openingStatements,
  restoreEncoding,
  type SessionSettings,
} from './session-sql.ts';

/** How migrations are run. */
export interface RunSettings extends SessionSettings {
  /** Held in the session of the migrations, even when their client was killed and the server works on. */
  readonly guard: LockKey;
  readonly signal: AbortSignal | undefined;
  readonly log: (message: string) => void;
  /** Throws when another runner may have taken over. */
  readonly confirmTurn: () => Promise<void>;
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
  const opening = [
    ...openingStatements(settings),
    ...(run.durable ? [] : ['SET LOCAL synchronous_commit = off']),
  ];
  const before = ['DISCARD ALL', lockStatement(settings.guard, settings), ['BEGIN', ...opening].join('; ')];
  const after = [
    insideTransaction,
    ...closingStatements(settings),
    run.record(sinceTransactionStart),
    'COMMIT',
  ];
  try {
    await runStatements(session, describe(prepared, run), prepared.section.statements, before, [
      restoreEncoding,
      after.join('; '),
    ]);
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
  await session.sql.unsafe(lockStatement(settings.guard));
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
  const reset = ['RESET SESSION AUTHORIZATION', 'RESET ROLE', 'RESET ALL'];
  const before = [...reset, ...openingStatements(settings)].join('; ');
  const after = [insideTransaction, ...closingStatements(settings), run.record(sinceTransactionStart)].join(
    '; ',
  );
  if (prepared.kind === 'sql') {
    return runStatements(
      session,
      describe(prepared, run),
      prepared.section.statements,
      [before],
      [restoreEncoding, after],
    );
  }
  await session.sql.unsafe(before);
  await runModule(session, prepared, describe(prepared, run), settings);
  settings.signal?.throwIfAborted();
  if (session.tap.transaction !== 'open') throw endedTransaction(prepared, session.tap.transaction);
  await runStatements(session, describe(prepared, run), [], [], [restoreEncoding, after]);
}

async function runOutside(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  const started = performance.now();
  await session.sql.unsafe('DISCARD ALL');
  await session.sql.unsafe(lockStatement(settings.guard));
  await session.sql.unsafe(openingStatements(settings, 'SESSION').join('; '));
  await settings.confirmTurn();
  await (prepared.kind === 'sql'
    ? runOneByOne(session, prepared, run)
    : runModule(session, prepared, describe(prepared, run, 'what it committed stays'), settings));
  settings.signal?.throwIfAborted();
  if (session.tap.transaction !== 'none') {
    await session.sql.unsafe('ROLLBACK');
    throw new EduschemaError(
      'migration-failed',
      `${titleOf(prepared)} left a transaction open; it was rolled back, and the migration is not recorded`,
      { hint: 'end it with COMMIT in the file' },
    );
  }
  const durationMs = String(Math.round(performance.now() - started));
  const record = ['BEGIN READ WRITE', ...closingStatements(settings), run.record(durationMs), 'COMMIT'].join(
    '; ',
  );
  const failed = describe(prepared, run, `${nameOfUnit(prepared.unit)} was carried out, but is not recorded`);
  await runStatements(session, failed, [], [], [restoreEncoding, record]);
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

function endedTransaction(prepared: PreparedModule, transaction: 'none' | 'failed'): EduschemaError {
  if (transaction === 'failed') {
    return new EduschemaError(
      'migration-failed',
      `a query of ${titleOf(prepared)} failed, and the error was caught`,
      {
        hint: 'let it through, or put the query into sql.savepoint()',
      },
    );
  }
  return new EduschemaError(
    'migration-failed',
    `${titleOf(prepared)} ended the transaction that it runs in`,
    {
      hint: 'leave COMMIT and ROLLBACK to eduschema, or write: export const transaction = false',
    },
  );
}
