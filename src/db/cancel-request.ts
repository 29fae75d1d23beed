import { once } from 'node:events';
import type { Socket } from 'node:net';
import { openSocket } from './socket.ts';
import type { HostAndPort, Target } from './target.ts';

/**
 * Sends a CancelRequest, on a connection of its own. Resolves when it is delivered: whether it came in time, nobody says.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function sendCancelRequest(
  target: Target,
  address: HostAndPort,
  key: Buffer | undefined,
): Promise<void> {
  if (!key) return;
  const request = Buffer.alloc(8 + key.length);
  request.writeInt32BE(request.length, 0);
  request.writeInt32BE(80877102, 4);
  key.copy(request, 8);
  const socket = (await openSocket(target, address)) as Socket;
  socket.on('error', () => {});
  socket.resume();
  socket.setTimeout(5000, () => socket.destroy());
  socket.write(request);
  // A pooler forgets the request when we leave before it has passed it on.
  await once(socket, 'close');
}
