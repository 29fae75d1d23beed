import { quoteIdentifier, quoteLiteral } from '../db/identifiers.ts';
import type { ColumnFacts } from './table-facts.ts';

/** `t."id"`; without an alias `"id"`. */
export function at(alias: string, column: string): string {
  return alias === '' ? quoteIdentifier(column) : `${alias}.${quoteIdentifier(column)}`;
}

/** `t."a", t."b"` */
export function listOf(alias: string, columns: readonly string[]): string {
  return columns.map((column) => at(alias, column)).join(', ');
}

/** `p.l1, p.l2`: columns of ours, which are numbered. */
export function numbered(alias: string, prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${alias}.${prefix}${index + 1}`);
}

/** `t."a" = p.l1 AND t."b" = p.l2` */
export function equal(alias: string, columns: readonly string[], others: readonly string[]): string {
  return columns.map((column, index) => `${at(alias, column)} = ${others[index]}`).join(' AND ');
}

/**
 * A row as JSON of text: each value as the server writes it, which it reads again without loss. to_jsonb would
 * lose a JSON null, the spelling of json, the bounds of an array.
 */
export function imageOf(alias: string, columns: readonly ColumnFacts[]): string {
  const names = columns.map(({ name }) => quoteLiteral(name)).join(', ');
  const values = columns.map(({ name }) => `${at(alias, name)}::text`).join(', ');
  return `pg_catalog.jsonb_object(ARRAY[${names}]::text[], ARRAY[${values}]::text[])`;
}

/**
 * The settings of the session that merges or undoes: text is what it was when it was written, and `=` compares values of an
 * extension's type (citext) as that type does, wherever the extension is; else it would compare them as text.
 */
export const textSettings = `SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET intervalstyle = 'postgres';
SET extra_float_digits = 1; SET bytea_output = 'hex'; SET xmloption = 'content'; SET jit = off; SET client_min_messages = warning;
SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', nullif(pg_catalog.current_setting('search_path'), ''),
  (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ') FROM pg_catalog.pg_extension e
   JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname <> 'pg_catalog')), false)`;
