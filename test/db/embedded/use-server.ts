import { withEmbeddedServer } from '../../../src/db/embedded/server.ts';

/** A command that uses the embedded server of the folder it is given, until its input ends. */
const [folder = ''] = process.argv.slice(2);
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const progress: string[] = [];

try {
  await withEmbeddedServer(
    { folder, settings: { fsync: 'off' }, onProgress: (text) => progress.push(text) },
    async ({ pid, port }) => {
      say({ pid, port, progress });
      for await (const _ of process.stdin);
    },
  );
} catch (error) {
  say({ error: String(error), hint: (error as { hint?: string }).hint });
}
