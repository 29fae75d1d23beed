import { EduschemaError } from '../errors.ts';
import { quoteText } from '../sql/quote.ts';

/** A table (or another object in a schema) by its name. */
export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

/** PostgreSQL cuts longer identifiers, in bytes, without an error. */
const longestIdentifier = 63;

/** The identifier as SQL text, always quoted. */
export function quoteIdentifier(name: string): string {
  return quoteText(name, 'identifier');
}

/** The qualified name as SQL text. */
export function quoteName({ schema, name }: QualifiedName): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** The qualified name for a person: `public.download_logs`. */
export function showName({ schema, name }: QualifiedName): string {
  return `${schema}.${name}`;
}

/** The value as an SQL string literal, whatever standard_conforming_strings says. */
export function quoteLiteral(value: string): string {
  return quoteText(value, 'literal');
}

/** Throws when PostgreSQL would cut the identifier. */
export function checkIdentifier(name: string, what: string): string {
  if (name === '') throw new EduschemaError('config-invalid', `${what} is empty`);
  if (name.includes('\0')) throw new EduschemaError('config-invalid', `${what} contains a zero byte`);
  const bytes = Buffer.byteLength(name);
  if (bytes <= longestIdentifier) return name;
  throw new EduschemaError(
    'config-invalid',
    `${what} ${name} has ${bytes} bytes; PostgreSQL allows ${longestIdentifier}`,
  );
}
