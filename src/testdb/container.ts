import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { EduschemaError } from '../errors.ts';

/** What of the environment says where a Docker engine is. */
export interface DockerSurroundings {
  readonly dockerHost: string | undefined;
  readonly homeFolder: string;
  readonly runtimeFolder: string | undefined;
}

export interface StartedContainer {
  /** Of the superuser. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Data is thrown away with the container. */
const settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  max_wal_size: '4GB',
};

/**
 * Starts `image` with the project's own @testcontainers/postgresql. Throws `embedded-unavailable` when that is not
 * installed; an engine that cannot start the image throws as testcontainers does.
 */
export async function startContainer(
  image: string,
  more: Readonly<Record<string, string>> = {},
): Promise<StartedContainer> {
  const { PostgreSqlContainer } = await load();
  const flags = Object.entries({ ...settings, ...more }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const container = await new PostgreSqlContainer(image).withCommand(['postgres', ...flags]).start();
  const unwatch = removeWhenKilled(container.getId());
  return {
    url: container.getConnectionUri(),
    async stop() {
      unwatch();
      await container.stop();
    },
  };
}

/**
 * A killed process leaves its container to the reaper of testcontainers, which is not everywhere allowed; where the
 * docker command is installed, it is removed all the same. Returns what calls it off.
 */
function removeWhenKilled(id: string): () => void {
  // Its standard input ends with us, however we end.
  const watcher = spawn('sh', ['-c', 'read -r _; docker rm -f -v "$1"', 'remove-container', id], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.on('error', () => {});
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
  return () => void watcher.kill('SIGKILL');
}

async function load(): Promise<typeof import('@testcontainers/postgresql')> {
  try {
    return await import('@testcontainers/postgresql');
  } catch (cause) {
    throw new EduschemaError('embedded-unavailable', '@testcontainers/postgresql is not installed', {
      hint: 'npm install --save-dev @testcontainers/postgresql',
      cause,
    });
  }
}

/** Asks the engine's socket, where there is one: an answer takes milliseconds. */
export async function isDockerReachable({
  dockerHost,
  homeFolder,
  runtimeFolder,
}: DockerSurroundings): Promise<boolean> {
  if (dockerHost?.startsWith('tcp://')) {
    const { hostname, port } = new URL(dockerHost);
    return ping({ host: hostname, port: Number(port || 2375) });
  }
  const sockets = dockerHost
    ? [dockerHost.replace('unix://', '')]
    : [
        '/var/run/docker.sock',
        join(homeFolder, '.docker/run/docker.sock'),
        join(runtimeFolder ?? '/run', 'docker.sock'),
      ];
  for (const socketPath of sockets) if (existsSync(socketPath) && (await ping({ socketPath }))) return true;
  return false;
}

function ping(where: { socketPath: string } | { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = request({ ...where, path: '/_ping', timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => resolve(false));
    asking.end();
  });
}
