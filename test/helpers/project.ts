import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Database, withDatabase as openDatabase } from '../../src/db/connect.ts';
import type { Target } from '../../src/db/target.ts';
import {
  type MigrateOptions,
  migrate,
  type RollbackOptions,
  rollback,
} from '../../src/migrations/migrate.ts';
import type { MigrationSettings } from '../../src/migrations/settings.ts';
import { status } from '../../src/migrations/status.ts';
import { type TestDatabase, withDatabase } from './database.ts';
import { withFolder } from './folder.ts';

/** A folder of migrations beside an empty database, and the verbs on both. */
export interface Project extends TestDatabase {
  /** Writes files, by their paths in `migrations/`. */
  write(files: Record<string, string | Buffer>): void;
  readonly folder: string;
  readonly settings: MigrationSettings;
  migrate(options?: MigrateOptions, settings?: Partial<MigrationSettings>): ReturnType<typeof migrate>;
  rollback(options?: RollbackOptions, settings?: Partial<MigrationSettings>): ReturnType<typeof rollback>;
  status(): ReturnType<typeof status>;
  /** The rooms' own way to the database. */
  open<T>(use: (database: Database) => Promise<T>, target?: Target): Promise<T>;
  /** Versions in the journal, in the order they were applied. */
  versions(): Promise<string[]>;
}

/** Makes a test: `files` stand in `migrations/` of a new folder, beside a new database. */
export function withProject(
  files: Record<string, string | Buffer>,
  use: (project: Project) => Promise<void>,
): () => Promise<void> {
  return withDatabase((database) =>
    withFolder({}, async (folder) => {
      const settings: MigrationSettings = {
        directory: join(folder, 'migrations'),
        shownDirectory: 'migrations',
        journal: { schema: 'public', name: 'schema_versions' },
      };
      const open = <T>(
        useDatabase: (opened: Database) => Promise<T>,
        target = database.target,
        role?: string,
      ) => openDatabase(target, { role }, useDatabase);
      const project: Project = {
        ...database,
        folder,
        settings,
        open,
        write(more) {
          for (const [name, content] of Object.entries(more)) {
            const path = join(settings.directory, name);
            mkdirSync(dirname(path), { recursive: true });
            writeFileSync(path, content);
          }
        },
        migrate: (options, more) =>
          open((opened) => migrate(opened, { ...settings, ...more }, options), undefined, more?.role),
        rollback: (options, more) =>
          open((opened) => rollback(opened, { ...settings, ...more }, options), undefined, more?.role),
        status: () => open((opened) => status(opened, settings)),
        versions: async () =>
          (
            await database.sql<
              { version: string }[]
            >`SELECT version FROM schema_versions ORDER BY applied_at, version`
          ).map(({ version }) => version),
      };
      project.write(files);
      await use(project);
    }),
  );
}
