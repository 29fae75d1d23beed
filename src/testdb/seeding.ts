import type { Database } from '../db/connect.ts';
import type { SeedOptions } from '../seed/options.ts';
import type { SeedSettings } from '../seed/settings.ts';
import { hashFolder } from './hash-folder.ts';

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
