import type { TransactionSql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import type { MigrationFile } from './folder.ts';

/** What a TypeScript or JavaScript migration is told beside `sql`. */
export interface MigrationContext {
  readonly version: string;
  readonly description: string;
  readonly direction: 'up' | 'down';
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal | undefined;
  /** Shows a line to the user while the migration runs. */
  log(message: string): void;
}

/** `up` and `down` of a migration: postgres.js's `sql`, inside the transaction that also records the migration. */
/** postgres.js's `sql` in the transaction of a migration. */
export type MigrationSql = TransactionSql;

export type MigrationFunction = (sql: MigrationSql, context: MigrationContext) => unknown;

/** A TypeScript or JavaScript migration, loaded. */
export interface MigrationModule {
  readonly up: MigrationFunction;
  readonly down: MigrationFunction | undefined;
  /** False when the module exports `transaction = false`; `sql` is then a connection outside any transaction. */
  readonly transaction: boolean;
}

/**
 * Loads a migration written in TypeScript or JavaScript, ESM or CommonJS, with the paths of the nearest tsconfig.json.
 * Throws when it cannot be compiled or loaded, or exports no function `up`.
 */
export async function loadModule({
  path,
  file,
}: Pick<MigrationFile, 'path' | 'file'>): Promise<MigrationModule> {
  const { createJiti } = await import('jiti');
  const jiti = createJiti(path, { tsconfigPaths: true, moduleCache: false, fsCache: false });
  let loaded: Record<string, unknown>;
  try {
    loaded = await jiti.import<Record<string, unknown>>(path);
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replaceAll(path, file);
    throw new EduschemaError('migration-invalid', `${file} cannot be loaded: ${reason}`, {
      hint: 'fix the file; nothing was run',
      cause,
      details: { file },
    });
  }
  const exported =
    typeof loaded.up === 'function' ? loaded : ((loaded.default ?? {}) as Record<string, unknown>);
  if (typeof exported.up !== 'function') {
    throw new EduschemaError('migration-invalid', `${file} exports no function up`, {
      hint: 'write: export async function up(sql) { await sql`...`; }',
      details: { file },
    });
  }
  return {
    up: exported.up as MigrationFunction,
    down: typeof exported.down === 'function' ? (exported.down as MigrationFunction) : undefined,
    transaction: exported.transaction !== false,
  };
}
