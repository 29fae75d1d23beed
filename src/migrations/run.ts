import type { Session } from '../db/connect.ts';
import { inTransaction } from '../db/in-transaction.ts';
import { EduschemaError } from '../errors.ts';
import { codeOf } from './failure.ts';
import { sinceTransactionStart } from './journal-statements.ts';
import { isTransactional, nameOfUnit, type PreparedModule } from './prepare.ts';
import { runModule } from './run-module.ts';
import { runPieces } from './run-pieces.ts';
import { describe, hookOf, type Run, type RunSettings, titleOf } from './run-settings.ts';
import { runStatements } from './run-statements.ts';
import {
  closingStatements,
  insideTransaction,
  lockStatement,
  openingStatements,
  restoreEncoding,
} from './session-sql.ts';
import { closeStatements, migrationOf } from './statement-journal.ts';
import {
  beginMessages,
  enterTransaction,
  leasedIsolation,
  leaveTransaction,
  proveTurn,
  waitForGuard,
} from './transaction-sql.ts';

/** Runs a migration and records it; both in one transaction, unless it says `transaction:false`. */
export async function runMigration(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  if (!isTransactional(prepared)) return runOutside(session, run, settings);
  if (prepared.kind === 'module') return runTogether(session, [run], settings, () => {});
  const opening = [
    ...openingStatements(settings),
    ...(run.durable ? [] : ['SET LOCAL synchronous_commit = off']),
  ];
  const before = beginMessages(settings, opening);
  const after = [
    insideTransaction,
    ...closingStatements(settings),
    ...proveTurn(settings),
    run.record(sinceTransactionStart),
    ...leaveTransaction(settings),
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
  if (!settings.lease) {
    await session.sql.unsafe('DISCARD ALL');
    await session.sql.unsafe(waitForGuard(settings));
  }
  await inTransaction(session, settings.lease ? leasedIsolation : '', async (sql) => {
    const inside: Session = { ...session, sql: sql as unknown as Session['sql'], tap: session.tap };
    for (const run of runs) {
      await runInside(inside, run, settings);
      onDone(run);
    }
    if (settings.lease) await sql.unsafe(leaveTransaction(settings).join('; '));
  });
}

async function runInside(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  const before = enterTransaction(settings, openingStatements(settings)).join('; ');
  const after = [
    insideTransaction,
    ...closingStatements(settings),
    ...proveTurn(settings),
    run.record(sinceTransactionStart),
  ].join('; ');
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
  const { boundaries } = session.tap;
  await runModule(session, prepared, describe(prepared, run), settings);
  settings.signal?.throwIfAborted();
  if (session.tap.transaction !== 'open' || session.tap.boundaries !== boundaries)
    throw endedTransaction(prepared, session.tap.transaction);
  await runStatements(session, describe(prepared, run), [], [], [restoreEncoding, after]);
}

async function runOutside(session: Session, run: Run, settings: RunSettings): Promise<void> {
  const { prepared } = run;
  const started = performance.now();
  if (!settings.lease) {
    await session.sql.unsafe('DISCARD ALL');
    await session.sql.unsafe(lockStatement(settings.guard));
    await session.sql.unsafe(openingStatements(settings, 'SESSION').join('; '));
  }
  await settings.confirmTurn();
  await (prepared.kind === 'sql'
    ? runPieces(session, prepared, run, settings)
    : settings.watched(() =>
        runModule(session, prepared, describe(prepared, run, 'what it committed stays'), settings),
      ));
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
  const closing =
    prepared.kind === 'sql'
      ? [
          closeStatements(settings.journal, {
            migration: migrationOf(prepared.unit),
            direction: prepared.direction,
          }),
        ]
      : [];
  const record = [
    'BEGIN READ WRITE',
    ...(settings.lease ? enterTransaction(settings, []) : []),
    ...closingStatements(settings),
    ...proveTurn(settings),
    run.record(durationMs),
    ...closing,
    ...leaveTransaction(settings),
    'COMMIT',
  ].join('; ');
  const failed = describe(prepared, run, `${nameOfUnit(prepared.unit)} was carried out, but is not recorded`);
  await runStatements(session, failed, [], [], [restoreEncoding, record]);
}

function endedTransaction(
  prepared: PreparedModule,
  transaction: Session['tap']['transaction'],
): EduschemaError {
  const code = codeOf({ hook: hookOf(prepared) });
  if (transaction === 'failed') {
    return new EduschemaError(code, `a query of ${titleOf(prepared)} failed, and the error was caught`, {
      hint: 'let it through, or put the query into sql.savepoint()',
    });
  }
  const outcome = 'what it committed itself stays; it is not recorded';
  return new EduschemaError(code, `${titleOf(prepared)} ended the transaction that it runs in`, {
    excerpt: `\n${outcome}`,
    details: { outcome },
    hint: `leave COMMIT and ROLLBACK to eduschema${hookOf(prepared) ? '' : ', or write: export const transaction = false'}`,
  });
}
