import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EduschemaError } from '../errors.ts';
import { type FolderSettings, folderOf } from './folder.ts';

export interface NewOptions {
  /** Write TypeScript instead of SQL. */
  readonly typescript?: boolean | undefined;
  /** The time for a timestamp version. */
  readonly now: Date;
}

/**
 * Writes an empty migration and returns how it is called. Its version follows the newest one: after `1.4.0` comes
 * `1.5.0`; after a timestamp, or in an empty folder, comes the time in UTC, which two branches do not share.
 */
export async function newMigration(
  settings: FolderSettings,
  name: string,
  options: NewOptions,
): Promise<{ readonly version: string; readonly file: string }> {
  const slug = slugOf(name);
  makeFolder(settings);
  const version = nextVersion(await newestVersion(settings), options.now);
  const file = `${version}_${slug}.${options.typescript ? 'ts' : 'sql'}`;
  if (Buffer.byteLength(file) > 255)
    throw new EduschemaError('version-invalid', `the name ${name} is too long for a file`, {
      hint: 'shorten it',
    });
  writeNew(join(settings.directory, file), options.typescript ? moduleTemplate : sqlTemplate);
  return { version, file: `${settings.shownDirectory}/${file}` };
}

function makeFolder({ directory, shownDirectory }: FolderSettings): void {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new EduschemaError('file-unreadable', `the folder ${shownDirectory}/ cannot be made (${code})`, {
      hint: 'check what is there, and its permissions',
      cause,
    });
  }
}

function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new EduschemaError('file-unwritable', `${path} cannot be written (${code})`, {
      hint: code === 'EEXIST' ? 'run the command again' : 'check the permissions of the folder',
      cause,
    });
  }
}

function slugOf(name: string): string {
  const slug = name
    .normalize('NFC')
    .trim()
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}]+/gu, '_')
    .replace(/^_+|_+$/g, '');
  if (slug === '')
    throw new EduschemaError('version-invalid', `the name "${name}" has no letter or digit`, {
      hint: 'as in: eduschema new add_search',
    });
  return slug;
}

async function newestVersion(settings: FolderSettings): Promise<string | undefined> {
  try {
    return (await folderOf(settings)).versioned.at(-1)?.version;
  } catch (error) {
    if (error instanceof EduschemaError && error.code === 'folder-missing') return undefined;
    throw error;
  }
}

const timestampLength = 14;

/**
 * The version after `newest`: `1.4.0` gives `1.5.0`, `1.4` gives `1.5`, `7` gives `8`; a timestamp gives the time `now`,
 * or the next number where that is no later: in the same second, or by another clock.
 */
export function nextVersion(newest: string | undefined, now: Date): string {
  if (newest === undefined || /^\d{8,}$/.test(newest)) {
    const time = now.toISOString().replace(/\D/g, '').slice(0, timestampLength);
    return newest !== undefined && BigInt(newest) >= BigInt(time) ? String(BigInt(newest) + 1n) : time;
  }
  const numbers = newest.split('.');
  const at = Math.min(1, numbers.length - 1);
  return numbers
    .map((number, index) =>
      index < at ? number : index === at ? String(BigInt(number) + 1n).padStart(number.length, '0') : '0',
    )
    .join('.');
}

const sqlTemplate = `-- migrate:up


-- migrate:down

`;

const moduleTemplate = `import type { MigrationContext, MigrationSql } from 'eduschema';

export async function up(sql: MigrationSql, context: MigrationContext) {
  await sql\`SELECT 1\`;
}

export async function down(sql: MigrationSql, context: MigrationContext) {
  await sql\`SELECT 1\`;
}
`;
