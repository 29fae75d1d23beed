import { readdirSync, type Stats, statSync } from 'node:fs';
import { extname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EduschemaError } from '../errors.ts';
import type { Placeholders } from './placeholders.ts';
import { checksumOfFile, type Reading, type SqlFile } from './read-sql.ts';
import { canonicalVersion, compareText, longestVersion, parseName } from './version.ts';

/** A migration's file, read and named, not yet parsed. */
export interface MigrationFile extends SqlFile {
  /** As the file says it: `1.4.0`. */
  readonly version: string;
  /** The version as canonicalVersion writes it. */
  readonly canonical: string;
  readonly description: string;
  readonly kind: 'sql' | 'module';
}

/** A file of `repeatable/`: applied again whenever its text changes. */
export interface RepeatableFile extends SqlFile {
  /** The file name without `.sql`. */
  readonly name: string;
}

/** Reads the folder of `settings`, unless that was begun already. */
export function folderOf({
  folder,
  directory,
  shownDirectory,
  placeholders,
}: FolderSettings): Promise<MigrationFolder> {
  return folder ?? readFolder(directory, shownDirectory, placeholders);
}

/** Where the folder of migrations is. */
export interface FolderSettings {
  /** As a path, and as the user calls it. */
  readonly directory: string;
  readonly shownDirectory: string;
  /** Values for files that say `placeholders:true`. */
  readonly placeholders?: Placeholders | undefined;
  /** The folder when it is being read already: see beginReading. */
  readonly folder?: Promise<MigrationFolder> | undefined;
}

/** Begins to read a folder while something else, the connection, takes its time. */
export function beginReading(settings: FolderSettings): Promise<MigrationFolder> {
  const folder = folderOf(settings);
  // Whoever awaits it hears of the error; nobody may, when the connection fails first.
  folder.catch(() => {});
  return folder;
}

/** All migrations of a folder; the versioned ones in the order of their versions, the repeatable ones by name. */
export interface MigrationFolder {
  readonly directory: string;
  readonly versioned: readonly MigrationFile[];
  readonly repeatable: readonly RepeatableFile[];
}

const moduleExtensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];
const repeatableFolder = 'repeatable';
const filesPerTurn = 50;

/**
 * Reads the folder of migrations. `directory` is the path, `shown` how a user calls it.
 * Throws for a folder that is missing or has no migration, for a name that cannot be read, two files of one
 * version, a version longer than 20 characters, a folder named like a migration, and a file that is not UTF-8.
 */
export async function readFolder(
  directory: string,
  shown: string,
  placeholders: Placeholders = {},
): Promise<MigrationFolder> {
  const reading: Reading = { path: directory, shown, placeholders };
  const versioned: MigrationFile[] = [];
  let repeatable: RepeatableFile[] = [];
  // Other work, such as connecting, comes first and goes on in between.
  await nextTurn();
  for (const [index, entry] of listEntries(directory, shown).entries()) {
    if (index % filesPerTurn === filesPerTurn - 1) await nextTurn();
    const path = `${directory}/${entry.name}`;
    const file = `${shown}/${entry.name}`;
    if (entry.kind === 'folder') {
      if (entry.name === repeatableFolder) repeatable = await readRepeatable(path, file, reading);
      else if (isMigrationName(entry.name))
        throw new EduschemaError('migration-invalid', `${file} is a folder, but is named like a migration`, {
          hint: 'rename it, or move its files up',
        });
    } else if (isMigrationName(entry.name)) {
      forbidStrangeFile(entry, file);
      versioned.push(await readMigration(entry.name, path, file, reading));
    }
  }
  if (versioned.length === 0 && repeatable.length === 0) {
    throw new EduschemaError('folder-missing', `there is no migration in ${shown}/`, {
      hint: 'write the first one: eduschema new <name>',
    });
  }
  return { directory, versioned: sortByVersion(versioned), repeatable };
}

interface FolderEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'other';
}

