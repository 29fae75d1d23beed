import { quoteText } from '../sql/quote.ts';

/** Values by name, for `$(name)` in migrations that say `placeholders:true`. */
export type Placeholders = Readonly<Record<string, string>>;

const form = /\$\((?:(?<value>[a-z_][a-z0-9_]*)|"(?<identifier>[a-z_][a-z0-9_]*)")\)/y;

/** A placeholder as it stands in a text. */
export interface Placeholder {
  readonly name: string;
  readonly as: 'literal' | 'identifier';
  readonly length: number;
}

/** The placeholder that begins at `at`: `$(name)` for a literal, `$("name")` for an identifier. */
export function placeholderAt(text: string, at: number): Placeholder | undefined {
  form.lastIndex = at;
  const found = form.exec(text);
  if (!found) return undefined;
  const { value, identifier } = found.groups ?? {};
  return {
    name: value ?? identifier ?? '',
    as: value === undefined ? 'identifier' : 'literal',
    length: found[0].length,
  };
}

/** What must not touch a quoted value: beside it, it would be another token. */
const joins = /[\w'"&$\u0080-\uffff]/;

/**
 * The value that stands for a placeholder, quoted, and apart from what could change its meaning; undefined when it
 * has none.
 */
export function placeholderText(
  text: string,
  at: number,
  { name, as, length }: Placeholder,
  placeholders: Placeholders,
): string | undefined {
  if (!Object.hasOwn(placeholders, name)) return undefined;
  const quoted = quoteText(String(placeholders[name]), as);
  const before = joins.test(text.charAt(at - 1)) ? ' ' : '';
  const after = joins.test(text.charAt(at + length)) ? ' ' : '';
  return before + quoted + after;
}
