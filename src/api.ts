import { resolve } from 'node:path';
import type { Sql } from 'postgres';
import { withDatabase } from './db/connect.ts';
import type { QualifiedName } from './db/identifiers.ts';
import { resolveTarget } from './db/resolve-target.ts';
import type { Target } from './db/target.ts';
import { targetOfSql } from './db/target-of-sql.ts';
import { EduschemaError } from './errors.ts';
import type { BaselineResult } from './migrations/baseline.ts';
import type { MigrateResult } from './migrations/carry-out.ts';
import type { MigrateOptions, RollbackOptions } from './migrations/migrate.ts';
import type { NamedFile } from './migrations/plan-file.ts';
import type { MigrationSettings } from './migrations/settings.ts';
import type { StatusResult } from './migrations/status.ts';
import type { VerifyRow } from './migrations/verify.ts';
import type { ForeseenRow } from './seed/foresee.ts';
import type { SeedOptions } from './seed/options.ts';
import type { SeedResult } from './seed/seed.ts';
import type { SeedSettings } from './seed/settings.ts';

/** Which database: a URL, as psql takes it, or the caller's own postgres.js handle. */
export type ConnectionOptions =
  | { readonly url: string; readonly sql?: never }
  | { readonly sql: Sql; readonly url?: never };

/** What every verb of migrations takes beside the database. */
export interface MigrationOptions extends Partial<Omit<MigrationSettings, 'journal' | 'shownDirectory'>> {
  /** The table that records what is applied: `public.schema_versions` without it. */
  readonly journal?: { readonly schema?: string; readonly table?: string } | undefined;
}

/** As in MigrateOptions, with plans by their paths. */
export interface PlanOptions extends Omit<MigrateOptions, 'plan' | 'fromPlan'> {
  readonly plan?: string | undefined;
  readonly fromPlan?: string | undefined;
}

/** What seeds take beside the database. */
export interface SeedingOptions
  extends Partial<Omit<SeedSettings, 'journal' | 'shownDirectory'>>,
    Pick<MigrationOptions, 'journal' | 'role'>,
    Partial<Omit<SeedOptions, 'given'>> {
  /** Parameters of the seeds, as behind `--set`: `{ materials: 200_000, dirty: '3%' }`. */
  readonly values?: Readonly<Record<string, number | string>>;
}

/** Applies what is pending: as `eduschema migrate`. */
export async function migrate(
  options: ConnectionOptions & MigrationOptions & PlanOptions,
): Promise<MigrateResult> {
  const room = await import('./migrations/migrate.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.migrate(database, settingsOf(options), {
      ...options,
      plan: namedFile(options.plan),
      fromPlan: namedFile(options.fromPlan),
    }),
  );
}

/** Undoes the newest migration, or several: as `eduschema rollback --yes`. */
export async function rollback(
  options: ConnectionOptions & MigrationOptions & RollbackOptions,
): Promise<MigrateResult> {
  const room = await import('./migrations/migrate.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.rollback(database, settingsOf(options), options),
  );
}

/** What is applied and what is pending: as `eduschema status`. */
export async function status(options: ConnectionOptions & MigrationOptions): Promise<StatusResult> {
  const room = await import('./migrations/status.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.status(database, settingsOf(options)),
  );
}

/** Compares applied migrations with their files: as `eduschema verify`. */
export async function verify(options: ConnectionOptions & MigrationOptions): Promise<readonly VerifyRow[]> {
  const room = await import('./migrations/verify.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.verify(database, settingsOf(options)),
  );
}

/** Records `version` and all older ones without running them: as `eduschema baseline`. */
export async function baseline(
  options: ConnectionOptions & MigrationOptions & { readonly version: string; readonly dryRun?: boolean },
): Promise<BaselineResult> {
  const room = await import('./migrations/baseline.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.baseline(database, settingsOf(options), options.version, options),
  );
}

/** Fills the database from `seeds/`: as `eduschema seed`. */
export async function seed(options: ConnectionOptions & SeedingOptions): Promise<SeedResult> {
  const room = await import('./seed/seed.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.seed(database, ...seedingOf(options)),
  );
}

/** What `seed` would do, without doing it: as `eduschema seed --dry-run`. */
export async function foreseeSeed(
  options: ConnectionOptions & SeedingOptions,
): Promise<readonly ForeseenRow[]> {
  const room = await import('./seed/foresee.ts');
  return withDatabase(targetOf(options), { role: options.role }, (database) =>
    room.foresee(database, ...seedingOf(options)),
  );
}

/** Writes an empty migration and returns how it is called: as `eduschema new`. */
export async function newMigration(options: {
  readonly name: string;
  readonly directory?: string;
  readonly typescript?: boolean;
}): Promise<{ readonly version: string; readonly file: string }> {
  const room = await import('./migrations/new.ts');
  return room.newMigration(settingsOf(options), options.name, {
    typescript: options.typescript,
    now: new Date(),
  });
}

function namedFile(file: string | undefined): NamedFile | undefined {
  return file === undefined ? undefined : { path: resolve(file), shown: file };
}

function targetOf({ url, sql }: ConnectionOptions): Target {
  if (sql) return targetOfSql(sql);
  const target = url === undefined ? undefined : resolveTarget({ url, env: {} });
  if (!target)
    throw new EduschemaError('target-invalid', 'no database was given', { hint: 'pass url or sql' });
  return { ...target, origin: 'the given url' };
}

function seedingOf({
  directory = 'seeds',
  journal,
  values = {},
  ...options
}: SeedingOptions): [SeedSettings, SeedOptions] {
  const given = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
  const settings = { ...options, directory: resolve(directory), shownDirectory: directory };
  return [
    { ...settings, journal: journalOf(journal, options.schema) },
    { ...options, given, now: options.now ?? Date.now() },
  ];
}

function settingsOf({ directory = 'migrations', journal, ...settings }: MigrationOptions): MigrationSettings {
  return {
    ...settings,
    directory: resolve(directory),
    shownDirectory: directory,
    journal: journalOf(journal, settings.schema),
  };
}

function journalOf(journal: MigrationOptions['journal'], schema: string | undefined): QualifiedName {
  return { schema: journal?.schema ?? schema ?? 'public', name: journal?.table ?? 'schema_versions' };
}
