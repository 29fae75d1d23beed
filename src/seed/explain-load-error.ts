import { isServerError, type ServerError } from '../db/explain-error.ts';
import { type QualifiedName, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';

/** What the server says of rows that were written to a table, with the table's name and what to do. */
export function explainLoadError(name: QualifiedName, error: unknown): unknown {
  const shown = `${name.schema}.${name.name}`;
  if (error instanceof RangeError)
    return new EduschemaError('seed-invalid', `${shown} cannot be filled: ${error.message}`, {
      hint: 'fix the seed and run eduschema seed again; nothing of it was kept',
      cause: error,
    });
  if (!isServerError(error)) return error;
  const told = [error.message, error.detail, error.where].filter(Boolean);
  return new EduschemaError(
    error.code === '42501' ? 'permission-denied' : 'seed-failed',
    `cannot write rows of ${shown} (${error.code})`,
    {
      excerpt: told.map((line) => `  ${line}`).join('\n'),
      hint: `${hintFor(error, name)}; nothing of this seed was kept`,
      cause: error,
      details: { table: shown, sqlstate: error.code, reason: error.message },
    },
  );
}

function hintFor({ code, hint }: ServerError, name: QualifiedName): string {
  switch (code) {
    case '42501':
      return 'use the role that owns the tables (--role)';
    case '53100':
      return 'make room on the disk of the server, or seed fewer rows, and run eduschema seed again';
    case '23505':
      return 'a row of your own has that value: change one of the two, and run eduschema seed again';
    case '23514':
      return `if it is for want of a partition: eduschema partitions ensure ${quoteName(name).replaceAll('"', '')}`;
    default:
      return hint ?? 'see what the server says, and run eduschema seed again';
  }
}
