import type { Database, Session } from '../db/connect.ts';
import { quoteIdentifier } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import type { Journal } from './journal.ts';
import {
  adoptStatement,
  createHooksJournal,
  forgetRepeatableStatement,
  journalStatements,
  makeAfterDueStatement,
} from './journal-statements.ts';
import { fenceOf } from './lease.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';
import { createStatementJournal } from './statement-journal.ts';
import type { HeldTurn } from './turn.ts';

/** Throws where nothing can be changed. */
export function forbidReadOnly({ facts, target }: Database): void {
  if (facts.inRecovery)
    throw new EduschemaError(
      'server-read-only',
      `${target.origin} leads to a server in recovery, which takes no changes`,
      { hint: 'connect to the primary' },
    );
  if (facts.readOnly)
    throw new EduschemaError(
      'server-read-only',
      `transactions of ${facts.user} are read-only here (default_transaction_read_only)`,
      { hint: 'use another role, or change the setting' },
    );
}

/**
 * Makes the journal complete where it is not, and the schema where it is missing; gives adopted rows their
 * checksums, and takes out what the plan forgets.
 */
export async function prepareJournal(
  session: Session,
  journal: Journal,
  plan: MigrationPlan,
  settings: Omit<HeldTurn, 'token'>,
): Promise<void> {
  const statements = [
    ...(await schemaStatements(session, settings)),
    ...preparationStatements(journal, plan),
  ];
  if (statements.length === 0) return;
  await session.sql
    .unsafe(`BEGIN; ${[...statements, ...fenceOf(settings)].join(';\n')}; COMMIT`)
    .catch(async (error) => {
      await session.sql.unsafe('ROLLBACK').catch(() => {});
      throw error;
    });
}

/** The SQL that the journal needs before the plan is run. */
export function preparationStatements(journal: Journal, plan: MigrationPlan): string[] {
  const repeatable = plan.steps.some(({ unit }) => unit.type === 'repeatable');
  const adopted = plan.state.entries.flatMap(({ row, file }) =>
    row && file && row.checksum === null ? [adoptStatement(journal.name, row.version, file.checksum)] : [],
  );
  const forgotten = plan.forgotten.map((name) => forgetRepeatableStatement(journal.name, name));
  const needsStatements = plan.steps.some((step) => step.kind === 'sql' && !isTransactional(step));
  const statements = needsStatements && !journal.hasStatements ? [createStatementJournal(journal.name)] : [];
  return [
    ...journalStatements(journal, { repeatable }),
    ...statements,
    ...hookStatements(journal, plan),
    ...adopted,
    ...forgotten,
  ];
}

/** With the last before hook they become due; without one, here. */
function hookStatements({ name, hasHooks }: Journal, { hooks }: MigrationPlan): string[] {
  if (!hooks.makesDue) return [];
  return [
    ...(hasHooks ? [] : [createHooksJournal(name)]),
    ...(hooks.before.length > 0 ? [] : [makeAfterDueStatement(name)]),
  ];
}

/** Without its schema, what a migration creates would go to the next one in search_path. */
async function schemaStatements({ sql }: Session, { schema }: MigrationSettings): Promise<string[]> {
  if (schema === undefined) return [];
  const found = await sql`SELECT 1 FROM pg_namespace WHERE nspname = ${schema}`;
  return found.length > 0 ? [] : [`CREATE SCHEMA ${quoteIdentifier(schema)}`];
}
