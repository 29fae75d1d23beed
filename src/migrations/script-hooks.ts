import { recordOf } from './execute.ts';
import { nameOfUnit, type Prepared } from './prepare.ts';
import { bodyOf } from './script-body.ts';
import { closingStatements, openingStatements, type SessionSettings } from './session-sql.ts';
import type { MigrationSettings } from './settings.ts';

/**
 * The hooks of one kind for a script: parts in one transaction, unless they are `together` with everything. A function
 * stands as a comment, and the script then ends before all of them.
 */
export function renderHooks(
  hooks: readonly Prepared[],
  session: SessionSettings,
  { journal }: Pick<MigrationSettings, 'journal'>,
  together: boolean,
): string[] {
  if (hooks.length === 0) return [];
  const code = hooks.find(({ kind }) => kind === 'module');
  const stop = code ? [`\\warn ${nameOfUnit(code.unit)} is code, not SQL: run eduschema\n\\q`] : [];
  const parts = hooks.map((hook) => renderHook(hook, session, recordOf(hook, journal, 'NULL')));
  return together ? [...stop, ...parts] : [...stop, 'DISCARD ALL;\nBEGIN;', ...parts, 'COMMIT;'];
}

function renderHook(hook: Prepared, session: SessionSettings, record: string): string {
  const statements = [
    'RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL',
    openingStatements(session).join('; '),
    hook.kind === 'sql' ? bodyOf(hook) : '-- a function',
    closingStatements(session).join('; '),
    record,
  ];
  const ended = statements
    .filter((statement) => statement !== '')
    .map((statement) => (/^-- |\\\.$/.test(statement) ? statement : `${statement};`));
  return [`-- ${nameOfUnit(hook.unit)} (${hook.unit.file.file})`, ...ended].join('\n');
}
