import { quoteText } from '../sql/quote.ts';

/** How a text is taken apart. */
export interface Splitting {
  /** Signs between tags, each one or several characters; empty for an array whose elements are tags already. */
  readonly separators: readonly string[];
  /** Whether a separator between double quotes belongs to the tag. */
  readonly quotes: boolean;
}

/** Comma, its full-width and its ideographic forms, semicolon, new line. */
export const usualSeparators: readonly string[] = [',', '，', '、', ';', '\n'];

/** ASCII's unit separator: stands for a separator outside quotes while a text with quotes is taken apart. */
const unit = '\u001f';

const literal = (value: string) => quoteText(value, 'literal');

/** SQL for the pieces of a text or an array, as an array: not trimmed, empty ones among them. */
export function piecesOf(expression: string, isArray: boolean, splitting: Splitting): string {
  const { separators, quotes } = splitting;
  if (isArray && separators.length === 0) return `(${expression})::text[]`;
  // A quotation mark stands for nothing in the next element.
  if (isArray && quotes)
    return `ARRAY(SELECT p.piece FROM unnest(${expression}) AS e (element), unnest(${piecesOf('e.element', false, splitting)}) AS p (piece))`;
  const text = isArray
    ? `array_to_string(${expression}, ${literal(separators[0] ?? ',')})`
    : `(${expression})::text`;
  const plain = splitPlain(text, separators);
  if (!quotes) return plain;
  return `CASE WHEN strpos(${text}, '"') = 0 THEN ${plain} ELSE ${splitQuoted(text, separators)} END`;
}

/** True in SQL for a text, or an array with an element, whose double quotes are not in pairs. */
export function hasOpenQuote(expression: string, isArray: boolean): string {
  if (isArray)
    return `EXISTS (SELECT FROM unnest(${expression}) AS e (element) WHERE ${hasOpenQuote('e.element', false)})`;
  const text = `(${expression})::text`;
  return `(length(${text}) - length(replace(${text}, '"', ''))) % 2 = 1`;
}

function splitPlain(text: string, separators: readonly string[]): string {
  const [first = ',', ...others] = inOrder(separators);
  return `string_to_array(${unify(text, others, first)}, ${literal(first)})`;
}

/** Between quotes, at every second place, all stays; two quotes in a row within quotes are one. */
function splitQuoted(text: string, separators: readonly string[]): string {
  const outside = unify('part', inOrder(separators), unit);
  return `string_to_array((
    SELECT string_agg(CASE WHEN place % 2 = 0 THEN part WHEN part = '' AND place > 1 AND place < parts THEN '"' ELSE ${outside} END, '' ORDER BY place)
    FROM (SELECT part, place, count(*) OVER () AS parts FROM unnest(string_to_array(${text}, '"')) WITH ORDINALITY AS q (part, place)) AS quoted
  ), ${literal(unit)})`;
}

/** Single characters first: `translate` takes all of them at once. */
function inOrder(separators: readonly string[]): readonly string[] {
  return [...new Set(separators)].sort((a, b) => [...a].length - [...b].length);
}

/** SQL for the text with `one` for each of the separators. Longer ones go first: they may contain the others. */
function unify(text: string, separators: readonly string[], one: string): string {
  const singles = separators.filter((sign) => [...sign].length === 1);
  const longer = separators.filter((sign) => [...sign].length > 1).reverse();
  const replaced = longer.reduce(
    (inner, sign) => `replace(${inner}, ${literal(sign)}, ${literal(one)})`,
    text,
  );
  if (singles.length === 0) return replaced;
  if ([...one].length === 1)
    return `translate(${replaced}, ${literal(singles.join(''))}, ${literal(one.repeat(singles.length))})`;
  return singles.reduce((inner, sign) => `replace(${inner}, ${literal(sign)}, ${literal(one)})`, replaced);
}
