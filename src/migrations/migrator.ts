import { Umzug } from 'umzug';
import type { MigrationFile } from './folder.ts';

/**
 * umzug, which orders and selects: `up` and `down` call `visit` for each migration that is to run. What runs then
 * runs in a transaction of its own together with its journal row, which umzug cannot do: it logs after `up()`,
 * outside of it. `files` are in the order of their versions; `applied` holds canonical versions.
 */
export function createUmzug(
  files: readonly MigrationFile[],
  applied: ReadonlySet<string>,
  visit: (file: MigrationFile) => void,
): Umzug<object> {
  return new Umzug({
    migrations: files.map((file) => ({
      name: file.canonical,
      up: async () => visit(file),
      down: async () => visit(file),
    })),
    storage: {
      executed: async () => [...applied],
      logMigration: async () => {},
      unlogMigration: async () => {},
    },
    logger: undefined,
  });
}
