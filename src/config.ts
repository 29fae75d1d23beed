import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
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
    if (path.endsWith('.json')) return JSON.parse(readFileSync(path, 'utf8'));
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
}
