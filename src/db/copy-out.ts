import type { Readable } from 'node:stream';
import type { Sql } from 'postgres';
import type { Session } from './connect.ts';

/** Takes a piece of what the server sends; the next one comes when it is done. */
export type TakePiece = (piece: Buffer) => void | Promise<void>;

/**
 * Runs `COPY ... TO STDOUT` and gives its bytes to `take`, of which a few are held at a time. `sql` is the session's own
 * or a transaction in it. When `take` throws, the statement is cancelled, and its error comes out.
 */
export async function copyOut(
  { tap, cancel }: Pick<Session, 'tap' | 'cancel'>,
  sql: Pick<Sql, 'unsafe'>,
  statement: string,
  take: TakePiece,
): Promise<void> {
  const answered = tap.nextAnswer();
  // Its rejection, a connection that broke, is heard below; where the statement was refused nobody needs it.
  answered.catch(() => {});
  const stream: Readable = await sql.unsafe(statement).readable();
  // The driver ends a stream whose statement fails, and forgets one whose connection breaks.
  answered.catch((error) => stream.destroy(error));
  let failure: unknown;
  try {
    for await (const piece of stream) {
      // What nobody wants any more is read all the same: the session must come to the end of its answer.
      if (failure) continue;
      try {
        await take(piece as Buffer);
      } catch (error) {
        failure = error;
        await cancel();
      }
    }
  } catch (error) {
    throw failure ?? error;
  } finally {
    // The last rows may have left the socket paused; the driver's own reading is what wakes it.
    stream._read(0);
  }
  await answered;
  if (failure) throw failure;
}
