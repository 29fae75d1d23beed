import { quoteIdentifier } from '../db/identifiers.ts';
import { recordOf } from './execute.ts';
import { type Journal, journalStatements, sinceTransactionStart } from './journal.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, nameOfUnit, type Prepared, type PreparedSql } from './prepare.ts';
import { defaultLockTimeout, type MigrationSettings } from './settings.ts';

/**
 * The plan as SQL that psql runs with the same effect, the journal included. Migrations written in TypeScript are
 * code: they stand as a comment, and the script then ends before them with an error.
 */
export function renderScript(
  plan: MigrationPlan,
  journal: Journal,
  settings: MigrationSettings,
  { singleTransaction }: { readonly singleTransaction?: boolean | undefined },
): string {
  const repeatable = plan.steps.some(({ unit }) => unit.type === 'repeatable');
  const setup =
    plan.steps.length > 0 || journal.shape === 'guide' ? journalStatements(journal, { repeatable }) : [];
  const parts = ['\\set ON_ERROR_STOP on'];
  if (setup.length > 0) parts.push(section('the journal', [...roleOf(settings), ...setup], true));
  if (singleTransaction) parts.push('BEGIN;');
  for (const step of plan.steps) parts.push(renderStep(step, settings, singleTransaction ?? false));
  if (singleTransaction) parts.push('COMMIT;');
  return plan.steps.length > 0 || setup.length > 0 ? `${parts.join('\n\n')}\n` : '';
}

function renderStep(step: Prepared, settings: MigrationSettings, together: boolean): string {
  const title = `${step.direction === 'down' ? 'undo ' : ''}${nameOfUnit(step.unit)} (${step.unit.file.file})`;
  if (step.kind === 'module')
    return `-- ${title}\n\\warn ${nameOfUnit(step.unit)} is code, not SQL: run eduschema\n\\q`;
  const inside = isTransactional(step);
  const body = [
    ...(inside ? settingsOf(settings) : ["SET statement_timeout = '0'", "SET lock_timeout = '0'"]),
    bodyOf(step),
  ];
  const record = recordOf(step, settings.journal, inside ? sinceTransactionStart : 'NULL');
  return section(title, [...body, record], inside && !together);
}

function section(title: string, statements: readonly string[], transaction: boolean): string {
  const lines = statements.map((statement) => (statement.endsWith('\\.') ? statement : `${statement};`));
  return [`-- ${title}`, ...(transaction ? ['BEGIN;', ...lines, 'COMMIT;'] : lines)].join('\n');
}

function settingsOf({ lockTimeout, statementTimeout, schema, ...rest }: MigrationSettings): string[] {
  return [
    `SET LOCAL statement_timeout = '${statementTimeout ?? '0'}'`,
    `SET LOCAL lock_timeout = '${lockTimeout ?? defaultLockTimeout}'`,
    ...(schema ? [`SET LOCAL search_path = ${quoteIdentifier(schema)}, public`] : []),
    ...roleOf(rest),
  ];
}

function roleOf({ role }: Pick<MigrationSettings, 'role'>): string[] {
  return role ? [`SET LOCAL ROLE ${quoteIdentifier(role)}`] : [];
}

/** The section's text from its first to its last statement, comments between them included. */
function bodyOf({ text, section: { statements } }: PreparedSql): string {
  const [first, last] = [statements[0], statements.at(-1)];
  if (!first || !last) return 'SELECT 1';
  return last.data ? `${text.slice(first.start, last.data.end)}\\.` : text.slice(first.start, last.end);
}
