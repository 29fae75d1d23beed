import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { Database } from '../db/connect.ts';
import type { SeedOptions } from '../seed/options.ts';
import type { SeedSettings } from '../seed/settings.ts';

/** What fills a template beside the migrations. */
export interface Seeding {
  /** Says what is filled in: another text is another template. */
  readonly key: string;
  readonly seed: (database: Database) => Promise<void>;
}

/**
 * The seeds of a folder, for a template. The key is of all files in the folder and of what is wished: counts, the
 * number, the day before which all happened, which is today unless `asOf` says otherwise. Throws what `seed` throws.
 */
export async function seedingOf(settings: SeedSettings, options: SeedOptions): Promise<Seeding> {
  const { midnightBefore, parseAsOf } = await import('../seed/as-of.ts');
  const { readSeeds } = await import('../seed/folder.ts');
  const { seed } = await import('../seed/seed.ts');
  const { only = [], given = {}, seedNumber = 1, now } = options;
  const asOf = options.asOf === undefined ? midnightBefore(now) : parseAsOf(options.asOf);
  await readSeeds(settings.directory, settings.shownDirectory, only);
  const wishes = [[...only].sort(), Object.entries(given).sort(), seedNumber, asOf];
  return {
    key: JSON.stringify([hashFolder(settings.directory), wishes]),
    async seed(database) {
      await seed(database, settings, options);
    },
  };
}

/** SHA-256 of the names and contents of a folder's files, subfolders included. */
function hashFolder(folder: string): string {
  const hash = createHash('sha256');
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.split(sep).includes('node_modules'))
    .sort();
  for (const name of names) {
    const bytes = readFileSync(name);
    hash.update(`${name.slice(folder.length)}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}
