import type { Ora } from 'ora';
import { paintWith } from '../output/render-report.ts';
import type { Output } from './world.ts';

/** How a command talks while it works: to stderr, and to nobody with --quiet. */
export interface Progress {
  /** A line that stays, also when nobody watches. */
  say(text: string): void;
  /** A line that a person alone sees. */
  tell(text: string): void;
  /** A line for a log: where nobody sees the spinner. */
  log(text: string): void;
  /** What is being done now: a spinner. The next one replaces it. */
  work(text: string): void;
  /** Ends the spinner. */
  rest(): void;
}

export interface ProgressOptions {
  readonly stderr: Output;
  /** Somebody watches: a terminal, no --json, no CI. */
  readonly person: boolean;
  readonly quiet: boolean;
  readonly colours: boolean;
}

/** A progress for a terminal or for a log. ora is loaded when something takes long enough to show. */
export function createProgress({ stderr, person, quiet, colours }: ProgressOptions): Progress {
  const paint = paintWith(colours);
  let wanted: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let spinner: Ora | undefined;

  const show = async () => {
    const { default: ora } = await import('ora');
    const stream = stderr.stream?.();
    // In a terminal without a width ora would erase lines for ever.
    if (wanted === undefined || !stream?.columns) return;
    // Ctrl-C is ours; ora would otherwise swallow it.
    spinner ??= ora({ stream, discardStdin: false });
    spinner.start(wanted);
  };
  const rest = () => {
    wanted = undefined;
    clearTimeout(timer);
    timer = undefined;
    spinner?.stop();
  };
  const write = (text: string) => {
    spinner?.stop();
    stderr.write(`${text}\n`);
    if (wanted !== undefined) spinner?.start();
  };

  return {
    say: (text) => (quiet ? undefined : write(text)),
    tell: (text) => (person && !quiet ? write(paint.gray(text)) : undefined),
    log: (text) => (person || quiet ? undefined : write(text)),
    work(text) {
      if (!person || quiet) return;
      wanted = text;
      if (spinner) spinner.text = text;
      timer ??= setTimeout(() => void show(), quickMilliseconds);
    },
    rest,
  };
}

/** What is done sooner needs no spinner. */
const quickMilliseconds = 150;
