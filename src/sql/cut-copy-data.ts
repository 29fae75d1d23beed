import { beginScan, type EndsStatement, type Scanner, scanSql, startsItsLine } from './split.ts';

/** SQL text without the data of its COPYs, and where each was. */
export interface CutText {
  readonly text: string;
  /** Each stood at the offset `at` of the text, from byte `start` to byte `end`. */
  readonly gaps: readonly { readonly at: number; readonly start: number; readonly end: number }[];
}

/** Gives the next bytes, undefined at the end. What it gave may be overwritten then. */
export type ReadBytes = () => Buffer | undefined;

const usualStep = 1024;
const largestStep = 1024 * 1024;
/** Each slice keeps all that it was cut from in memory, until it is joined with others. */
const mostSlices = 256;
const endMark = Buffer.from('\\.');
const newline = 10;
const carriageReturn = 13;

/**
 * Reads SQL in UTF-8 and leaves out what stands between `COPY ... FROM stdin;` and its line `\.`, which stay. Splitting
 * the text gives the same statements as splitting all of it. A byte order mark is left out. Holds no more than the text and what `read` gives.
 * Calls `tooLong`, which throws, when the text exceeds `longest` characters.
 */
export function cutCopyData(
  read: ReadBytes,
  endsStatement: EndsStatement,
  longest: number,
  tooLong: () => never,
  /** Bytes to decode at a time at first. */
  smallestStep = usualStep,
): CutText {
  const scanner = beginScan(endsStatement);
  const bytes = openWindow(read);
  const blocks: string[] = [];
  let texts: string[] = [];
  const gaps: CutText['gaps'][number][] = [];
  let length = 0;
  let pending = '';
  let step = smallestStep;
  let first = true;
  const keep = (text: string) => {
    texts.push(text);
    length += text.length;
    if (texts.length < mostSlices) return;
    blocks.push(texts.join(''));
    texts = [];
  };
  for (;;) {
    pending = bytes.decode(pending, Math.max(step, pending.length));
    if (first && pending.charCodeAt(0) === 0xfeff) pending = pending.slice(1);
    first = false;
    if (length + pending.length > longest) tooLong();
    step = Math.min(step * 2, largestStep);
    const last = bytes.isAtEnd();
    const stop = scanSql(scanner, pending, 0, last ? 'last' : 'piece');
    forgetParts(scanner);
    keep(pending.slice(0, stop));
    scanner.startsLine = startsItsLine(pending, stop, scanner.startsLine);
    pending = pending.slice(stop);
    if (scanner.atData) {
      bytes.giveBack(pending);
      const data = bytes.skipData();
      gaps.push({ at: length, start: data.start, end: data.end });
      keep(data.mark);
      scanner.atData = scanner.startsLine = false;
      pending = '';
      step = smallestStep;
    } else if (last) {
      return { text: [...blocks, ...texts].join(''), gaps };
    }
  }
}

/** The parts' offsets mean nothing beyond a piece. */
function forgetParts({ parts }: Scanner): void {
  for (const list of Object.values(parts)) list.length = 0;
}

interface ByteWindow {
  /** `text` with at least `wanted` bytes more, as far as there are. */
  decode(text: string, wanted: number): string;
  /** Takes back what was decoded last. */
  giveBack(text: string): void;
  /** Goes to the end of the data, behind its mark. */
  skipData(): { readonly start: number; readonly end: number; readonly mark: string };
  isAtEnd(): boolean;
}

function openWindow(read: ReadBytes): ByteWindow {
  let bytes: Buffer = Buffer.alloc(0);
  /** Of the first byte in the window. */
  let position = 0;
  /** The first byte that was not taken yet. */
  let at = 0;
  let ended = false;

  const readMore = (keepFrom: number) => {
    const rest = Buffer.from(bytes.subarray(keepFrom));
    const more = read();
    ended = more === undefined;
    bytes = more === undefined ? rest : rest.length === 0 ? more : Buffer.concat([rest, more]);
    position += keepFrom;
    at -= keepFrom;
  };

  const decode = (text: string, wanted: number) => {
    const texts = [text];
    let taken = 0;
    while (taken < wanted) {
      const end = endOfCharacters(bytes, at, Math.min(bytes.length, at + wanted - taken), ended);
      if (end > at) {
        texts.push(bytes.toString('utf8', at, end));
        taken += end - at;
        at = end;
      } else if (ended) {
        break;
      } else {
        readMore(at);
      }
    }
    return texts.join('');
  };

  const skipData = () => {
    const start = position + at;
    for (let from = at; ; ) {
      const mark = bytes.indexOf(endMark, from);
      if (mark < 0 ? !ended : mark + 4 > bytes.length && !ended) {
        // With the byte before it, which says whether it begins a line.
        const seen = mark < 0 ? Math.max(at, bytes.length - 1) : mark;
        const keepFrom = Math.max(at, seen - 1);
        at = keepFrom;
        readMore(keepFrom);
        from = seen - keepFrom;
        continue;
      }
      const end = mark < 0 ? bytes.length : mark;
      const begins = position + end === start || bytes[end - 1] === newline;
      const length = mark < 0 ? 0 : lengthOfMark(bytes, mark);
      if (mark >= 0 && !(begins && length > 0)) {
        from = mark + 2;
        continue;
      }
      at = end + length;
      return { start, end: position + end, mark: bytes.toString('latin1', end, at) };
    }
  };

  return {
    decode,
    skipData,
    giveBack: (text) => {
      const length = Buffer.byteLength(text);
      if (length > at) {
        bytes = Buffer.concat([Buffer.from(text), bytes.subarray(at)]);
        position += at;
        position -= length;
        at = length;
      }
      at -= length;
    },
    isAtEnd: () => ended && at === bytes.length,
  };
}

/** Of `\.` at the end of a line, a carriage return included; 0 when the line goes on. */
function lengthOfMark(bytes: Buffer, mark: number): number {
  const next = bytes[mark + 2];
  if (next === undefined || next === newline) return 2;
  const behind = bytes[mark + 3];
  return next === carriageReturn && (behind === undefined || behind === newline) ? 3 : 0;
}

/** The end of the last whole character before `to`, or of the one that begins there; `to` when nothing follows it. */
export function endOfCharacters(bytes: Buffer, from: number, to: number, ended: boolean): number {
  if (ended && to === bytes.length) return to;
  let lead = to - 1;
  while (lead >= from && lead > to - 4 && ((bytes[lead] as number) & 0xc0) === 0x80) lead--;
  if (lead < from) return from;
  const first = bytes[lead] as number;
  const length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const end = lead + length;
  return end <= to ? to : end <= bytes.length ? end : lead;
}
