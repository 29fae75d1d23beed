import { join } from 'node:path';
import { expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import type { World } from '../../src/cli/world.ts';
import { resetEmbedded } from '../../src/db/embedded/server.ts';
import { withFolder } from '../helpers/folder.ts';

interface Shown {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes a test: it gets a command line in a new folder, in which no database is named. */
function withCommandLine(
  use: (eduschema: (line: string) => Promise<Shown>) => Promise<void>,
): () => Promise<void> {
  return () =>
    withFolder({}, async (cwd) => {
      const eduschema = async (line: string): Promise<Shown> => {
        const shown = { stdout: '', stderr: '' };
        const collect = (key: 'stdout' | 'stderr') => ({ write: (text: string) => (shown[key] += text) });
        const world: World = {
          env: {},
          cwd,
          homeFolder: cwd,
          userName: 'tester',
          stdout: collect('stdout'),
          stderr: collect('stderr'),
          ask: undefined,
          onInterrupt: () => () => {},
          onStrayError: () => () => {},
        };
        return { exitCode: await main(line.split(' '), world), ...shown };
      };
      try {
        await use(eduschema);
      } finally {
        await resetEmbedded({ folder: join(cwd, '.eduschema') });
      }
    });
}

it(
  'the embedded server is started, shown, stopped and removed',
  withCommandLine(async (eduschema) => {
    expect(JSON.parse((await eduschema('db status --json')).stdout).rows).toMatchObject([
      { state: 'not set up', port: null },
    ]);

    expect((await eduschema('db start')).stdout).toMatch(
      /^PostgreSQL 18\.\d+ runs on 127\.0\.0\.1:\d+ until eduschema db stop/,
    );
    const [row] = JSON.parse((await eduschema('db status --json')).stdout).rows;
    expect(row).toMatchObject({ state: 'running', data: expect.stringContaining('.eduschema') });
    expect((await eduschema('db url')).stdout).toMatch(`@127.0.0.1:${row.port}/eduschema\n`);
    expect((await eduschema('db status')).stdout).toContain(`running  ${row.version}`);

    expect((await eduschema('db stop')).stdout).toContain('stopped PostgreSQL');
    expect((await eduschema('db stop')).stdout).toBe('no embedded server was running\n');
    expect(await eduschema('db reset --yes')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('removed'),
    });
    expect((await eduschema('db reset')).stdout).toBe('there is no embedded database\n');
  }),
);

it(
  'data is not removed where nobody can be asked',
  withCommandLine(async (eduschema) => {
    await eduschema('db start');

    const refused = await eduschema('db reset');

    expect(refused).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining('add --yes') });
    expect((await eduschema('db status')).stdout).toContain('running');
  }),
);

it(
  'a URL is not made up for a server that does not run',
  withCommandLine(async (eduschema) => {
    expect(await eduschema('db url')).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringContaining('eduschema db start'),
    });
  }),
);
