import type { Duplex } from 'node:stream';
import type { StatementTap } from './statement-tap.ts';

/** Messages by which a query is complete: Query, Sync. */
const ends = new Set([81, 83]);

/** Messages that belong to what is under way: the data of a COPY, its end, the end of the connection. */
const follows = new Set([100, 99, 102, 88]);

type Sent = (error?: Error | null) => void;

/**
 * From now on each query is sent when the one before it has been answered. PgBouncer takes a session back too early
 * when the first half of a query (up to Flush) follows another query at its heels, and the driver, told not to do
 * that (`max_pipeline: 0`), cannot begin a transaction. Call it while nothing is under way.
 */
export function sendOneByOne(socket: Duplex, tap: StatementTap): void {
  const write: (chunk: Buffer, sent?: Sent) => boolean = socket.write.bind(socket);
  let underWay = false;
  let held: { readonly chunk: Buffer; readonly sent: Sent | undefined }[] = [];

  // The driver writes whole messages, several at once perhaps.
  const send = (chunk: Buffer, sent?: Sent): boolean => {
    let at = 0;
    while (at < chunk.length) {
      const type = chunk[at] as number;
      if (underWay && !follows.has(type)) break;
      underWay ||= ends.has(type);
      at += 1 + chunk.readUInt32BE(at + 1);
    }
    if (at === chunk.length) return write(chunk, sent);
    held.push({ chunk: chunk.subarray(at), sent });
    return at === 0 || write(chunk.subarray(0, at));
  };

  tap.onReady(() => {
    underWay = false;
    const waiting = held;
    held = [];
    for (const { chunk, sent } of waiting) send(chunk, sent);
  });
  socket.write = send as Duplex['write'];
}
