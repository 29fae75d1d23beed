import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports that systems hand out to clients (from 32768 on), so that it is still free at the next start. */
const lowest = 20_000;
const highest = 32_000;
const attempts = 20;

/** Returns a port of 127.0.0.1 that nobody listens on: `preferred` when it is free. */
export async function findFreePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await listenOnce(preferred)) !== undefined) return preferred;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = await listenOnce(randomInt(lowest, highest));
    if (port !== undefined) return port;
  }
  // The system chooses.
  return (await listenOnce(0)) ?? 5432;
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', () => resolve(undefined));
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
