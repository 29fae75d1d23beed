import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';

/**
 * What decides how COPY writes a value. With these fixed, a row is the same text whoever writes it, on whatever server,
 * and is read as it was written.
 */
export const copySettings: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  search_path: 'pg_catalog',
};

/**
 * Sets them for the transaction. Row security off: a policy would leave rows out in silence, and now it is an error.
 */
export async function applyCopySettings(sql: TransactionSql): Promise<void> {
  const settings = { ...copySettings, row_security: 'off', synchronize_seqscans: 'off' };
  const set = Object.entries(settings).map(
    ([name, value]) => `set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, true)`,
  );
  await sql.unsafe(`SELECT ${set.join(', ')}`);
}

/** `COPY ... TO STDOUT` or `FROM STDIN`, in PostgreSQL's text format, with the columns named. */
export function copyStatement(
  table: QualifiedName,
  columns: readonly string[],
  direction: 'TO STDOUT' | 'FROM STDIN',
): string {
  return `COPY ${quoteName(table)} (${columns.map(quoteIdentifier).join(', ')}) ${direction}`;
}
