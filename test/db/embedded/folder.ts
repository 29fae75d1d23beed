import { existsSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import type { EmbeddedOptions, EmbeddedServer } from '../../../src/db/embedded/ensure-server.ts';
import { renderServerUrl, resetEmbedded, withEmbeddedServer } from '../../../src/db/embedded/server.ts';
import { withFolder } from '../../helpers/folder.ts';

/** Makes a test of `use`: it gets a project whose `.eduschema` is not there yet, and whose server is gone afterwards. */
export function withProject(
  use: (options: EmbeddedOptions & { progress: string[] }) => Promise<void>,
): () => Promise<void> {
  return () =>
    withFolder({}, async (project) => {
      const progress: string[] = [];
      const folder = join(project, '.eduschema');
      const options = {
        folder,
        settings: { fsync: 'off' },
        onProgress: (text: string) => progress.push(text),
        progress,
      };
      try {
        await use(options);
      } finally {
        if (existsSync(join(folder, '.gitignore'))) await resetEmbedded(options);
      }
    });
}

/** Runs one statement on a server. */
export async function ask(server: EmbeddedServer, statement: string): Promise<Record<string, unknown>[]> {
  const sql = postgres(renderServerUrl(server), { max: 1, onnotice: () => {} });
  try {
    return await sql.unsafe(statement);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Starts the server for one statement, as a command would. */
export async function askOnce(
  options: EmbeddedOptions,
  statement = 'SELECT 1',
): Promise<{ server: EmbeddedServer; rows: Record<string, unknown>[] }> {
  return withEmbeddedServer(options, async (server) => ({ server, rows: await ask(server, statement) }));
}
