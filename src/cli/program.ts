import { Command, CommanderError } from 'commander';
import { EduschemaError } from '../errors.ts';
import { toolVersion } from '../tool-version.ts';
import { baselineCommand } from './commands/baseline.ts';
import { countersCommand } from './commands/counters.ts';
import { dbCommand } from './commands/db.ts';
import { dedupeCommand } from './commands/dedupe.ts';
import { initCommand } from './commands/init.ts';
import { lockCommand } from './commands/lock.ts';
import { migrateCommand } from './commands/migrate.ts';
import { newCommand } from './commands/new.ts';
import { partitionsCommand } from './commands/partitions.ts';
import { rollbackCommand } from './commands/rollback.ts';
import { searchCommand } from './commands/search.ts';
import { seedCommand } from './commands/seed.ts';
import { statusCommand } from './commands/status.ts';
import { tagsCommand } from './commands/tags.ts';
import { testdbCommand } from './commands/testdb.ts';
import { verifyCommand } from './commands/verify.ts';
import { createRunner, type Runner, showError } from './run.ts';
import type { World } from './world.ts';

type AddCommand = (program: Command, runner: Runner) => void;

/** The commands, in the order of `eduschema --help`. A new one is a file and a line here. */
const commands: Readonly<Record<string, AddCommand>> = {
  init: initCommand,
  migrate: migrateCommand,
  rollback: rollbackCommand,
  status: statusCommand,
  verify: verifyCommand,
  new: newCommand,
  baseline: baselineCommand,
  lock: lockCommand,
  partitions: partitionsCommand,
  seed: seedCommand,
  search: searchCommand,
  counters: countersCommand,
  tags: tagsCommand,
  dedupe: dedupeCommand,
  testdb: testdbCommand,
  db: dbCommand,
};

/** The one that the command line begins with; all of them for help, options before it, and typing errors. */
function commandsFor([first = '']: readonly string[]): readonly AddCommand[] {
  const command = commands[first];
  return command ? [command] : Object.values(commands);
}

/** Parses a command line, runs its command, and returns the exit code. */
export async function runProgram(argv: readonly string[], world: World): Promise<number> {
  let exitCode = 0;
  const program = new Command('eduschema')
    .description('Migrations, partitions and operations for PostgreSQL')
    .version(toolVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      outputError: () => {},
    })
    .addHelpText(
      'after',
      '\nStart with: eduschema migrate\nEach command explains itself: eduschema <command> --help',
    );
  const runner = createRunner(world, (code) => {
    exitCode = code;
  });
  for (const command of commandsFor(argv)) command(program, runner);

  if (argv.length === 0) {
    world.stderr.write(program.helpInformation());
    world.stderr.write('\nStart with: eduschema migrate\n');
    return 2;
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    const json = argv.includes('--json');
    if (!(error instanceof CommanderError)) {
      await showError(world, { json }, error);
      return 3;
    }
    if (error.exitCode === 0) return 0;
    // A noun without a verb: its help has been shown.
    if (error.code === 'commander.help' && !json) return 2;
    await showError(world, { json }, usageError(error, argv));
    return 2;
  }
}

/** Says that a command line stopped in the middle: what it waited for never came, nor an error. */
export async function endEarly(argv: readonly string[], world: World): Promise<void> {
  const error = new EduschemaError(
    'connection-failed',
    'stopped before the work was done: an answer that it waited for never came',
    { hint: 'run the command again; it goes on where it stopped, and eduschema status shows where' },
  );
  await showError(world, { json: argv.includes('--json') }, error);
}

function usageError({ message, code }: CommanderError, argv: readonly string[]): EduschemaError {
  const [first = '', ...suggestion] = (
    code === 'commander.help' ? 'a verb is missing' : message.replace(/^error: /, '')
  ).split('\n');
  const command = argv.find((arg) => !arg.startsWith('-'));
  const help =
    code === 'commander.unknownCommand' || command === undefined
      ? 'eduschema --help'
      : `eduschema ${command} --help`;
  const hint = suggestion
    .join(' ')
    .replace(/^\((.*)\)$/, '$1')
    .trim();
  return new EduschemaError('usage', first, {
    hint: hint ? `${hint.replace(/\?$/, '')}? See ${help}` : `see ${help}`,
  });
}
