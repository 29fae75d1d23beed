/**
 * What eduschema notes in a comment of a table: what it was before it was converted, whose twin it is, where its rows
 * are being moved to.
 */
export type MarkKind = 'was' | 'twin' | 'moving';

const key = 'eduschema';

/** The mark in a comment, a line of JSON `{"eduschema":{"<kind>":...}}` below what people wrote. */
export function readMark<T>(comment: string | null, kind: MarkKind): T | undefined {
  return divide(comment, kind).mark as T | undefined;
}

/** The comment with the mark in it, below what people wrote. */
export function writeMark(comment: string | null, kind: MarkKind, mark: object): string {
  const { text } = divide(comment, kind);
  const line = JSON.stringify({ [key]: { [kind]: mark } });
  return text === null ? line : `${text}\n${line}`;
}

/** The comment without the mark; null when nobody wrote anything else. */
export function withoutMark(comment: string | null, kind: MarkKind): string | null {
  return divide(comment, kind).text;
}

function divide(
  comment: string | null,
  kind: MarkKind,
): { readonly text: string | null; readonly mark?: unknown } {
  const lines = (comment ?? '').split('\n');
  const at = lines.findIndex((line) => parse(line)?.[kind] !== undefined);
  if (at < 0) return { text: comment };
  const rest = lines.filter((_, index) => index !== at);
  return { text: rest.length === 0 ? null : rest.join('\n'), mark: parse(lines[at] as string)?.[kind] };
}

/** Undefined for what is no mark: somebody else's line stays what it is. */
function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith(`{"${key}":{`)) return undefined;
  try {
    return JSON.parse(line)[key];
  } catch {
    return undefined;
  }
}
