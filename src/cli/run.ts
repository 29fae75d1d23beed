import type { Command } from 'commander';
import type { Database } from '../db/connect.ts';
import { EduschemaError } from '../errors.ts';
import type { Report } from '../output/report.ts';
import type { CommonOptions } from './options.ts';
import { createProgress, type Progress } from './progress.ts';
import { findSettings, type Settings } from './settings.ts';
import type { World } from './world.ts';

/** What a command's task is given. */
export interface LocalContext<Options> {
  readonly options: Options;
  readonly settings: Settings;
  readonly progress: Progress;
  readonly world: World;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** Warnings of the server, to be shown with the result. */
  readonly warnings: string[];
}

export interface DatabaseContext<Options> extends LocalContext<Options> {
  readonly database: Database;
}

export type LocalTask<Options> = (context: LocalContext<Options>, ...args: string[]) => Promise<Report>;
export type DatabaseTask<Options, Room> = (
  room: Room,
  context: DatabaseContext<Options>,
  ...args: string[]
) => Promise<Report>;

/** Imports what a task needs, and may begin with what needs no database. */
export type Load<Room> = (settings: Settings) => Promise<Room>;

/** Wraps tasks as commander's actions. Every command goes through one of the two. */
export interface Runner {
  /** For what needs no database. */
  local<Options extends CommonOptions>(task: LocalTask<Options>): (...args: unknown[]) => Promise<void>;
  /** Opens the configured database for the task, and closes it. `load` imports the room while the connection opens. */
  database<Options extends CommonOptions, Room>(
    load: Load<Room>,
    task: DatabaseTask<Options, Room>,
  ): (...args: unknown[]) => Promise<void>;
}

/** Told what a command came to: its exit code. */
export type OnExit = (code: number) => void;

/** The runner of a command line in `world`. */
export function createRunner(world: World, onExit: OnExit): Runner {
  const local =
    <Options extends CommonOptions>(task: LocalTask<Options>) =>
    async (...args: unknown[]) => {
      const command = args.pop() as Command;
      args.pop();
      const options = command.optsWithGlobals() as Options;
      const code = await runTask(
        world,
        options,
        task,
        args.flat().filter((arg) => arg !== undefined) as string[],
      );
      onExit(code);
    };
  return {
    local,
    database: <Options extends CommonOptions, Room>(load: Load<Room>, task: DatabaseTask<Options, Room>) =>
      local<Options>((context, ...args) => {
        const room = load(context.settings);
        return withConfiguredDatabase(context, async (database) =>
          task(await room, { ...context, database }, ...args),
        );
      }),
  };
}

async function runTask<Options extends CommonOptions>(
  world: World,
  options: Options,
  task: LocalTask<Options>,
  args: string[],
): Promise<number> {
  const { renderJson, renderText } = await import('../output/render-report.ts');
  const colours = usesColours(world, options, world.stderr);
  const person = Boolean(world.stderr.isTTY) && !options.json && !world.env.CI;
  const progress = createProgress({
    stderr: world.stderr,
    person,
    quiet: Boolean(options.quiet || options.json),
    colours,
  });
  const interruption = new AbortController();
  let interruptedBy: 'SIGINT' | 'SIGTERM' | undefined;
  const stopListening = world.onInterrupt((signal) => {
    interruptedBy = signal;
    progress.work('interrupted: cancelling on the server; once more stops at once');
    interruption.abort();
  });
  const strays: unknown[] = [];
  const stopCatching = world.onStrayError((error) => {
    strays.push(error);
    interruption.abort();
  });
  let settings: Settings | undefined;
  try {
    settings = await findSettings(world, options);
    if (options.verbose) for (const origin of settings.origins) progress.say(origin);
    const warnings: string[] = [];
    const report = await task(
      { options, settings, progress, world, signal: interruption.signal, warnings },
      ...args,
    );
    progress.rest();
    const complete = { ...report, warnings: [...(report.warnings ?? []), ...warnings] };
    if (!options.json) for (const warning of complete.warnings) progress.say(`warning: ${warning}`);
    world.stdout.write(
      options.json
        ? renderJson(complete)
        : await renderText(complete, usesColours(world, options, world.stdout)),
    );
    return report.failing ? 1 : 0;
  } catch (error) {
    progress.rest();
    const [stray] = strays;
    const isInterruption = error instanceof EduschemaError && error.code === 'interrupted';
    const shown =
      stray !== undefined && isInterruption
        ? explainStray(stray, error, settings)
        : interruptedBy && !isInterruption
          ? new EduschemaError('interrupted', 'interrupted', { cause: error })
          : error;
    await showError(world, options, shown);
    if (interruptedBy) return interruptedBy === 'SIGINT' ? 130 : 143;
    return shown instanceof EduschemaError ? 2 : 3;
  } finally {
    progress.rest();
    stopListening();
    stopCatching();
  }
}

/** An error that code of a migration has thrown while nobody waited for it; any other is a bug, and comes back. */
function explainStray(stray: unknown, { message }: EduschemaError, settings: Settings | undefined): unknown {
  const stack = stray instanceof Error ? (stray.stack ?? '') : '';
  const folder = settings?.migrations.directory;
  if (folder === undefined || !stack.includes(folder)) return stray;
  const thrown = stray instanceof Error ? stray.message : String(stray);
  const frames = stack.split('\n').filter((line) => line.includes(folder));
  return new EduschemaError('migration-failed', `an error was thrown that nobody waited for: ${thrown}`, {
    excerpt: [...frames.slice(0, 5), '', message.replace(/^interrupted: /, '')].join('\n'),
    hint: 'await everything that the migration starts',
    cause: stray,
  });
}

async function withConfiguredDatabase<Options extends CommonOptions, T>(
  context: LocalContext<Options>,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const { openDatabase } = await import('./open-database.ts');
  return openDatabase(context, use);
}

/** Prints an error: as JSON on stdout when that was asked for, else in words on stderr. */
export async function showError(world: World, options: CommonOptions, error: unknown): Promise<void> {
  const { renderError, renderErrorJson } = await import('../output/render-error.ts');
  if (options.json) world.stdout.write(renderErrorJson(error));
  else world.stderr.write(renderError(error, usesColours(world, options, world.stderr)));
}

/** https://no-color.org: NO_COLOR counts when it is not empty. */
function usesColours(
  { env }: World,
  options: CommonOptions,
  output: { isTTY?: boolean | undefined },
): boolean {
  if (options.color === false || options.json || env.NO_COLOR) return false;
  return Boolean(output.isTTY) || Boolean(env.FORCE_COLOR && env.FORCE_COLOR !== '0');
}
