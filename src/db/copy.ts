import { once } from 'node:events';
import { promises, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { EduschemaError } from '../errors.ts';
import type { FileRange } from '../sql/split.ts';
import type { Session } from './connect.ts';
import { serverErrorOf } from './explain-error.ts';

/** Characters of one CopyData message. */
const sliceLength = 64 * 1024;

/** Bytes that are read from the disk at a time, and sent as one message. */
const chunkBytes = 256 * 1024;

/**
 * Runs `COPY ... FROM stdin` with the data that stands in `text` from `start` to `end`.
 * Throws the server's error, whether it refuses the statement or the data.
 */
export async function copyFromText(
  session: Session,
  statement: string,
  text: string,
  start: number,
  end: number,
): Promise<void> {
  await copy(session, statement, async (send) => {
    for (let at = start, stop = at; at < end; at = stop) {
      stop = Math.min(at + sliceLength, end);
      if (stop < end && isHighSurrogate(text.charCodeAt(stop - 1))) stop--;
      if (!(await send(text.slice(at, stop)))) return;
    }
  });
}

/**
 * Runs `COPY ... FROM stdin` with bytes of a file, as they are, of which it holds two chunks at a time.
 * Throws the server's error, and `migration-edited`, before anything is sent, when the file is not the one it was.
 */
export async function copyFromFile(session: Session, statement: string, range: FileRange): Promise<void> {
  const file = await openUnchanged(range);
  try {
    await copy(session, statement, async (send) => {
      const buffers = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const;
      let at = range.start;
      const read = async (turn: number) => {
        const length = Math.min(chunkBytes, range.end - at);
        if (length <= 0) return undefined;
        const { bytesRead, buffer } = await file.read(buffers[turn % 2] as Buffer, 0, length, at);
        if (bytesRead === 0) throw changed(range.path);
        at += bytesRead;
        return buffer.subarray(0, bytesRead);
      };
      let turn = 0;
      let next = await read(turn);
      while (next) {
        const [following, goesOn] = await Promise.all([read(++turn), send(next)]);
        if (!goesOn) return;
        next = following;
      }
    });
  } finally {
    await file.close();
  }
}

/** Runs `COPY ... FROM stdin` with these bytes, which may change when it is over. Throws the server's error. */
export async function copyFromBuffer(session: CopySession, statement: string, data: Buffer): Promise<void> {
  await copy(session, statement, async (send) => {
    for (let at = 0; at < data.length; at += chunkBytes)
      if (!(await send(data.subarray(at, at + chunkBytes)))) return;
  });
}

/** A session, or a transaction in it. */
export type CopySession = { readonly sql: Pick<Session['sql'], 'unsafe'> } & Pick<Session, 'tap'>;

/** The size of a file and when it was changed: the same again, and its content is taken for the same. */
export function stampOf({ size, mtimeMs }: Pick<Stats, 'size' | 'mtimeMs'>): string {
  return `${size} ${mtimeMs}`;
}

async function openUnchanged({ path, stamp }: FileRange): Promise<FileHandle> {
  const file = await promises.open(path, 'r').catch((cause) => {
    throw changed(path, cause);
  });
  if (stampOf(await file.stat()) === stamp) return file;
  await file.close();
  throw changed(path);
}

function changed(path: string, cause?: unknown): EduschemaError {
  return new EduschemaError('migration-edited', `${path} was changed while eduschema ran`, {
    hint: 'run the command again',
    cause,
  });
}

/** Sends a piece of the data; false when the server wants no more. */
export type Send = (data: string | Buffer) => Promise<boolean>;

/**
 * Runs `COPY ... FROM stdin` with what `sendAll` sends; `session.sql` may be a transaction. An error of `sendAll` comes out,
 * and the server keeps nothing of the data then. Throws the server's error, whether it refuses the statement or the data.
 */
export async function copy(
  session: CopySession,
  statement: string,
  sendAll: (send: Send) => Promise<void>,
): Promise<void> {
  session.tap.reset();
  const stream = await session.sql.unsafe(statement).writable();
  // The driver forgets an error that comes after the end of the data; the tap does not.
  const answered = session.tap.nextAnswer();
  // Its errors come with the answer; unheard, the event would end the process.
  stream.on('error', () => {});
  const send: Send = async (data) => {
    if (!stream.writable) return false;
    if (typeof data === 'string') {
      if (!stream.write(data)) await Promise.race([once(stream, 'drain').catch(() => {}), answered]);
    } else {
      // Until it is out: a stream keeps small pieces as they are, and the memory is used again.
      await Promise.race([new Promise((sent) => stream.write(data, sent)), answered]);
    }
    return stream.writable;
  };
  try {
    await sendAll(send);
  } catch (error) {
    // The server undoes what it had: half of the data is none.
    stream.destroy(error as Error);
    await answered.catch(() => {});
    throw error;
  }
  if (stream.writable) stream.end();
  const { error } = await answered;
  if (error) throw serverErrorOf(error);
}

/** The first half of a character beyond the basic plane; cut off, it would be sent as U+FFFD. */
function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
