import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { stampOf } from '../db/copy.ts';
import { EduschemaError } from '../errors.ts';
import { endOfCharacters, type ReadBytes } from '../sql/cut-copy-data.ts';
import type { Gap } from '../sql/source-map.ts';

/** Bytes from which on a file is read in pieces, and its COPY data stays on the disk. */
export const largeFile = 8 * 1024 * 1024;

const chunkBytes = 1024 * 1024;

/** A file that is read from its beginning, in pieces. */
export interface LargeReading {
  /** Throws `file-unreadable` for what is no UTF-8. */
  readonly read: ReadBytes;
  /** What is known when all was read. */
  facts(): { readonly checksum: string; readonly mayInclude: boolean };
  /** What fstat says of it. */
  stamp(): string;
  close(): void;
}

/** Begins to read a file in pieces of which each may overwrite the one before. */
export function openLarge(path: string, file: string): LargeReading {
  const descriptor = openOrThrow(path, file);
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const digest = beginDigest();
  let carry: Buffer = Buffer.alloc(0);
  let mayInclude = false;
  return {
    read() {
      const count = readSync(descriptor, buffer, 0, chunkBytes, null);
      if (count === 0) {
        if (carry.length > 0) throw notUtf8(file);
        return undefined;
      }
      const chunk = buffer.subarray(0, count);
      const checked = carry.length > 0 ? Buffer.concat([carry, chunk]) : chunk;
      const end = endOfCharacters(checked, 0, checked.length, false);
      if (!isUtf8(checked.subarray(0, end))) throw notUtf8(file);
      // One byte more than a character needs: \i must not be overlooked where two pieces meet.
      mayInclude ||= chunk.includes('\\i') || chunk.at(-1) === backslash;
      carry = Buffer.from(checked.subarray(end));
      digest.update(chunk);
      return chunk;
    },
    facts: () => ({ checksum: digest.finish(), mayInclude }),
    stamp: () => stampOf(fstatSync(descriptor)),
    close: () => closeSync(descriptor),
  };
}

function openOrThrow(path: string, file: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** The error for a file that cannot be read. */
export function unreadable(file: string, cause: unknown): EduschemaError {
  const { code } = cause as NodeJS.ErrnoException;
  return new EduschemaError('file-unreadable', `${file} cannot be read (${code})`, {
    hint: code === 'ENOENT' ? 'check its name' : 'check its permissions',
    cause,
  });
}

/** The error for a file that is not UTF-8. */
export function notUtf8(file: string): EduschemaError {
  return new EduschemaError('file-unreadable', `${file} is not UTF-8`, { hint: 'save it as UTF-8' });
}

const [newline, carriageReturn, backslash] = [10, 13, 92];
const byteOrderMark = Buffer.from('\ufeff');

/** The checksum of checksumOf, from pieces. */
function beginDigest(): { update(chunk: Buffer): void; finish(): string } {
  const hash = createHash('sha256');
  let start = Buffer.alloc(0);
  let started = false;
  let heldReturn = false;
  const add = (chunk: Buffer) => {
    if (chunk.length === 0) return;
    if (heldReturn && chunk[0] !== newline) hash.update('\r');
    heldReturn = chunk.at(-1) === carriageReturn;
    const now = heldReturn ? chunk.subarray(0, -1) : chunk;
    hash.update(
      now.includes('\r\n') ? Buffer.from(now.toString('latin1').replaceAll('\r\n', '\n'), 'latin1') : now,
    );
  };
  const begin = () => {
    started = true;
    add(start.subarray(0, 3).equals(byteOrderMark) ? start.subarray(3) : start);
  };
  return {
    update(chunk) {
      if (started) return add(chunk);
      start = Buffer.concat([start, chunk]);
      if (start.length >= byteOrderMark.length) begin();
    },
    finish() {
      if (!started) begin();
      if (heldReturn) hash.update('\r');
      return hash.digest('hex');
    },
  };
}

/** Goes through the bytes of data that was left on the disk, in pieces. */
export function* readGap({ path, start, end }: Pick<Gap, 'path' | 'start' | 'end'>): Generator<Buffer> {
  const descriptor = openSync(path, 'r');
  try {
    for (let at = start; at < end; ) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - at));
      const count = readSync(descriptor, chunk, 0, chunk.length, at);
      if (count === 0) return;
      yield chunk.subarray(0, count);
      at += count;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The number of line ends in data that was left on the disk. */
export function countLines(gap: Gap): number {
  let lines = 0;
  for (const chunk of readGap(gap)) {
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) lines++;
  }
  return lines;
}

const longestShown = 400;

/** A line of data that was left on the disk, counted from 1, with up to two before it; cut when it is long. */
export function linesBefore(gap: Gap, line: number): string[] {
  const shown: string[] = [];
  let number = 1;
  let text = '';
  for (const chunk of readGap(gap)) {
    for (let from = 0; from < chunk.length; ) {
      const found = chunk.indexOf(newline, from);
      const end = found < 0 ? chunk.length : found;
      if (number >= line - 2 && text.length < longestShown)
        text += chunk.toString('utf8', from, Math.min(end, from + longestShown));
      from = end + 1;
      if (found < 0) continue;
      if (number >= line - 2) shown.push(text);
      text = '';
      if (number++ === line) return shown;
    }
  }
  return [...shown, text];
}
