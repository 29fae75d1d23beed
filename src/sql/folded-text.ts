import { quoteText } from './quote.ts';

/**
 * What is taken for the same in two texts. `nfc`: Unicode's forms of one sign (Hangul as a Mac writes it). `width`: full-width
 * letters, digits and blanks. `nfkc`: all that Unicode calls compatible, both of these and more: ㈜ is (주), and ① is 1.
 * `case`: upper and lower case, as far as the database's locale knows them. `space`: blanks around, several in a row,
 * other kinds of blanks, and signs without a width.
 */
export type Fold = 'nfc' | 'width' | 'nfkc' | 'case' | 'space';

/** All of them. */
export const folds: readonly Fold[] = ['nfc', 'width', 'nfkc', 'case', 'space'];

/** `!` to `~`, which Unicode has again, as wide as Hangul, from U+FF01 on; and the blank. */
const narrow = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index)).join('');
const wide = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0xff01 + index)).join('');

/** Written out, as \s means less in some locales. */
const blanks = String.raw`[\s\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+`;
const invisible = String.raw`[\u200b\u2060\ufeff]`;

/**
 * SQL for the text of `expression` without what `chosen` takes for the same: equal for texts that are the same under
 * it. Immutable, so that an index can be made of it; for databases in UTF8 on PostgreSQL 13 and later.
 */
export function foldedText(expression: string, chosen: readonly Fold[]): string {
  const has = (fold: Fold) => chosen.includes(fold);
  // Regular expressions refuse collations for which different texts are equal.
  let text = `(${expression})::text COLLATE pg_catalog."default"`;
  if (has('width') && !has('nfkc'))
    text = `pg_catalog.translate(${text}, ${literal(`${wide}\u3000`)}, ${literal(`${narrow} `)})`;
  if (has('nfkc')) text = `pg_catalog.normalize(${text}, 'NFKC')`;
  else if (has('nfc')) text = `pg_catalog.normalize(${text}, 'NFC')`;
  if (has('space')) {
    text = `pg_catalog.regexp_replace(${text}, ${literal(invisible)}, '', 'g')`;
    text = `pg_catalog.btrim(pg_catalog.regexp_replace(${text}, ${literal(blanks)}, ' ', 'g'))`;
  }
  return has('case') ? `pg_catalog.lower(${text})` : text;
}

const literal = (value: string) => quoteText(value, 'literal');
