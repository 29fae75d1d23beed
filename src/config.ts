import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TransactionSql } from 'postgres';
import { EduschemaError } from './errors.ts';

/** What `eduschema.config.ts`, `.js`, `.mjs` or `.json` may hold. */
export interface Config {
  /** The database, as a URL; DATABASE_URL and --url come first. */
  readonly url?: string;
  /** The folder of migrations, relative to the configuration; `migrations` without it. */
  readonly directory?: string;
  /** The folder of seeds, relative to the configuration; `seeds` without it. */
  readonly seedsDirectory?: string;
  /** The table that records what was applied; `schema_versions` in `schema` or `public` without it. */
  readonly journal?: { readonly schema?: string; readonly table?: string };
  /** Where migrations create what they do not qualify. */
  readonly schema?: string;
  /** The role that owns what migrations create. */
  readonly role?: string;
  /** The longest that one try waits for a lock: `2s`, `500ms`; `0` waits without a limit. */
  readonly lockTimeout?: string;
  /** Seconds to go on trying for locks. */
  readonly lockDeadline?: number;
  /** A try for a lock lets go when more sessions than this queue behind it; 20 without it, 0 for no limit. */
  readonly queueLimit?: number;
  /** Ends sessions in the way that sit idle in a transaction for this long: `30s`. Nobody's without it. */
  readonly terminateIdleBlockers?: string;
  /** Shows statements of other sessions without the values in them. */
  readonly hideLiterals?: boolean;
  /** How long a statement may take; `0`, for ever, without it. */
  readonly statementTimeout?: string;
  /** Seconds to wait for another runner. */
  readonly wait?: number;
  /** Values for `$(name)` in SQL migrations that say `placeholders:true`; names are of a-z, 0-9 and _. */
  readonly placeholders?: Readonly<Record<string, string>>;
  /** What runs once before the first pending migration, and once after the last one. */
  readonly hooks?: Hooks;
  /** How tables are partitioned by time. */
  readonly partitions?: PartitionsConfig;
}

/** How a table is partitioned by time: what its comment leaves open, or, in an entry of its own, overrides. */
export interface PartitionPolicyConfig {
  /** Where a period begins: a zone of the server's, `Asia/Seoul` without it. */
  readonly zone?: string;
  /** `day`, `week`, `month`, `quarter` or `year`; as long as the table's partitions are without it. */
  readonly unit?: string;
  /** How far ahead of today partitions are made: `90d`, `3mo`, `1y`; `3mo` without it. */
  readonly ahead?: string;
  /** How long rows are kept; for ever without it. */
  readonly keep?: string;
  /** The folder for what is retired. */
  readonly archive?: string;
  /** How long a retired table stays beside its archive before it is dropped. */
  readonly grace?: string;
}

/** The defaults for tables whose comment says nothing else, and what counts for one table whatever its comment says. */
export interface PartitionsConfig extends PartitionPolicyConfig {
  readonly tables?: Readonly<Record<string, PartitionPolicyConfig>>;
}

/** What `eduschema migrate` runs around migrations, when any are pending; those of one kind in one transaction. */
export interface Hooks {
  readonly before?: Hook | readonly Hook[] | undefined;
  /** Due from the beginning of a run until it has run: what fails or is killed in between changes nothing in that. */
  readonly after?: Hook | readonly Hook[] | undefined;
}

/** SQL as a migration has it, or a function. */
export type Hook = string | HookFunction;

/** `sql` is postgres.js's, in the hook's transaction. Called again when that did not get its locks. */
export type HookFunction = (sql: TransactionSql, context: HookContext) => unknown;

/** What a hook is told beside `sql`. */
export interface HookContext {
  readonly when: 'before' | 'after';
  /** What this run applies, in order. Empty when the hook is made up for, after a run that did not come to it. */
  readonly migrations: readonly HookMigration[];
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal | undefined;
  /** Shows a line to the user while the hook runs. */
  log(message: string): void;
}

/** A migration of the run that a hook belongs to. */
export interface HookMigration {
  readonly name: string;
  /** Null for a repeatable one. */
  readonly version: string | null;
  readonly description: string;
  readonly file: string;
}

/** Types the configuration in an editor; returns it unchanged. */
export function defineConfig(config: Config): Config {
  return config;
}

const fileNames = [
  'eduschema.config.ts',
  'eduschema.config.js',
  'eduschema.config.mjs',
  'eduschema.config.json',
];

/** A configuration that was found, or an empty one. */
export interface FoundConfig {
  readonly config: Config;
  /** Its path, when there is a file. */
  readonly path: string | undefined;
}

/**
 * Reads the configuration of `folder`, or the file that `named` says.
 * Throws when a named file is missing, cannot be loaded, or holds a key or a type that is not known.
 */
