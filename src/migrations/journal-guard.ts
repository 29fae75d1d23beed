import { isServerError } from '../db/explain-error.ts';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { findFailure } from './failed-at.ts';
import { repeatableJournal, statementJournal } from './journal.ts';
import type { MigrationPlan } from './plan.ts';
import { isTransactional, type PreparedSql } from './prepare.ts';

const emptied = 'eduschema: the journal was emptied';
const changed = 'eduschema: the journal was changed';

/** What the error of a check of this file says of the migration; undefined for any other error. */
export function explainJournalChange(error: unknown): string | undefined {
  if (!isServerError(error)) return undefined;
  if (error.message.includes(emptied)) return 'it emptied the journal of eduschema';
  return error.message.includes(changed) ? 'it changes the journal of eduschema' : undefined;
}

/** What to do about it. */
export const leaveJournal = 'the journal is written by eduschema alone: take out what changes it';

/** SQL, for right before a migration is recorded, that fails when the rows before it are gone. */
export function forbidEmptied(journal: QualifiedName): string {
  return `SELECT (CASE WHEN EXISTS (SELECT FROM ${quoteName(journal)}) THEN '1' ELSE '${emptied}' END)::pg_catalog.int4`;
}

/**
 * SQL, for the end of a statement's own transaction, that fails when it has written to a table of the journal, or
 * taken one away: the session that writes there would wait for it for ever. Needs no rights.
 */
export function forbidChanged(journal: QualifiedName): string {
  const names = [journal, statementJournal(journal)].map(({ name }) => quoteLiteral(name));
  const tables = (columns: string, among: readonly string[]) => `
    SELECT ${columns} FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${quoteLiteral(journal.schema)} AND c.relname IN (${among.join(', ')})`;
  const written = `SELECT FROM pg_catalog.pg_locks l
    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareUpdateExclusiveLock')
      AND l.relation IN (${tables('c.oid', [...names, quoteLiteral(repeatableJournal(journal).name)])})`;
  return `SELECT (CASE WHEN (${tables('count(*)', names)}) < ${names.length} OR EXISTS (${written})
    THEN '${changed}' ELSE '1' END)::pg_catalog.int4`;
}

const writes = /\b(insert|update|delete|merge|truncate|drop|alter|lock)\b/i;

/** Whether the text of a statement writes to a table of the journal, as far as its words show. */
export function changesJournal(text: string, { name }: QualifiedName): boolean {
  if (!writes.test(text)) return false;
  const table = name.replace(/[^\w\u0080-\uffff]/g, '\\$&');
  return new RegExp(
    `(?<![\\w$\\u0080-\\uffff])${table}(_statements|_repeatable|_lease)?(?![\\w$\\u0080-\\uffff])`,
    'i',
  ).test(text);
}

/** Throws, before anything runs, when a statement outside a transaction changes the journal: nothing could be undone. */
export function forbidJournalChanges({ steps }: MigrationPlan, journal: QualifiedName): void {
  for (const step of steps) if (step.kind === 'sql' && !isTransactional(step)) forbidChangeIn(step, journal);
}

function forbidChangeIn({ text, section, unit: { file } }: PreparedSql, journal: QualifiedName): void {
  const statement = section.statements.find(({ start, end }) =>
    changesJournal(text.slice(start, end), journal),
  );
  if (!statement) return;
  const place = findFailure({ file: file.file, text }, undefined, statement, undefined);
  const where = place ? ` at line ${place.line} of ${place.file}` : ` of ${file.file}`;
  throw new EduschemaError('migration-invalid', `a statement${where} changes the journal of eduschema`, {
    excerpt: place && `\n${place.excerpt}\n`,
    hint: leaveJournal,
    details: { file: place?.file ?? file.file, line: place?.line },
  });
}
