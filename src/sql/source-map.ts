import { findPlace, type Place } from './excerpt.ts';

/** The text of a file, as errors show it. */
export interface SourceText {
  /** How the file is called in messages. */
  readonly file: string;
  readonly text: string;
  /** COPY data that is not in `text` but on the disk; each stands at the offset `at`. */
  readonly gaps: readonly Gap[];
}

/** Data that was left on the disk. */
export interface Gap {
  /** The offset in the text at which it would stand. */
  readonly at: number;
  /** In bytes of the file. */
  readonly start: number;
  readonly end: number;
  readonly path: string;
  /** Of the file when it was read: what is sent later must be the same. */
  readonly stamp: string;
}

/** From `at` on, a text is that of `source` from `from` on; one that `stands` for something has its place throughout. */
export interface Piece {
  readonly at: number;
  readonly source: SourceText;
  readonly from: number;
  /** Whether it is text of ours that stands for what is at `from`. */
  readonly stands: boolean;
}

/** Where each stretch of a text came from, in the order of the text. */
export type SourceMap = readonly Piece[];

/** An offset in the text of a file. */
export interface SourceOffset {
  readonly source: SourceText;
  readonly at: number;
}

/** Where the offset `at` of a mapped text came from. */
export function locate(map: SourceMap, at: number): SourceOffset {
  let [low, high] = [0, map.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((map[middle] as Piece).at <= at) low = middle;
    else high = middle - 1;
  }
  const piece = map[low] as Piece;
  return { source: piece.source, at: piece.stands ? piece.from : piece.from + at - piece.at };
}

/** Counts the lines of data on the disk. */
export type CountLines = (gap: Gap) => number;

/** The place in the file of an offset in its text, and how lines of the text are numbered in the file. */
export function placeInFile(
  { text, gaps }: SourceText,
  at: number,
  countLines: CountLines,
): Place & { readonly numberOf: (line: number) => number; readonly shown: Place } {
  const shown = findPlace(text, at);
  const shifts = gaps
    .filter((gap) => gap.at <= at)
    .map((gap) => ({ from: findPlace(text, gap.at).line, lines: countLines(gap) }));
  const numberOf = (line: number) =>
    shifts.reduce((number, { from, lines }) => (line >= from ? number + lines : number), line);
  return { line: numberOf(shown.line), column: shown.column, numberOf, shown };
}