/** Reading a pipe would never end; a link that leads nowhere has nothing to read. */
function forbidStrangeFile({ kind }: FolderEntry, file: string): void {
  if (kind !== 'file')
    throw new EduschemaError('migration-invalid', `${file} is no file, nor a link to one`, {
      hint: 'remove it, or begin its name with _',
    });
}

function listEntries(directory: string, shown: string): FolderEntry[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .map((entry) => ({
        name: entry.name,
        kind: entry.isSymbolicLink() ? kindOfTarget(`${directory}/${entry.name}`) : kindOf(entry),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT')
      throw new EduschemaError('folder-missing', `there is no folder ${shown}/`, {
        hint: 'make one with eduschema init, or name another with --dir',
        cause,
      });
    if (code === 'ENOTDIR')
      throw new EduschemaError('folder-missing', `${shown} is not a folder`, {
        hint: 'name a folder with --dir',
        cause,
      });
    throw new EduschemaError('file-unreadable', `the folder ${shown}/ cannot be read (${code})`, {
      hint: 'check its permissions',
      cause,
    });
  }
}

function kindOf(entry: Pick<Stats, 'isFile' | 'isDirectory'>): FolderEntry['kind'] {
  return entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other';
}

function kindOfTarget(path: string): FolderEntry['kind'] {
  const target = statSync(path, { throwIfNoEntry: false });
  return target ? kindOf(target) : 'other';
}

/** Names that begin with a dot or an underscore, declarations, and files of other kinds are no migrations. */
function isMigrationName(name: string): boolean {
  if (/^[._]/.test(name) || /\.d\.[cm]?ts$/.test(name)) return false;
  const extension = extname(name).toLowerCase();
  return extension === '.sql' || moduleExtensions.includes(extension);
}

async function readMigration(
  name: string,
  path: string,
  file: string,
  reading: Reading,
): Promise<MigrationFile> {
  const extension = extname(name);
  const parsed = parseName(name.slice(0, -extension.length));
  if (!parsed) {
    throw new EduschemaError('version-invalid', `the name ${file} has no version`, {
      hint: 'name it <version>_<description>.sql, as in 1.4.0_search.sql; begin it with _ if it is no migration',
    });
  }
  if (parsed.version.length > longestVersion) {
    throw new EduschemaError(
      'version-invalid',
      `the version of ${file} has ${parsed.version.length} characters; ${longestVersion} are allowed`,
      { hint: 'shorten the version' },
    );
  }
  const kind = extension.toLowerCase() === '.sql' ? 'sql' : 'module';
  const canonical = canonicalVersion(parsed.version);
  const checksum = await checksumOfFile(path, file, kind === 'sql' ? reading : undefined);
  return { ...parsed, canonical, kind, path, file, checksum, reading };
}

async function readRepeatable(directory: string, shown: string, reading: Reading): Promise<RepeatableFile[]> {
  const files: RepeatableFile[] = [];
  for (const entry of listEntries(directory, shown)) {
    const { name, kind } = entry;
    if (kind === 'folder' || !isMigrationName(name)) continue;
    const [path, file] = [`${directory}/${name}`, `${shown}/${name}`];
    forbidStrangeFile(entry, file);
    if (extname(name).toLowerCase() !== '.sql')
      throw new EduschemaError('migration-invalid', `${file} is not an SQL file`, {
        hint: 'repeatable migrations are SQL',
      });
    const checksum = await checksumOfFile(path, file, reading);
    files.push({ name: name.slice(0, -4), path, file, checksum, reading });
  }
  return files;
}

function sortByVersion(files: readonly MigrationFile[]): MigrationFile[] {
  const sorted = [...files].sort((a, b) => compareText(a.canonical, b.canonical));
  for (const [index, file] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next?.canonical === file.canonical) {
      throw new EduschemaError('version-duplicate', `${file.file} and ${next.file} have the same version`, {
        hint: 'give one of them a new version',
      });
    }
  }
  return sorted;
}
