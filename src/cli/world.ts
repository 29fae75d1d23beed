import { homedir, userInfo } from 'node:os';
import { isatty } from 'node:tty';
import { results, separateStreams } from './streams.ts';

/** All that a command line sees of the machine, so that tests can give it another one. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homeFolder: string;
  readonly userName: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /**
   * Asks a question and returns what was typed, nothing when the input ends; throws when `signal` comes. Undefined when
   * nobody is there to answer.
   */
  readonly ask: ((question: string, signal: AbortSignal) => Promise<string>) | undefined;
  /** Calls `handler` for each Ctrl-C or termination; returns what ends that. */
  onInterrupt(handler: (signal: 'SIGINT' | 'SIGTERM') => void): () => void;
  /** Calls `handler` for an error that nobody waits for; returns what ends that. */
  onStrayError(handler: (error: unknown) => void): () => void;
}

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** The stream itself, for a spinner. */
  readonly stream?: () => NodeJS.WriteStream;
}

const exit = process.exit.bind(process);

let onStray: ((error: unknown) => void) | undefined;

/** Tells the command under way of an error that nobody waits for. False when there is none, or it was told already. */
export function tellStray(error: unknown): boolean {
  const tell = onStray;
  onStray = undefined;
  tell?.(error);
  return tell !== undefined;
}

/** The world of this process. */
export function processWorld(): World {
  // Code of a migration would end the process without a word, and perhaps with 0.
  process.exit = (code) => {
    throw new Error(`process.exit(${code ?? ''}) was called, which would end eduschema`);
  };
  separateStreams();
  // isatty, as the streams themselves cost milliseconds to make.
  const interactive = isatty(0) && isatty(2);
  return {
    env: process.env,
    cwd: process.cwd(),
    homeFolder: homedir(),
    userName: userName(),
    stdout: { write: (text) => results().write(text), isTTY: isatty(1) },
    stderr: { write: (text) => process.stderr.write(text), isTTY: isatty(2), stream: () => process.stderr },
    ask: interactive ? ask : undefined,
    onInterrupt(handler) {
      let count = 0;
      const on = (signal: NodeJS.Signals) => {
        // The second one means now.
        if (++count > 1) exit(signal === 'SIGINT' ? 130 : 143);
        handler(signal as 'SIGINT' | 'SIGTERM');
      };
      process.on('SIGINT', on).on('SIGTERM', on);
      return () => process.off('SIGINT', on).off('SIGTERM', on);
    },
    onStrayError(handler) {
      onStray = handler;
      return () => {
        onStray = undefined;
      };
    },
  };
}

/** In a container the user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env.USER ?? 'postgres';
  }
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // While readline reads the keys, Ctrl-C is one of them, and no signal.
  terminal.on('SIGINT', () => process.emit('SIGINT', 'SIGINT'));
  const ended = new Promise<undefined>((done) => terminal.once('close', () => done(undefined)));
  const answer = terminal.question(question, { signal }).catch((error) => {
    // Ctrl-D.
    if (!signal.aborted && (error as Error).name === 'AbortError') return undefined;
    throw error;
  });
  let answered: string | undefined;
  try {
    answered = await Promise.race([answer, ended]);
    return answered ?? '';
  } finally {
    if (answered === undefined) process.stderr.write('\n');
    terminal.close();
  }
}
