import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { EduschemaError } from '../errors.ts';
import type { Seed } from './define-seed.ts';
import { loadSeedModule } from './load-module.ts';
import { parseSeedSql, type SqlSeed } from './sql-seed.ts';

/** A seed's file, read. */
export interface SeedFile {
  /** The file's name without number and extension: `10_countries.sql` is `countries`. */
  readonly name: string;
  /** As a user calls it: `seeds/10_countries.sql`. */
  readonly file: string;
  /** SHA-256 of the file itself. */
  readonly checksum: string;
  readonly content:
    | { readonly kind: 'sql'; readonly sql: SqlSeed }
    | { readonly kind: 'module'; readonly seed: Seed };
}

const seedPattern = /^(?:(?<order>\d+)_)?(?<name>[^_.][^.]*)\.(?<extension>sql|ts|mts|cts|js|mjs|cjs)$/;

/**
 * The seeds of a folder in their order: by the number that their names begin with, those without one last, else by
 * name. `shown` is how a user calls the folder. With `only`, the others are not read. Throws `folder-missing` when
 * there is none, `seed-invalid` for two of one name and for what cannot be read.
 */
export async function readSeeds(
  directory: string,
  shown: string,
  only: readonly string[] = [],
): Promise<SeedFile[]> {
  const entries = listNames(directory, shown).flatMap((entry) => {
    const groups = seedPattern.exec(entry)?.groups;
    return groups
      ? [{ entry, name: groups.name ?? '', order: Number(groups.order ?? Number.POSITIVE_INFINITY) }]
      : [];
  });
  entries.sort((a, b) => (a.order === b.order ? (a.entry < b.entry ? -1 : 1) : a.order - b.order));
  if (entries.length === 0)
    throw new EduschemaError('folder-missing', `there is no seed in ${shown}/`, {
      hint: 'write one (docs/seeding.md), or begin with eduschema init --template education',
    });
  const twice = entries.find(({ name }, index) => entries.findIndex((other) => other.name === name) < index);
  if (twice)
    throw new EduschemaError('seed-invalid', `two files of ${shown}/ are the seed ${twice.name}`, {
      hint: 'rename one: a seed is known by its name without number and extension',
    });
  const unknown = only.find((name) => !entries.some((known) => known.name === name));
  if (unknown !== undefined)
    throw new EduschemaError('usage', `there is no seed ${unknown} in ${shown}/`, {
      hint: `there are: ${entries.map(({ name }) => name).join(', ')}`,
    });
  const files: SeedFile[] = [];
  for (const { entry, name } of entries)
    if (only.length === 0 || only.includes(name))
      files.push(await readSeed(name, `${directory}/${entry}`, `${shown}/${entry}`));
  return files;
}

async function readSeed(name: string, path: string, file: string): Promise<SeedFile> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new EduschemaError(
      'file-unreadable',
      `${file} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
      {
        hint: 'check its permissions',
        cause,
      },
    );
  }
  const checksum = createHash('sha256').update(bytes).digest('hex');
  if (!file.endsWith('.sql'))
    return { name, file, checksum, content: { kind: 'module', seed: await loadSeedModule(path, file) } };
  return { name, file, checksum, content: { kind: 'sql', sql: parseSeedSql(decode(bytes, file), file) } };
}

function decode(bytes: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new EduschemaError('file-unreadable', `${file} is not UTF-8`, {
      hint: 'save it as UTF-8',
      cause,
    });
  }
}

function listNames(directory: string, shown: string): string[] {
  try {
    return readdirSync(directory);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw code === 'ENOENT' || code === 'ENOTDIR'
      ? new EduschemaError('folder-missing', `there is no folder ${shown}/`, {
          hint: 'make it and write a seed (docs/seeding.md), name another with --seeds, or begin with eduschema init --template education',
          cause,
        })
      : new EduschemaError('file-unreadable', `the folder ${shown}/ cannot be read (${code})`, {
          hint: 'check its permissions',
          cause,
        });
  }
}
