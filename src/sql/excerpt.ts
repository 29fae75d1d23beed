/** A place in a text, as editors count: both from 1, the column in characters. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** The place of the offset `at` in `text`. */
export function findPlace(text: string, at: number): Place {
  let line = 1;
  let lineStart = 0;
  for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', lineStart)) {
    line++;
    lineStart = end + 1;
  }
  return { line, column: [...text.slice(lineStart, at)].length + 1 };
}

/**
 * The offset in `text` of PostgreSQL's `position`, which counts characters from 1 within a message that began at
 * `start`. An emoji is one character to PostgreSQL and two to JavaScript.
 */
export function offsetOfPosition(text: string, start: number, position: number): number {
  let at = start;
  for (let left = position - 1; left > 0 && at < text.length; left--) {
    const code = text.charCodeAt(at);
    at += code >= 0xd800 && code <= 0xdbff ? 2 : 1;
  }
  return at;
}

const longestLine = 160;

/**
 * The line of `place` with the one or two before it, numbered, and a caret below the column:
 * ```
 *    11 |   id   bigint primary key,
 *    12 |   name citex not null
 *       |        ^
 * ```
 * Long lines are cut around the caret. Wide characters (Hangul) count two columns, as a terminal shows them.
 * `numberOf` says how the lines are numbered, when not from 1.
 */
export function excerptAt(
  text: string,
  place: Place,
  numberOf: (line: number) => number = (line) => line,
): string {
  const lines = text.split('\n', place.line).map((line) => line.replace(/\r$/, ''));
  const first = Math.max(1, place.line - 2);
  const width = String(numberOf(place.line)).length + 2;
  const window = windowAround(lines[place.line - 1] ?? '', place.column - 1);
  const numbered = lines.slice(first - 1).map((line, index) => {
    const shown = first + index === place.line ? window.shown : cut(line);
    return `${String(numberOf(first + index)).padStart(width)} | ${shown}`;
  });
  return [...numbered, `${' '.repeat(width)} | ${' '.repeat(window.caret)}^`].join('\n');
}

function windowAround(line: string, column: number): { shown: string; caret: number } {
  const characters = [...line];
  const from = column > longestLine - 40 ? column - 60 : 0;
  const lead = from > 0 ? '…' : '';
  const shown = characters.slice(from, from + longestLine).join('');
  const before = lead + characters.slice(from, column).join('').replaceAll('\t', '  ');
  const tail = characters.length > from + longestLine ? '…' : '';
  return { shown: lead + shown.replaceAll('\t', '  ') + tail, caret: displayWidth(before) };
}

function cut(line: string): string {
  const shown = line.replaceAll('\t', '  ');
  return shown.length > longestLine ? `${shown.slice(0, longestLine)}…` : shown;
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u;

function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += wide.test(character) ? 2 : 1;
  return width;
}
