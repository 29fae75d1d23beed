import type { Sql } from 'postgres';
import type { Session } from '../db/connect.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { leadingWords } from '../sql/tokens.ts';
import { findFailure } from './failed-at.ts';
import { judgeStatement, type Verdict } from './judge.ts';
import type { Piece } from './pieces.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, nameOfUnit, type Prepared, type PreparedSql } from './prepare.ts';
import type { RunSettings, Said } from './run-settings.ts';
import {
  hasHash,
  hashOf,
  listStatements,
  migrationOf,
  type StatementLog,
  type StatementRow,
} from './statement-journal.ts';

/** How far an unfinished run of a migration has come. */
export interface Progress {
  readonly rows: ReadonlyMap<number, StatementRow>;
  /** Whether the statement was carried out and is not to be carried out again. */
  isDone(ordinal: number): boolean;
}

/**
 * The migration of the plan that an earlier run left unfinished, which `said` is about: only one can be. Throws when
 * something was said, and it fits no statement.
 */
export async function findInDoubt(
  sql: Sql,
  { steps }: MigrationPlan,
  journal: QualifiedName,
  said: Said | undefined,
): Promise<Prepared | undefined> {
  const ordinals = [...(said?.markDone ?? []), ...(said?.redo ?? [])];
  if (ordinals.length === 0) return undefined;
  for (const step of steps) {
    if (step.kind !== 'sql' || isTransactional(step)) continue;
    const rows = await listStatements(sql, journal, {
      migration: migrationOf(step.unit),
      direction: step.direction,
    });
    if (rows.size === 0) continue;
    const strange = ordinals.find((ordinal) => !rows.has(ordinal));
    if (strange === undefined) return step;
    throw new EduschemaError('usage', `statement ${strange} of ${nameOfUnit(step.unit)} was not begun`, {
      hint: 'leave out --mark-done and --redo, and see where it stops',
    });
  }
  throw new EduschemaError('usage', 'no migration was left unfinished: there is nothing to mark or to redo', {
    hint: 'leave out --mark-done and --redo',
  });
}

/**
 * Reads what an earlier run of the migration carried out. Throws when a statement that was done differs from the
 * file's, or when what the user said of a statement does not fit.
 */
export async function findProgress(
  prepared: PreparedSql,
  pieces: readonly Piece[],
  { keeper, journal, said, onResume }: RunSettings,
): Promise<Progress> {
  const { unit, section } = prepared;
  const rows = await begunStatements(prepared, keeper, journal);
  const isDone = (ordinal: number) =>
    !said.redo.includes(ordinal) && (said.markDone.includes(ordinal) || rows.get(ordinal)?.state === 'done');
  const done = [...rows.values()].filter(({ state }) => state === 'done');
  for (const row of done) forbidEdited(prepared, row, said);
  if (done.length > 0) {
    forbidLostTables(prepared, pieces, isDone);
    const total = section.statements.length;
    const next = section.statements.findIndex((_, index) => !isDone(index + 1)) + 1;
    const where = next === 0 ? `after statement ${total}` : `at statement ${next}`;
    onResume(`going on with ${nameOfUnit(unit)} ${where} of ${total}; begun ${done[0]?.startedAt}`);
  }
  return { rows, isDone };
}

/** A repeatable migration is edited as a matter of course: from the first edited statement on, it begins anew. */
async function begunStatements(
  { unit, direction, text, section }: PreparedSql,
  sql: Sql,
  journal: QualifiedName,
): Promise<ReadonlyMap<number, StatementRow>> {
  const rows = await listStatements(sql, journal, { migration: migrationOf(unit), direction });
  if (unit.type === 'versioned') return rows;
  const edited = [...rows.values()].find(({ ordinal, hash, state }) => {
    const now = section.statements[ordinal - 1];
    return state === 'done' && (!now || !hasHash(hash, text, now));
  });
  return new Map([...rows].filter(([ordinal]) => !edited || ordinal < edited.ordinal));
}

function forbidEdited(prepared: PreparedSql, { ordinal, hash, statement }: StatementRow, said: Said): void {
  const now = prepared.section.statements[ordinal - 1];
  if (now && hasHash(hash, prepared.text, now)) return;
  if (said.redo.includes(ordinal) || said.markDone.includes(ordinal)) return;
  const file = prepared.unit.file.file;
  const found = now && findFailure({ file, text: prepared.text }, undefined, now, undefined);
  const place = found ? ` at line ${found.line} of ${found.file}` : ` of ${file}`;
  throw new EduschemaError(
    'statement-edited',
    `statement ${ordinal}${place} was carried out already, and ${now ? 'was edited' : 'is gone'} since`,
    {
      excerpt: `  carried out was:\n    ${statement.trim().replaceAll('\n', '\n    ')}`,
      hint: now
        ? `restore its text and put the change into a new migration; or say --redo ${ordinal} to carry it out as it is now, or --mark-done ${ordinal} to leave it`
        : 'restore its text, and put the change into a new migration',
      details: { file, ordinal, statement },
    },
  );
}

