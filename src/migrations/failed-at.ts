import type { ServerError } from '../db/explain-error.ts';
import { excerptAt, findPlace, offsetOfPosition, type Place } from '../sql/excerpt.ts';
import { locate, placeInFile, type SourceMap } from '../sql/source-map.ts';
import type { Statement } from '../sql/split.ts';
import { countLines, linesBefore } from './large-file.ts';

/** Where in which file a statement failed, with the lines to show. */
export interface FailedAt extends Place {
  readonly file: string;
  readonly excerpt: string;
}

/** The text that ran, and the file that it was read from. */
interface RanText {
  readonly file: string;
  readonly text: string;
}

/** The place that PostgreSQL named, else the first character of the statement. */
export function findFailure(
  { file, text }: RanText,
  error: ServerError | undefined,
  statement: Statement | undefined,
  messageStart: number | undefined,
): FailedAt | undefined {
  const data = dataLine(error, statement);
  if (statement?.data && 'path' in statement.data && data !== undefined)
    return failedInGap(statement.data.at, statement.origin, data);
  const at = offsetOfFailure(text, error, statement, messageStart, data);
  if (at === undefined) return undefined;
  if (!statement?.origin) {
    const place = findPlace(text, at);
    return { file, ...place, excerpt: excerptAt(text, place) };
  }
  const origin = locate(statement.origin, at);
  const { line, column, shown, numberOf } = placeInFile(origin.source, origin.at, countLines);
  return { file: origin.source.file, line, column, excerpt: excerptAt(origin.source.text, shown, numberOf) };
}

function offsetOfFailure(
  text: string,
  error: ServerError | undefined,
  statement: Statement | undefined,
  messageStart: number | undefined,
  data: number | undefined,
): number | undefined {
  if (error?.position !== undefined && messageStart !== undefined)
    return offsetOfPosition(text, messageStart, Number(error.position));
  if (statement?.data && data !== undefined) return offsetOfLine(text, statement.data.start, data);
  return statement?.start;
}

/** The line of its data at which a COPY failed, from 1. */
function dataLine(error: ServerError | undefined, statement: Statement | undefined): number | undefined {
  if (!statement?.data || error?.position !== undefined) return undefined;
  const line = /^COPY .*?, line (\d+)/.exec(error?.where ?? '')?.[1];
  return line === undefined ? undefined : Number(line);
}

function offsetOfLine(text: string, start: number, line: number): number {
  let at = start;
  for (let left = line - 1; left > 0; left--) at = text.indexOf('\n', at) + 1 || text.length;
  return at;
}

/** The failing line is on the disk, with those before it. */
function failedInGap(data: number, origin: SourceMap | undefined, line: number): FailedAt | undefined {
  if (!origin) return undefined;
  const { source, at } = locate(origin, data);
  const gap = source.gaps.find((known) => known.at === at);
  if (!gap) return undefined;
  const before = source.gaps.filter((known) => known.at < gap.at);
  const first = before.reduce(
    (number, known) => number + countLines(known),
    findPlace(source.text, gap.at).line,
  );
  const lines = linesBefore(gap, line);
  const shift = first + line - 1 - lines.length;
  const place = { line: lines.length, column: 1 };
  return {
    file: source.file,
    line: first + line - 1,
    column: 1,
    excerpt: excerptAt(lines.join('\n'), place, (number) => number + shift),
  };
}

/** The statement as its file has it: what stands in the place of a placeholder may be a secret. */
export function writtenStatement(text: string, { start, end, origin }: Statement): string {
  if (!origin) return text.slice(start, end);
  const [from, to] = [locate(origin, start), locate(origin, end - 1)];
  if (from.source !== to.source) return text.slice(start, end);
  const piece = origin.findLast(({ at }) => at < end);
  const tail = piece?.stands ? (/^(\$\([^)]*\)|:\S*)/.exec(to.source.text.slice(to.at))?.[0].length ?? 1) : 1;
  return from.source.text.slice(from.at, to.at + tail);
}
