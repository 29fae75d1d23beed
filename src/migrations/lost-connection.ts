import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { findHolder } from '../db/advisory-lock.ts';
import type { Database, Session } from '../db/connect.ts';
import { isConnectionLost } from '../db/explain-error.ts';
import { quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { repeatableJournal } from './journal.ts';
import { outcomeOf } from './outcome.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, type Prepared } from './prepare.ts';
import { titleOf } from './run-settings.ts';
import { guardKey, type HeldTurn } from './turn.ts';

interface Lost {
  readonly error: unknown;
  /** The step under way, at whose end the transaction was to be committed. */
  readonly step: Prepared | undefined;
  /** How many steps stay when it was not. */
  readonly done: number;
  readonly command: string;
}

/**
 * Where the connection of the migrations was lost, looks for itself what became of the transaction: COMMIT may have
 * arrived, and its answer not. Returns the error that says it; any other error comes back.
 */
export async function explainLostConnection(
  database: Database,
  worker: Session,
  plan: MigrationPlan,
  settings: HeldTurn,
  { error, step, done, command }: Lost,
): Promise<unknown> {
  const cause = error instanceof EduschemaError ? error.cause : error;
  if (!isConnectionLost(cause) || worker.isOpen()) return error;
  if (!step || step.unit.type === 'hook' || !isTransactional(step)) return error;
  const hint = `see why the connection was lost, and run ${command} again`;
  const lost = (when: string, outcome: string) =>
    failed(`the connection was lost ${when} of ${titleOf(step)}`, outcome, hint, error);
  const what = step.unit.type === 'versioned' ? step.unit.file.version : step.unit.file.name;
  switch (await lookAt(database, step, settings)) {
    case 'committed':
      return lost(
        'at the end',
        `${what} was ${step.direction === 'up' ? 'applied' : 'rolled back'} all the same, and is recorded so`,
      );
    case 'unknown':
      return lost(
        'in the middle',
        `the server does not answer yet: eduschema status says whether ${what} was committed`,
      );
    default:
      return error instanceof EduschemaError
        ? new EduschemaError(error.code, error.message, { ...error, hint, cause: error.cause })
        : lost('in the middle', outcomeOf(plan, step, done));
  }
}

function failed(message: string, outcome: string, hint: string, cause: unknown): EduschemaError {
  const known = cause instanceof EduschemaError ? cause : undefined;
  const told = String(known?.details?.reason ?? (cause instanceof Error ? cause.message : cause));
  return new EduschemaError('connection-failed', message, {
    excerpt: `  ${told}\n\n${outcome}`,
    hint,
    cause: known?.cause ?? cause,
    details: { ...known?.details, outcome },
  });
}

const patienceMs = 5000;

/** Asks in the session with the turn where it is left, else in a new one. */
async function lookAt(
  database: Database,
  step: Prepared,
  settings: HeldTurn,
): Promise<'committed' | 'rolled back' | 'unknown'> {
  const ask = async ({ sql }: Pick<Session, 'sql'>) => {
    // A COMMIT that the server is still at decides it.
    for (
      const until = performance.now() + patienceMs;
      await findHolder(sql, guardKey(settings));
      await sleep(100)
    )
      if (performance.now() > until) return 'unknown';
    return (await isRecorded(sql, step, settings)) ? 'committed' : 'rolled back';
  };
  try {
    return database.isOpen() ? await ask(database) : await database.withSession({}, ask);
  } catch {
    return 'unknown';
  }
}

/** Whether the journal says of the step what is written with it. */
async function isRecorded(sql: Sql, { unit, direction }: Prepared, { journal }: HeldTurn): Promise<boolean> {
  if (unit.type === 'hook') return false;
  const [table, condition] =
    unit.type === 'versioned'
      ? [
          journal,
          `version = ${quoteLiteral(direction === 'down' ? (unit.recordedAs ?? unit.file.version) : unit.file.version)}`,
        ]
      : [
          repeatableJournal(journal),
          `name = ${quoteLiteral(unit.file.name)}${direction === 'up' ? ` AND checksum = ${quoteLiteral(unit.file.checksum)}` : ''}`,
        ];
  const found = await sql.unsafe(`SELECT FROM ${quoteName(table)} WHERE ${condition}`);
  return found.length > 0 === (direction === 'up');
}