/** A temporary table is gone with its session: what was put into it would be missing. */
function forbidLostTables(
  { unit, text, section }: PreparedSql,
  pieces: readonly Piece[],
  isDone: (ordinal: number) => boolean,
): void {
  const { statements } = section;
  if (pieces.every(({ from, to, kind }) => kind === 'settings' || (isDone(from + 1) && isDone(to)))) return;
  const lost = statements.findIndex(({ start }, index) => {
    const [first, second, third] = leadingWords(text, start, 3);
    const temporary = [second, third].some((word) => word === 'temp' || word === 'temporary');
    return isDone(index + 1) && first === 'create' && temporary;
  });
  if (lost < 0) return;
  throw new EduschemaError(
    'statement-unclear',
    `statement ${lost + 1} of ${nameOfUnit(unit)} made something temporary, which went with its session`,
    {
      hint: `say --redo ${lost + 1}, and --redo for each statement that fills it, to carry them out again`,
      details: { ordinal: lost + 1 },
    },
  );
}

/** Finds out what became of statements that an earlier run began, and repairs what it left half done. */
export async function settlePiece(
  session: Session,
  prepared: PreparedSql,
  piece: Piece,
  { rows, isDone }: Progress,
  { said, onResume }: RunSettings,
  log: StatementLog,
): Promise<'done' | 'run'> {
  const ordinals = Array.from({ length: piece.to - piece.from }, (_, index) => piece.from + index + 1);
  if (ordinals.some((ordinal) => said.redo.includes(ordinal))) return 'run';
  if (ordinals.some((ordinal) => said.markDone.includes(ordinal))) {
    await markDone(prepared, ordinals, session, log);
    return 'done';
  }
  const row = ordinals.map((ordinal) => rows.get(ordinal)).find((known) => known && !isDone(known.ordinal));
  if (!row) return 'run';
  const verdict = await judgeStatement(session, row, row.statement);
  const name = `statement ${row.ordinal} of ${nameOfUnit(prepared.unit)}`;
  if (verdict.kind === 'running') throw stillRunning(name, verdict.pid);
  if (verdict.kind === 'unclear') throw unclearStatement(prepared, row, verdict);
  if (verdict.kind !== 'redo' || verdict.repair.length > 0) onResume(`${name}: ${verdict.because}`);
  if (verdict.kind !== 'done') for (const statement of verdict.repair) await session.sql.unsafe(statement);
  if (verdict.kind === 'redo') return 'run';
  await log.finish(ordinals);
  forbidEdited(prepared, row, said);
  return 'done';
}

/** With the text that the file has now. */
async function markDone(
  { text, section }: PreparedSql,
  ordinals: readonly number[],
  { facts }: Session,
  log: StatementLog,
): Promise<void> {
  const statements = ordinals.flatMap((ordinal) => {
    const statement = section.statements[ordinal - 1];
    return statement
      ? [{ ordinal, text: text.slice(statement.start, statement.end), hash: hashOf(text, statement) }]
      : [];
  });
  await log.start(statements, 'alone', facts.pid, []);
  await log.finish(ordinals);
}

function stillRunning(name: string, pid: number): EduschemaError {
  return new EduschemaError('lock-held', `${name} is still being carried out by pid ${pid}`, {
    hint: 'wait until it is done, and run the command again',
    details: { pid },
  });
}

function unclearStatement(
  prepared: PreparedSql,
  { ordinal, statement, startedAt }: StatementRow,
  { because }: Extract<Verdict, { kind: 'unclear' }>,
): EduschemaError {
  const command = prepared.direction === 'down' ? 'eduschema rollback' : 'eduschema migrate';
  return new EduschemaError(
    'statement-unclear',
    `nobody can tell whether statement ${ordinal} of ${nameOfUnit(prepared.unit)} was carried out: ${because}`,
    {
      excerpt: [
        `  ${statement.trim().split('\n').slice(0, 8).join('\n  ')}`,
        `  begun ${startedAt}`,
        '',
        'look in the database which of the two is true:',
        `  it was carried out:     ${command} --mark-done ${ordinal}`,
        `  it was not, or it can be carried out again:  ${command} --redo ${ordinal}`,
      ].join('\n'),
      hint: `run ${command} again with one of the two`,
      details: { file: prepared.unit.file.file, ordinal, statement, because },
    },
  );
}