export async function loadConfig(folder: string, named?: string): Promise<FoundConfig> {
  const path =
    named === undefined
      ? fileNames.map((name) => join(folder, name)).find((candidate) => existsSync(candidate))
      : resolve(folder, named);
  if (path === undefined) return { config: {}, path: undefined };
  if (!existsSync(path))
    throw new EduschemaError('config-invalid', `there is no configuration ${named}`, {
      hint: 'check the path behind --config',
    });
  const config = await read(path);
  check(config, path);
  return { config, path };
}

async function read(path: string): Promise<unknown> {
  try {
    if (path.endsWith('.json')) return JSON.parse(readFileSync(path, 'utf8').replace(/^\ufeff/, ''));
    const { createJiti } = await import('jiti');
    return await createJiti(path, { tsconfigPaths: true, fsCache: false }).import(path, { default: true });
  } catch (cause) {
    throw new EduschemaError(
      'config-invalid',
      `${path} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        hint: 'fix the file',
        cause,
      },
    );
  }
}

const knownTypes: Readonly<Record<keyof Config, 'string' | 'number' | 'boolean' | 'object'>> = {
  url: 'string',
  directory: 'string',
  seedsDirectory: 'string',
  journal: 'object',
  schema: 'string',
  role: 'string',
  lockTimeout: 'string',
  lockDeadline: 'number',
  queueLimit: 'number',
  terminateIdleBlockers: 'string',
  hideLiterals: 'boolean',
  statementTimeout: 'string',
  wait: 'number',
  placeholders: 'object',
  hooks: 'object',
  partitions: 'object',
};

function check(config: unknown, path: string): asserts config is Config {
  const invalid = (message: string, hint?: string) =>
    new EduschemaError('config-invalid', `${path}: ${message}`, { hint });
  if (typeof config !== 'object' || config === null)
    throw invalid('exports no object', 'write: export default { ... }');
  for (const [key, value] of Object.entries(config)) {
    const type = knownTypes[key as keyof Config];
    if (!type) throw invalid(`"${key}" is not known`, `known are ${Object.keys(knownTypes).join(', ')}`);
    if (value !== undefined && typeof value !== type) throw invalid(`"${key}" must be a ${type}`);
  }
  for (const [key, value] of Object.entries((config as Config).journal ?? {})) {
    if (key !== 'schema' && key !== 'table')
      throw invalid(`"journal.${key}" is not known`, 'known are journal.schema, journal.table');
    if (typeof value !== 'string') throw invalid(`"journal.${key}" must be a string`);
  }
  for (const [name, value] of Object.entries((config as Config).placeholders ?? {})) {
    if (!/^[a-z_][a-z0-9_]*$/.test(name))
      throw invalid(`"placeholders.${name}" is no name for a placeholder`, 'names are of a-z, 0-9 and _');
    if (typeof value !== 'string' || value.includes('\0'))
      throw invalid(`"placeholders.${name}" must be a string without a zero byte`);
  }
  const problem =
    findHookProblem((config as Config).hooks) ?? findPartitionsProblem((config as Config).partitions);
  if (problem) throw invalid(problem.message, problem.hint);
}

/** What is wrong with hooks from a file or a caller. */
export function findHookProblem(hooks: unknown): { message: string; hint?: string } | undefined {
  if (hooks === undefined) return undefined;
  if (typeof hooks !== 'object' || hooks === null || Array.isArray(hooks))
    return { message: '"hooks" must be an object', hint: "as in hooks: { after: 'ANALYZE' }" };
  for (const [key, value] of Object.entries(hooks)) {
    if (key !== 'before' && key !== 'after')
      return { message: `"hooks.${key}" is not known`, hint: 'known are hooks.before, hooks.after' };
    const strange = [value].flat().some((hook) => !['string', 'function'].includes(typeof hook));
    if (value !== undefined && strange)
      return { message: `"hooks.${key}" must be SQL or a function, or a list of these` };
  }
  return undefined;
}

const policyKeys: readonly string[] = ['zone', 'unit', 'ahead', 'keep', 'archive', 'grace'];

function findPartitionsProblem(partitions: unknown): { message: string; hint?: string } | undefined {
  const { tables = {}, ...defaults } = (partitions ?? {}) as PartitionsConfig;
  if (typeof tables !== 'object' || tables === null || Array.isArray(tables))
    return {
      message: '"partitions.tables" must be an object',
      hint: "as in { 'public.logs': { unit: 'day' } }",
    };
  const entries = Object.entries(tables).map(
    ([name, policy]) => [`partitions.tables["${name}"]`, policy] as const,
  );
  for (const [shown, policy] of [['partitions', defaults] as const, ...entries]) {
    if (typeof policy !== 'object' || policy === null) return { message: `"${shown}" must be an object` };
    for (const [key, value] of Object.entries(policy)) {
      if (!policyKeys.includes(key))
        return { message: `"${shown}.${key}" is not known`, hint: `known are ${policyKeys.join(', ')}` };
      if (value !== undefined && typeof value !== 'string')
        return { message: `"${shown}.${key}" must be a string` };
    }
  }
  return undefined;
}
