import type { Statement } from '../sql/split.ts';
import { readGap } from './large-file.ts';
import { divideIntoPieces } from './pieces.ts';
import type { PreparedSql } from './prepare.ts';
import type { Unfinished } from './statement-journal.ts';

/** Bytes of data on the disk that are still copied into a script. */
const mostData = 1024 * 1024;

/** The bytes of a migration's COPY data that its body in a script lacks. */
export function bytesLeftOut({ section: { statements } }: PreparedSql): number {
  const bytes = statements.reduce(
    (sum, { data }) => sum + (data && 'path' in data ? data.end - data.start : 0),
    0,
  );
  return bytes > mostData ? bytes : 0;
}

/** The section's text from its first to its last statement, comments between them included, psql commands not. */
export function bodyOf(step: PreparedSql): string {
  const {
    text,
    section: { statements },
  } = step;
  const last = statements.at(-1);
  if (!last) return 'SELECT 1';
  const leaveOut = bytesLeftOut(step) > 0;
  const parts = statements.map((statement, index) => {
    const next = statements[index + 1];
    const own = text.slice(statement.start, statement.end) + dataOf(text, statement, leaveOut);
    if (!next) return own;
    const between = text.slice(endOf(statement), next.start);
    // The line \\. stands in dataOf already.
    return (
      own + (statement.data ? between.replace(/^\\\.\r?(?=\n|$)/, '') : between).replace(psqlCommand, '')
    );
  });
  return parts.join('');
}

/** What is left of a migration outside a transaction, as far as can be said without looking at what was begun. */
export function restOf(step: PreparedSql, { done, begun }: Unfinished): string {
  const {
    text,
    section: { statements },
  } = step;
  const leaveOut = bytesLeftOut(step) > 0;
  const settings = new Set(
    divideIntoPieces(text, statements)
      .filter(({ kind }) => kind === 'settings')
      .map(({ from }) => from + 1),
  );
  const texts = statements.map((statement, index) => {
    const ordinal = index + 1;
    if (done.includes(ordinal) && !settings.has(ordinal))
      return `-- statement ${ordinal} was carried out already`;
    const note =
      begun?.ordinal === ordinal
        ? `-- statement ${ordinal} was begun already: eduschema finds out what became of it first\n`
        : '';
    const own = text.slice(statement.start, statement.end) + dataOf(text, statement, leaveOut);
    return `${note}${own}${statement.data ? '' : ';'}`;
  });
  return `${texts.join('\n')}\nSELECT 1`;
}

const psqlCommand = /^\\(un)?restrict\b.*$/gm;

const endOf = ({ end, data }: Statement) => (data ? ('path' in data ? data.at : data.end) : end);

function dataOf(text: string, { end, data }: Statement, leaveOut: boolean): string {
  if (!data) return '';
  if (!('path' in data))
    return `${text.slice(end, data.end)}${endedLine(text.slice(data.start, data.end))}\\.`;
  const before = text.slice(end, data.at);
  const bytes = data.end - data.start;
  if (leaveOut) return `${before}-- ${bytes} bytes of data are left out here\n\\.`;
  const content = Buffer.concat([...readGap(data)]).toString('utf8');
  return `${before}${content}${endedLine(content)}\\.`;
}

/** Data that a file ends with may lack its last line end. */
const endedLine = (data: string) => (data === '' || data.endsWith('\n') ? '' : '\n');
