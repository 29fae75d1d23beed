import { type Command, InvalidArgumentError } from 'commander';

/** What every command takes. All are undefined unless given. */
export interface CommonOptions {
  readonly url?: string;
  readonly config?: string;
  readonly dir?: string;
  readonly seeds?: string;
  readonly journal?: string;
  readonly schema?: string;
  readonly role?: string;
  readonly lockTimeout?: string;
  readonly lockDeadline?: number;
  readonly queueLimit?: number;
  readonly terminateIdleBlockers?: string;
  readonly hideLiterals?: boolean;
  readonly statementTimeout?: string;
  readonly wait?: number;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly color?: boolean;
}

/** The options of every command. */
export function addCommonOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration to read (default: eduschema.config.ts, .js, .mjs or .json)')
    .option('--json', 'print one JSON document')
    .option('-q, --quiet', 'no talk on stderr')
    .option('-v, --verbose', 'say where settings come from; show notices')
    .option('--no-color', 'no colours');
}

/** The options of commands that open a database. */
export function addDatabaseOptions(command: Command): Command {
  return addCommonOptions(command)
    .option(
      '--url <url>',
      'database to use (default: DATABASE_URL, PGHOST ..., the configuration, else an embedded server)',
    )
    .option('--schema <name>', 'schema for what is not qualified')
    .option('--role <name>', 'role that does the work and owns what is created')
    .option('--lock-timeout <time>', 'the longest that one try waits for a lock (default: 2s)', parseTime)
    .option('--statement-timeout <time>', 'give up a statement (default: 0, never)', parseTime);
}

/** The options of commands that read migrations. */
export function addMigrationOptions(command: Command): Command {
  return addWorkOptions(command)
    .option('-d, --dir <folder>', 'folder of migrations (default: migrations)')
    .option('--journal <table>', 'table that records what is applied (default: public.schema_versions)');
}

/** The options of commands that wait for locks, and for each other. */
export function addWorkOptions(command: Command): Command {
  return addDatabaseOptions(command)
    .option('--lock-deadline <seconds>', 'how long to go on trying for locks (default: 900)', parseSeconds)
    .option(
      '--queue-limit <count>',
      'let go when more sessions queue behind us, and try again (default: 20; 0: never)',
      parseLimit,
    )
    .option(
      '--terminate-idle-blockers <time>',
      'end sessions in the way that sit idle in a transaction for so long (default: nobody)',
      parseTime,
    )
    .option('--hide-literals', 'show statements of other sessions without the values in them')
    .option('--wait <seconds>', 'wait for another eduschema at work (default: 60)', parseSeconds);
}

/** A whole number above 0, for commander. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number above 0.');
  return value;
}

/** Whole numbers above 0, from an option that is given several times. */
export function collectCount(text: string, before: number[] = []): number[] {
  return [...before, parseCount(text)];
}

/** A whole number, for commander. */
export function parseWhole(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** `name=value`, from an option that is given several times. */
export function collectSetting(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new InvalidArgumentError('It must be a name and a value, as in pupils=500.');
  return { ...before, [name]: value };
}

/** The most that PostgreSQL takes for an integer. */
const mostRows = 2 ** 31 - 1;

/** A whole number, 0 for no limit, for commander. */
export function parseLimit(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0 || value > mostRows)
    throw new InvalidArgumentError(`It must be a whole number up to ${mostRows}, or 0 for no limit.`);
  return value;
}

function parseSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('It must be a number of seconds.');
  return value;
}

/** Whether PostgreSQL takes the text for a time. */
export function isTime(text: string): boolean {
  return /^\d+(\.\d+)?\s*(us|ms|s|min|h|d)?$/.test(text);
}

/** A time as PostgreSQL takes it, for commander. */
export function parseTime(text: string): string {
  if (isTime(text)) return text;
  throw new InvalidArgumentError('It must be a time as PostgreSQL takes it: 500ms, 10s, 2min, 0.');
}
