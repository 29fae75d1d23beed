import { EduschemaError } from '../errors.ts';
import { type SqlParts, type Statement, splitSql } from '../sql/split.ts';
import { leadingWords } from '../sql/tokens.ts';
import { isMarker, markerPattern } from './markers.ts';

/** The two halves of an SQL migration, in dbmate's format. */
export interface Sections {
  readonly up: Section;
  /** Undefined when the file has no `-- migrate:down`, or nothing to run below it. */
  readonly down: Section | undefined;
  /** From `requires:` behind `migrate:up`, for repeatable migrations. */
  readonly requires: string | undefined;
}

export interface Section {
  readonly statements: readonly Statement[];
  /** False when the marker says `transaction:false`. */
  readonly transaction: boolean;
}

interface Marker {
  readonly direction: string;
  readonly options: Readonly<Record<string, string>>;
  readonly at: number;
}

/** What somebody may have meant as a marker. */
const nearMarker = /^--\s*\+?\s*migrate\s*[:\-\s]\s*(up|down)\b/i;

const copiesOut = /^copy\b(?:[^']|'[^']*')*?\bto\s+stdout\b/i;

/** Says where an offset of the text is. */
export type Locate = (at: number) => { readonly file: string; readonly line: number };

/**
 * Finds `-- migrate:up` and `-- migrate:down` in a migration's text. A file without markers is all up. A marker is
 * a comment line of its own; within a string, a function's body or COPY data it is text.
 * Throws when a marker is doubled, misspelt or out of order, and for what cannot be read as it is written, naming file
 * and line.
 */
export function parseSections(
  text: string,
  locate: Locate,
  parts: SqlParts = splitSql(text, isMarker),
): Sections {
  const markers = parts.commentLines
    .map(({ start, end }) => parseMarker(text.slice(start, end).trimEnd(), start))
    .filter((marker) => marker !== undefined);
  const invalid = (message: string, at: number, hint?: string) => {
    const { file, line } = locate(at);
    return new EduschemaError('migration-invalid', `${message} at line ${line} of ${file}`, {
      hint,
      details: { file, line },
    });
  };

  const strange = markers.find(({ direction }) => direction !== 'up' && direction !== 'down');
  if (strange)
    throw invalid(
      `"migrate:${strange.direction}" is not known`,
      strange.at,
      'the markers are -- migrate:up and -- migrate:down',
    );
  const [first, second, third] = markers;
  if (third)
    throw invalid(
      `a third marker "migrate:${third.direction}"`,
      third.at,
      'a file has one -- migrate:up and one -- migrate:down',
    );
  if (first?.direction === 'down')
    throw invalid('"migrate:down" before "migrate:up"', first.at, 'put the up section first');
  if (second?.direction === 'up')
    throw invalid('a second "migrate:up"', second.at, 'a file has one -- migrate:up and one -- migrate:down');
  const early = first && parts.statements.find((statement) => statement.start < first.at);
  if (early) throw invalid('a statement before "migrate:up"', early.start, 'move it below the marker');
  const misspelt = parts.commentLines.find(
    ({ start, end }) => nearMarker.test(text.slice(start, end)) && !isMarker(text.slice(start, end)),
  );
  if (misspelt)
    throw invalid(
      `"${text.slice(misspelt.start, misspelt.end).trim()}" is no marker`,
      misspelt.start,
      'the markers are -- migrate:up and -- migrate:down',
    );
  const [behind] = parts.behindCopies;
  if (behind)
    throw invalid(
      'there is text behind COPY ... FROM stdin',
      behind.start,
      'put it on a line below the data',
    );
  const output = parts.statements.find(({ start, end }) => copiesOut.test(text.slice(start, end)));
  if (output)
    throw invalid('COPY TO stdout', output.start, 'a migration has nowhere to write to: leave it out');
  for (const marker of markers) {
    for (const [name, value] of Object.entries(marker.options))
      checkOption(name, value, () =>
        invalid(
          `"${name}:${value}" is not known`,
          marker.at,
          'known are transaction:false, placeholders:true and, in repeatable/, requires:<version>',
        ),
      );
  }

  if (second?.options.placeholders)
    throw invalid(
      'placeholders: behind "migrate:down"',
      second.at,
      'write it behind "migrate:up": it is for the whole file',
    );
  const unread = parts.statements.find(({ start, end }) => changesReading(text, start, end));
  if (unread)
    throw invalid(
      'standard_conforming_strings is changed',
      unread.start,
      "leave it out, and write strings with backslashes as E'...'",
    );

  const encoded = parts.statements.find(({ start, end }) => changesEncoding(text, start, end));
  if (encoded && notAscii.test(text))
    throw invalid(
      'client_encoding is changed, and the file is UTF-8',
      encoded.start,
      'leave it out; convert what another encoding was dumped in: pg_dump --encoding=UTF8',
    );

  const downAt = second?.at ?? text.length;
  const section = (marker: Marker | undefined, from: number, to: number): Section => ({
    statements: parts.statements.filter(({ start }) => start >= from && start < to),
    transaction: marker?.options.transaction !== 'false',
  });
  const down = second && section(second, downAt, text.length);
  return {
    up: section(first, 0, downAt),
    down: down && down.statements.length > 0 ? down : undefined,
    requires: first?.options.requires,
  };
}

const notAscii = /[^\0-\x7f]/;

/** Whether the statement says that what follows is not UTF-8. */
function changesEncoding(text: string, start: number, end: number): boolean {
  if ((text.charCodeAt(start) | 32) !== 115 || end - start > 100) return false;
  const encoding =
    /^set\s+(?:session\s+|local\s+)?(?:client_encoding\s*(?:=|\bto\b)|names)\s*'?(?<name>[\w-]+)/i.exec(
      text.slice(start, end),
    )?.groups?.name;
  return encoding !== undefined && !/^(utf-?8|unicode|default)$/i.test(encoding);
}

/** Turned off, a backslash before a quote would mean something else from there on. */
function changesReading(text: string, start: number, end: number): boolean {
  const first = text.charCodeAt(start) | 32;
  if (first !== 115) return false;
  const [word, second] = leadingWords(text, start, 2);
  if (
    word === 'set' &&
    (second === 'standard_conforming_strings' || second === 'session' || second === 'local')
  )
    return /^set\s+(session\s+|local\s+)?standard_conforming_strings\s*(=|\bto\b)\s*'?(off|false|no|0)/i.test(
      text.slice(start, end),
    );
  return (
    word === 'select' &&
    end - start < 200 &&
    /set_config\s*\(\s*'standard_conforming_strings'\s*,\s*'(off|false|no|0)/i.test(text.slice(start, end))
  );
}

/** Whether the marker of the up section says `placeholders:true`. */
export function wantsPlaceholders(text: string, { commentLines }: SqlParts): boolean {
  return commentLines.some(
    ({ start, end }) => parseMarker(text.slice(start, end).trimEnd(), start)?.options.placeholders === 'true',
  );
}

function parseMarker(line: string, at: number): Marker | undefined {
  const groups = markerPattern.exec(line)?.groups;
  if (!groups) return undefined;
  const options = (groups.options ?? '').trim().split(/\s+/).filter(Boolean);
  return {
    direction: groups.direction ?? '',
    options: Object.fromEntries(
      options.map((option) => [option.split(':')[0] ?? '', option.split(':').slice(1).join(':')]),
    ),
    at,
  };
}

function checkOption(name: string, value: string, problem: () => Error): void {
  if ((name === 'transaction' || name === 'placeholders') && (value === 'true' || value === 'false')) return;
  if (name === 'requires' && /^\d+(\.\d+)*$/.test(value)) return;
  throw problem();
}
