import type { TransactionSql } from 'postgres';
import type { Session } from '../db/connect.ts';
import { copyFromText } from '../db/copy.ts';
import { isServerError } from '../db/explain-error.ts';
import { sendPipelined } from '../db/pipeline.ts';
import { EduschemaError } from '../errors.ts';
import { excerptAt, findPlace, offsetOfPosition } from '../sql/excerpt.ts';
import { groupStatements, type StatementGroup } from '../sql/group.ts';
import { type Statement, splitSql, type TextRange } from '../sql/split.ts';
import { leadingWords } from '../sql/tokens.ts';

/** A seed in SQL. */
export interface SqlSeed {
  readonly file: string;
  readonly text: string;
  readonly statements: readonly Statement[];
  /** `-- seed:always` runs it each time; without it, or with `-- seed:once`, it runs once. */
  readonly when: 'once' | 'always';
}

const markerPattern = /^--\s*seed:\s*(\S+)\s*$/;

/** What would end the transaction that also records the seed. */
const endings = ['begin', 'start', 'commit', 'end', 'rollback', 'abort', 'prepare'];

/** Reads a seed in SQL. Throws `seed-invalid` for psql's commands, transactions of its own, and an unknown marker. */
export function parseSeedSql(text: string, file: string): SqlSeed {
  const { statements, commentLines, metaCommands } = splitSql(text);
  const invalid = (what: string, at: number, hint: string) =>
    new EduschemaError('seed-invalid', `${what} at line ${findPlace(text, at).line} of ${file}`, {
      hint,
      details: { file },
    });
  const [command] = metaCommands;
  if (command)
    throw invalid(
      `the psql command ${text.slice(command.start, command.end).split(/\s/)[0]}`,
      command.start,
      'a seed is plain SQL: leave it out',
    );
  const ending = statements.find(({ start, end }) => endsTransaction(text, start, end));
  if (ending)
    throw invalid(
      `${text.slice(ending.start, ending.end).split(/\s/)[0]}`,
      ending.start,
      'a seed runs in a transaction of ours, which also records it: leave it out',
    );
  let when: SqlSeed['when'] = 'once';
  for (const { start, end } of commentLines) {
    const word = markerPattern.exec(text.slice(start, end))?.[1];
    if (word === undefined) continue;
    if (word !== 'once' && word !== 'always')
      throw invalid(`"seed:${word}" is not known`, start, 'write -- seed:once or -- seed:always');
    when = word;
  }
  return { file, text, statements, when };
}

/** PREPARE TRANSACTION ends it, PREPARE does not; ROLLBACK TO does not. */
function endsTransaction(text: string, start: number, end: number): boolean {
  const [first = '', second = ''] = leadingWords(text, start, 2);
  if (!endings.includes(first)) return false;
  if (first === 'prepare') return second === 'transaction';
  return !(first === 'rollback' && /^rollback\s+(work\s+|transaction\s+)?to\b/i.test(text.slice(start, end)));
}

/** Runs the statements in the transaction of `sql`. Throws `seed-failed` with the line of the one that failed. */
export async function runSeedSql(session: Session, sql: TransactionSql, seed: SqlSeed): Promise<void> {
  const inside: Session = { ...session, sql: sql as unknown as Session['sql'] };
  for (const group of groupStatements(seed.text, seed.statements)) {
    const message = seed.text.slice(group.start, group.end);
    if (group.copy) {
      const { start, end } = group.copy as TextRange;
      await copyFromText(inside, message, seed.text, start, end).catch((error) => {
        throw failed(seed, group, error, 0);
      });
    } else {
      const failure = await sendPipelined(inside, [message]);
      if (failure) throw failed(seed, group, failure.error, failure.completed);
    }
  }
}

function failed(seed: SqlSeed, group: StatementGroup, error: unknown, completed: number): unknown {
  if (!isServerError(error)) return error;
  const statement = seed.statements[Math.min(group.from + completed, group.to - 1)];
  const at = error.position
    ? offsetOfPosition(seed.text, group.start, Number(error.position))
    : (statement?.start ?? group.start);
  const place = findPlace(seed.text, at);
  const told = [error.message, error.detail, error.where].filter(Boolean).map((line) => `  ${line}`);
  return new EduschemaError(
    error.code === '42501' ? 'permission-denied' : 'seed-failed',
    `the seed failed at line ${place.line} of ${seed.file} (${error.code})`,
    {
      excerpt: [...told, '', excerptAt(seed.text, place)].join('\n'),
      hint: `${error.hint ?? 'fix the file and run eduschema seed again'}; nothing of this file was kept`,
      cause: error,
      details: { file: seed.file, line: place.line, sqlstate: error.code, reason: error.message },
    },
  );
}
