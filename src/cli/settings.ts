import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { type FoundConfig, loadConfig } from '../config.ts';
import { checkIdentifier, type QualifiedName } from '../db/identifiers.ts';
import { defaultLockDeadlineSeconds, defaultQueueLimit } from '../db/lock-settings.ts';
import { parseName } from '../db/parse-name.ts';
import { defaultWaitSeconds } from '../db/work-settings.ts';
import { EduschemaError } from '../errors.ts';
import { defaultLeaseSeconds, type MigrationSettings } from '../migrations/settings.ts';
import { type CommonOptions, isTime } from './options.ts';
import type { World } from './world.ts';

/** All settings of a command, each from a flag, else a variable, else the configuration, else the default. */
export interface Settings {
  readonly env: World['env'];
  readonly found: FoundConfig;
  readonly migrations: MigrationSettings;
  /** The folder of seeds, as a path and as the user calls it. */
  readonly seeds: { readonly directory: string; readonly shownDirectory: string };
  /** `name = value (where it came from)`, for --verbose. Holds no URL. */
  readonly origins: readonly string[];
}

/**
 * Finds the settings. Variables of `.env` count as variables; one that is set beats the file, and an empty one says
 * nothing.
 */
export async function findSettings(world: World, options: CommonOptions): Promise<Settings> {
  const env = await withDotenv(world);
  const found = await loadConfig(world.cwd, options.config ?? (env.EDUSCHEMA_CONFIG || undefined));
  const { config } = found;
  const origins: string[] = [];
  const choose = <T>(
    name: string,
    flag: T | undefined,
    variable: string,
    configured: T | undefined,
  ): T | undefined => {
    const [value, origin] =
      flag !== undefined
        ? [flag, 'flag']
        : env[variable]
          ? [env[variable] as T, `variable ${variable}`]
          : [configured, found.path];
    if (value !== undefined) origins.push(`${name} = ${value} (${origin})`);
    return value;
  };
  const hooks = Object.keys(config.hooks ?? {});
  if (hooks.length > 0) origins.push(`hooks = ${hooks.join(', ')} (${found.path})`);
  const schema = choose('schema', options.schema, 'EDUSCHEMA_SCHEMA', config.schema);
  const role = choose('role', options.role, 'EDUSCHEMA_ROLE', config.role) || undefined;
  const folder = choose('dir', options.dir, 'EDUSCHEMA_DIR', config.directory) ?? 'migrations';
  const directory = resolve(world.cwd, folder);
  const seeds = resolve(
    world.cwd,
    choose('seeds', options.seeds, 'EDUSCHEMA_SEEDS', config.seedsDirectory) ?? 'seeds',
  );
  const journal = choose('journal', options.journal, 'EDUSCHEMA_JOURNAL', undefined);
  return {
    env,
    found,
    origins,
    seeds: { directory: seeds, shownDirectory: relative(world.cwd, seeds) || '.' },
    migrations: {
      directory,
      shownDirectory: relative(world.cwd, directory) || '.',
      journal:
        journal === undefined
          ? configuredJournal(config.journal, schema)
          : journalOf(parseName(journal, schema)),
      schema: schema && checkIdentifier(schema, 'the schema'),
      role: role && checkIdentifier(role, 'the role'),
      lockTimeout: checkTime(
        'lock timeout',
        choose('lock timeout', options.lockTimeout, 'EDUSCHEMA_LOCK_TIMEOUT', config.lockTimeout),
      ),
      statementTimeout: checkTime(
        'statement timeout',
        choose(
          'statement timeout',
          options.statementTimeout,
          'EDUSCHEMA_STATEMENT_TIMEOUT',
          config.statementTimeout,
        ),
      ),
      lockDeadlineSeconds: checkSeconds(
        'lock deadline',
        choose('lock deadline', options.lockDeadline, 'EDUSCHEMA_LOCK_DEADLINE', config.lockDeadline),
        defaultLockDeadlineSeconds,
      ),
      queueLimit: checkLimit(
        choose('queue limit', options.queueLimit, 'EDUSCHEMA_QUEUE_LIMIT', config.queueLimit),
      ),
      terminateIdleBlockers: checkTime(
        'age of idle blockers to end',
        choose(
          'terminate idle blockers',
          options.terminateIdleBlockers,
          'EDUSCHEMA_TERMINATE_IDLE_BLOCKERS',
          config.terminateIdleBlockers,
        ),
      ),
      hideLiterals: checkSwitch(
        'hide literals',
        choose('hide literals', options.hideLiterals, 'EDUSCHEMA_HIDE_LITERALS', config.hideLiterals),
      ),
      hooks: config.hooks,
      hooksFile: found.path === undefined ? undefined : fileOf(found.path, world),
      placeholders: findPlaceholders(env, config.placeholders),
      leaseSeconds: checkLease(choose('lease', undefined, 'EDUSCHEMA_LEASE', undefined)),
      waitSeconds: checkSeconds(
        'wait',
        choose('wait', options.wait, 'EDUSCHEMA_WAIT', config.wait),
        defaultWaitSeconds,
      ),
    },
  };
}

