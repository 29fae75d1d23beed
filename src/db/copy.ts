import { once } from 'node:events';
import type { Session } from './connect.ts';
import { serverErrorOf } from './explain-error.ts';

/** Characters of one CopyData message. */
const sliceLength = 64 * 1024;

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
  session.tap.reset();
  const stream = await session.sql.unsafe(statement).writable();
  // The driver forgets an error that comes after the end of the data; the tap does not.
  const answered = session.tap.nextAnswer();
  // Its errors come with the answer; unheard, the event would end the process.
  stream.on('error', () => {});
  for (let at = start, stop = at; at < end && stream.writable; at = stop) {
    stop = Math.min(at + sliceLength, end);
    if (stop < end && isHighSurrogate(text.charCodeAt(stop - 1))) stop--;
    const more = stream.write(text.slice(at, stop));
    if (!more) await Promise.race([once(stream, 'drain').catch(() => {}), answered]);
  }
  if (stream.writable) stream.end();
  const { error } = await answered;
  if (error) throw serverErrorOf(error);
}

/** The first half of a character beyond the basic plane; cut off, it would be sent as U+FFFD. */
function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
