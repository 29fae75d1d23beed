import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Account } from '../../../src/db/embedded/account.ts';

/** What the other process said about the server it uses. */
export interface Said {
  readonly pid: number;
  readonly port: number;
  readonly progress: readonly string[];
  readonly error?: string;
  readonly hint?: string;
}

/** Another process that uses the embedded server. */
export interface ServerUser {
  readonly pid: number;
  /** Resolves when it has the server, or an error. */
  readonly said: Promise<Said>;
  /** Lets it end as a command does. */
  finish(): Promise<void>;
  /** Kills it. */
  kill(): Promise<void>;
}

const jiti = fileURLToPath(new URL('../../../node_modules/jiti/lib/jiti-cli.mjs', import.meta.url));
const script = fileURLToPath(new URL('./use-server.ts', import.meta.url));

/** Starts a process that uses the embedded server of `folder`, as `account`. */
export function startServerUser(folder: string, account?: Account): ServerUser {
  const child = spawn(process.execPath, [jiti, script, folder], {
    ...account,
    env: { ...process.env, JITI_FS_CACHE: 'false' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const said = new Promise<Said>((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(JSON.parse(line)));
    void closed.then(() => reject(new Error('it said nothing')));
  });
  return {
    pid: child.pid ?? 0,
    said,
    async finish() {
      child.stdin.end();
      await closed;
    },
    async kill() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
