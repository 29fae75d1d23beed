import type { TestProject } from 'vitest/node';
import { startTestServer, type TestServer } from './server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    server: TestServer;
  }
}

/** One server for the whole run; every test makes its own databases on it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { stop, ...server } = await startTestServer();
  process.stderr.write(`tests run on ${server.description}\n`);
  project.provide('server', server);
  return stop;
}
