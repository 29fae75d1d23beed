import { quoteIdentifier } from '../db/identifiers.ts';
import { recordOf } from './execute.ts';
import type { Journal } from './journal.ts';
import { sinceTransactionStart } from './journal-statements.ts';
import { divideIntoPieces } from './pieces.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, nameOfUnit, type Prepared, type PreparedSql } from './prepare.ts';
import { preparationStatements } from './prepare-journal.ts';
import { closingStatements, openingStatements, type SessionSettings } from './session-sql.ts';
import { defaultLockTimeout, type MigrationSettings } from './settings.ts';
import { migrationOf, type Unfinished } from './statement-journal.ts';

export interface ScriptOptions {
  readonly singleTransaction?: boolean | undefined;
  /** `server_version_num` of the server that it is for. */
  readonly versionNumber: number;
  /** Migrations whose run ended in the middle. */
  readonly unfinished: readonly Unfinished[];
}

/**
 * The plan as SQL that psql runs with the same effect, the journal included. Migrations written in TypeScript are
 * code: they stand as a comment, and the script then ends before them with an error.
 */
export function renderScript(
  plan: MigrationPlan,
  journal: Journal,
  settings: MigrationSettings,
  { singleTransaction, versionNumber, unfinished }: ScriptOptions,
): string {
  const schema = settings.schema ? [`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(settings.schema)}`] : [];
  const needed = plan.steps.length > 0 || journal.shape === 'guide';
  const setup = needed ? [...schema, ...preparationStatements(journal, plan)] : [];
  const parts = ['\\set ON_ERROR_STOP on'];
  if (setup.length > 0) parts.push(lines('the journal', ['BEGIN', ...roleOf(settings), ...setup, 'COMMIT']));
  if (singleTransaction) parts.push('BEGIN;');
  for (const step of plan.steps)
    parts.push(
      renderStep(step, settings, singleTransaction ?? false, versionNumber, findUnfinished(step, unfinished)),
    );
  if (singleTransaction) parts.push('COMMIT;');
  return plan.steps.length > 0 || setup.length > 0 ? `${parts.join('\n\n')}\n` : '';
}

function renderStep(
  step: Prepared,
  settings: MigrationSettings,
  together: boolean,
  versionNumber: number,
  unfinished: Unfinished | undefined,
): string {
  const title = `${step.direction === 'down' ? 'undo ' : ''}${nameOfUnit(step.unit)} (${step.unit.file.file})`;
  if (step.kind === 'module')
    return `-- ${title}\n\\warn ${nameOfUnit(step.unit)} is code, not SQL: run eduschema\n\\q`;
  const inside = isTransactional(step);
  const session: SessionSettings = {
    lockTimeout: settings.lockTimeout ?? defaultLockTimeout,
    statementTimeout: settings.statementTimeout ?? '0',
    role: settings.role,
    schema: settings.schema,
    versionNumber,
  };
  const opening = openingStatements(session, inside ? 'LOCAL' : 'SESSION').join('; ');
  const reset = together ? 'RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL' : 'DISCARD ALL';
  const record = [
    closingStatements(session).join('; '),
    recordOf(step, settings.journal, inside ? sinceTransactionStart : 'NULL'),
  ];
  if (together) return lines(title, [reset, opening, bodyOf(step), ...record]);
  if (inside) return lines(title, [reset, 'BEGIN', opening, bodyOf(step), ...record, 'COMMIT']);
  const body = unfinished ? restOf(step, unfinished) : bodyOf(step);
  return lines(title, [reset, opening, body, 'BEGIN READ WRITE', ...record, 'COMMIT']);
}

function lines(title: string, statements: readonly string[]): string {
  const ended = statements.map((statement) => (statement.endsWith('\\.') ? statement : `${statement};`));
  return [`-- ${title}`, ...ended].join('\n');
}

/** The section's text from its first to its last statement, comments between them included. */
function bodyOf({ text, section: { statements } }: PreparedSql): string {
  const [first, last] = [statements[0], statements.at(-1)];
  if (!first || !last) return 'SELECT 1';
  return last.data ? `${text.slice(first.start, last.data.end)}\\.` : text.slice(first.start, last.end);
}

function findUnfinished(step: Prepared, unfinished: readonly Unfinished[]): Unfinished | undefined {
  return unfinished.find(
    ({ migration, direction }) => migration === migrationOf(step.unit) && direction === step.direction,
  );
}

/** What is left of a migration outside a transaction, as far as can be said without looking at what was begun. */
function restOf({ text, section: { statements } }: PreparedSql, { done, begun }: Unfinished): string {
  const settings = new Set(
    divideIntoPieces(text, statements)
      .filter(({ kind }) => kind === 'settings')
      .map(({ from }) => from + 1),
  );
  const texts = statements.map((statement, index) => {
    const ordinal = index + 1;
    const { start, end, data } = statement;
    if (done.includes(ordinal) && !settings.has(ordinal))
      return `-- statement ${ordinal} was carried out already`;
    const note =
      begun?.ordinal === ordinal
        ? `-- statement ${ordinal} was begun already: eduschema finds out what became of it first\n`
        : '';
    return `${note}${data ? `${text.slice(start, data.end)}\\.` : `${text.slice(start, end)};`}`;
  });
  return `${texts.join('\n')}\nSELECT 1`;
}

function roleOf({ role }: Pick<MigrationSettings, 'role'>): string[] {
  return role ? [`SET LOCAL ROLE ${quoteIdentifier(role)}`] : [];
}
