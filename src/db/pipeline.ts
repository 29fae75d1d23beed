import type { Session } from './connect.ts';
import { isConnectionLost, serverErrorOf } from './explain-error.ts';

/** How a message failed, and how many of its statements had been completed by then. */
export interface MessageFailure {
  readonly index: number;
  readonly completed: number;
  readonly error: unknown;
}

/** Messages on their way at most: enough to hide the round trips, little enough to bound memory. */
const window = 8;

/**
 * Sends messages of SQL one after the other without waiting for each answer, and resolves when all are answered:
 * with the first failure, after which nothing more is sent. What was on its way by then was answered too: inside a
 * transaction block the server refuses it (25P02). Rows that statements return are discarded as they arrive.
 */
export async function sendPipelined(
  session: Session,
  messages: Iterable<string>,
): Promise<MessageFailure | undefined> {
  session.tap.reset();
  const underWay: Promise<void>[] = [];
  let failure: MessageFailure | undefined;
  let index = 0;
  // A pooler that lost its session could give what follows another one, outside the transaction.
  const atOnce = session.pooled ? 1 : window;
  for (const message of messages) {
    const at = index++;
    const answered = session.sql
      .unsafe(message)
      .forEach(() => {})
      .then(
        () => {},
        (error: unknown) => {
          const answer = session.tap.answers[at];
          // A server that ends the session says why; the driver forgets that when the connection closes.
          const reason = isConnectionLost(error) && answer?.error ? serverErrorOf(answer.error) : error;
          failure ??= { index: at, completed: answer?.completed ?? 0, error: reason };
        },
      );
    underWay.push(answered);
    if (underWay.length >= atOnce) await underWay.shift();
    if (failure) break;
  }
  await Promise.all(underWay);
  return failure;
}
