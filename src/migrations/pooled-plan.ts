import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import { findPlace } from '../sql/excerpt.ts';
import { divideIntoPieces } from './pieces.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, nameOfUnit, type Prepared } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';

/**
 * Throws, before anything runs, when a migration outside a transaction needs something of its session: behind a pooler
 * each of its statements can reach another one.
 */
export async function forbidSessionNeeds(
  sql: Sql,
  { steps }: MigrationPlan,
  settings: MigrationSettings,
): Promise<void> {
  const outside = steps.filter((step) => !isTransactional(step));
  const [first] = outside;
  if (!first) return;
  const need = needOf(settings) ?? (await findTimeout(sql));
  if (need) throw unsuitable(first, need);
  for (const step of outside) {
    const line = findSetting(step);
    if (line !== undefined)
      throw unsuitable(step, `line ${line} of ${step.unit.file.file} sets something up in the session`);
  }
}

function needOf({ role, schema, statementTimeout = '0' }: MigrationSettings): string | undefined {
  if (role !== undefined) return `the role ${role} is to do the work (--role)`;
  if (schema !== undefined) return `it is to work in the schema ${schema} (--schema)`;
  if (Number.parseFloat(statementTimeout) !== 0) return 'a --statement-timeout is to hold';
  return undefined;
}

async function findTimeout(sql: Sql): Promise<string | undefined> {
  const [found] = await sql<{ name: string; value: string }[]>`
    SELECT name, current_setting(name) AS value
    FROM unnest(ARRAY['statement_timeout', 'lock_timeout', 'transaction_timeout']) AS name
    WHERE coalesce(current_setting(name, true), '0') <> '0'
  `;
  return found && `the server has a ${found.name} of ${found.value}, which would have to be switched off`;
}

function findSetting(step: Prepared): number | undefined {
  if (step.kind !== 'sql') return undefined;
  const { text, section } = step;
  const piece = divideIntoPieces(text, section.statements).find(({ kind }) => kind === 'settings');
  const statement = piece && section.statements[piece.from];
  return statement && findPlace(text, statement.start).line;
}

function unsuitable({ unit }: Prepared, need: string): EduschemaError {
  return new EduschemaError(
    'pooler-unsuitable',
    `${nameOfUnit(unit)} runs outside a transaction, and ${need}: through a pooler, each statement can reach another session`,
    {
      hint: 'connect to the server directly, not to the pooler; nothing has run',
      details: { file: unit.file.file },
    },
  );
}