const fileOf = (path: string, { cwd }: World) => ({ path, shown: relative(cwd, path) });

const placeholderVariable = /^EDUSCHEMA_PLACEHOLDER_([A-Z_][A-Z0-9_]*)$/;

/** EDUSCHEMA_PLACEHOLDER_APP_ROLE is the value of `app_role`, and beats the configuration. */
function findPlaceholders(
  env: World['env'],
  configured: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const named = Object.entries(env).flatMap(([variable, value]) => {
    const name = placeholderVariable.exec(variable)?.[1]?.toLowerCase();
    return name === undefined || value === undefined ? [] : [[name, value] as const];
  });
  return { ...configured, ...Object.fromEntries(named) };
}

/** What came from a variable or a file was not checked by commander. */
function checkTime(what: string, time: string | undefined): string | undefined {
  if (time === undefined || isTime(time)) return time;
  throw new EduschemaError('config-invalid', `the ${what} "${time}" is no time`, {
    hint: 'write it as PostgreSQL takes it: 500ms, 10s, 2min, 0',
  });
}

/** It is renewed six times in that time. */
function checkLease(seconds: number | undefined): number {
  const value = checkSeconds('lease', seconds, defaultLeaseSeconds);
  if (value >= 1) return value;
  throw new EduschemaError('config-invalid', `a lease of ${seconds} s is over before it can be renewed`, {
    hint: 'EDUSCHEMA_LEASE is at least 1',
  });
}

function checkSeconds(what: string, seconds: number | undefined, otherwise: number): number {
  const value = Number(seconds ?? otherwise);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new EduschemaError('config-invalid', `the ${what} "${seconds}" is no number of seconds`, {
    hint: 'write it as a number, as in 60',
  });
}

function checkLimit(limit: number | undefined): number {
  const value = Number(limit ?? defaultQueueLimit);
  if (Number.isInteger(value) && value >= 0 && String(limit) !== '') return value;
  throw new EduschemaError('config-invalid', `the queue limit "${limit}" is no number of sessions`, {
    hint: 'write it as a whole number, as in 20, or 0 for no limit',
  });
}

/** A variable is a text. */
function checkSwitch(what: string, value: boolean | string | undefined): boolean {
  if (value === undefined || value === '') return false;
  if (value === true || value === 'true' || value === '1') return true;
  if (value === false || value === 'false' || value === '0') return false;
  throw new EduschemaError('config-invalid', `${what} is "${value}", which is neither yes nor no`, {
    hint: 'write true or false',
  });
}

const defaultJournal = 'schema_versions';

function configuredJournal(
  journal: { schema?: string; table?: string } | undefined,
  schema: string | undefined,
): QualifiedName {
  return journalOf({
    schema: journal?.schema ?? schema ?? 'public',
    name: journal?.table ?? defaultJournal,
  });
}

function journalOf({ schema, name }: QualifiedName): QualifiedName {
  checkIdentifier(name, 'the name of the journal');
  checkIdentifier(`${name}_repeatable`, 'the journal of repeatable migrations');
  checkIdentifier(`${name}_statements`, 'the journal of statements');
  checkIdentifier(`${name}_seeds`, 'the journal of seeds');
  return { schema: checkIdentifier(schema, 'the schema of the journal'), name };
}

async function withDotenv(world: World): Promise<World['env']> {
  const bytes = readDotenv(join(world.cwd, '.env'));
  if (!bytes) return world.env;
  if (!isUtf8(bytes) || bytes.includes(0))
    throw new EduschemaError('file-unreadable', '.env is not UTF-8', { hint: 'save it as UTF-8' });
  const { parse } = await import('dotenv');
  return { ...parse(bytes), ...world.env };
}

/** Undefined where there is no such file; `.env` may be a folder of Python's. */
function readDotenv(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (['ENOENT', 'EISDIR', 'ENOTDIR'].includes(code)) return undefined;
    throw new EduschemaError('file-unreadable', `.env cannot be read (${code})`, {
      hint: 'check its permissions, or remove it: it may say which database is meant',
      cause,
    });
  }
}
