import { quoteIdentifier } from '../db/identifiers.ts';
import { defaultLockTimeout } from '../db/lock-settings.ts';
import { recordOf } from './execute.ts';
import type { Journal } from './journal.ts';
import { sinceTransactionStart } from './journal-statements.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, nameOfUnit, type Prepared } from './prepare.ts';
import { preparationStatements } from './prepare-journal.ts';
import { bodyOf, bytesLeftOut, restOf } from './script-body.ts';
import { renderHooks } from './script-hooks.ts';
import { closingStatements, openingStatements, type SessionSettings } from './session-sql.ts';
import type { MigrationSettings } from './settings.ts';
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
 * code: they stand as a comment, and the script then ends before them with an error. So it does before a migration whose
 * COPY data is too much for a script; its SQL stands there to be read. So do functions that are hooks.
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
  const together = singleTransaction ?? false;
  const session = sessionOf(settings, versionNumber);
  const hooksOf = (when: 'before' | 'after') => renderHooks(plan.hooks[when], session, settings, together);
  const hasWork = plan.steps.length > 0 || plan.hooks.after.length > 0 || setup.length > 0;
  parts.push(...hooksOf('before'));
  for (const step of plan.steps)
    parts.push(renderStep(step, settings, together, session, findUnfinished(step, unfinished)));
  parts.push(...hooksOf('after'));
  if (singleTransaction) parts.push('COMMIT;');
  return hasWork ? `${parts.join('\n\n')}\n` : '';
}

function sessionOf(
  { lockTimeout = defaultLockTimeout, statementTimeout = '0', role, schema }: MigrationSettings,
  versionNumber: number,
): SessionSettings {
  return { lockTimeout, statementTimeout, role, schema, versionNumber };
}

function renderStep(
  step: Prepared,
  settings: MigrationSettings,
  together: boolean,
  session: SessionSettings,
  unfinished: Unfinished | undefined,
): string {
  const title = `${step.direction === 'down' ? 'undo ' : ''}${nameOfUnit(step.unit)} (${step.unit.file.file})`;
  if (step.kind === 'module')
    return `-- ${title}\n\\warn ${nameOfUnit(step.unit)} is code, not SQL: run eduschema\n\\q`;
  const inside = isTransactional(step);
  const leftOut = bytesLeftOut(step);
  const missing =
    leftOut > 0
      ? `\\warn ${nameOfUnit(step.unit)} has ${leftOut} bytes of COPY data that are not in this script: run eduschema\n\\q\n`
      : '';
  const opening = openingStatements(session, inside ? 'LOCAL' : 'SESSION').join('; ');
  const reset = together ? 'RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL' : 'DISCARD ALL';
  const record = [
    closingStatements(session).join('; '),
    recordOf(step, settings.journal, inside ? sinceTransactionStart : 'NULL'),
  ];
  if (together) return missing + lines(title, [reset, opening, bodyOf(step), ...record]);
  if (inside) return missing + lines(title, [reset, 'BEGIN', opening, bodyOf(step), ...record, 'COMMIT']);
  const body = unfinished ? restOf(step, unfinished) : bodyOf(step);
  return missing + lines(title, [reset, opening, body, 'BEGIN READ WRITE', ...record, 'COMMIT']);
}

function lines(title: string, statements: readonly string[]): string {
  const ended = statements.map((statement) => (statement.endsWith('\\.') ? statement : `${statement};`));
  return [`-- ${title}`, ...ended].join('\n');
}

function findUnfinished(step: Prepared, unfinished: readonly Unfinished[]): Unfinished | undefined {
  return unfinished.find(
    ({ migration, direction }) => migration === migrationOf(step.unit) && direction === step.direction,
  );
}

function roleOf({ role }: Pick<MigrationSettings, 'role'>): string[] {
  return role ? [`SET LOCAL ROLE ${quoteIdentifier(role)}`] : [];
}
