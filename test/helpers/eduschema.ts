import { main } from '../../src/cli/main.ts';
import type { World } from '../../src/cli/world.ts';

/** What a command line came to. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as JSON. */
  readonly json: () => {
    ok: boolean;
    rows: Record<string, unknown>[];
    summary: Record<string, unknown>;
    error: { code: string; message: string; hint: string | null; details?: Record<string, unknown> };
  };
}

export interface Surroundings {
  readonly cwd?: string;
  readonly env?: Record<string, string | undefined>;
  readonly terminal?: boolean;
  /** What the person answers, at once or later. */
  readonly answer?: string | (() => Promise<string>);
  /** Given the function that presses Ctrl-C. */
  readonly onStart?: (interrupt: (signal?: 'SIGINT' | 'SIGTERM') => void) => void;
}

/** Runs a command line in process: `await eduschema('migrate --json', { cwd, env: { DATABASE_URL: url } })`. */
export async function eduschema(
  line: string | readonly string[],
  surroundings: Surroundings = {},
): Promise<Outcome> {
  const { cwd = '/nonexistent', env = {}, terminal = false, answer, onStart } = surroundings;
  let stdout = '';
  let stderr = '';
  const world: World = {
    env,
    cwd,
    homeFolder: '/nonexistent',
    userName: 'nobody',
    stdout: { write: (text) => (stdout += text), isTTY: terminal },
    stderr: { write: (text) => (stderr += text), isTTY: false },
    ask:
      answer === undefined
        ? undefined
        : async (question) => {
            stderr += question;
            return typeof answer === 'string' ? answer : answer();
          },
    onInterrupt(handler) {
      onStart?.((signal = 'SIGINT') => handler(signal));
      return () => {};
    },
    onStrayError: () => () => {},
  };
  const exitCode = await main(typeof line === 'string' ? line.split(' ').filter(Boolean) : line, world);
  return { exitCode, stdout, stderr, json: () => JSON.parse(stdout) };
}
