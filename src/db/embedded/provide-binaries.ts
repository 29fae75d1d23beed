import { randomBytes } from 'node:crypto';
import { chmodSync, cpSync, existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EduschemaError } from '../../errors.ts';
import { type Account, canEnter, makeOpenFolder } from './account.ts';
import { areBinariesWhole, type Binaries, mendBinaries } from './binaries.ts';

export interface BinariesOptions {
  readonly account: Account | undefined;
  /** Where a copy goes when one is needed; `account` can enter it. */
  readonly home: string;
  readonly onProgress?: ((text: string) => void) | undefined;
}

/**
 * Returns binaries that are whole and that `account` can run: those given, mended if need be, or a copy of them under
 * `home` (60 MB, made once a version). Throws an EduschemaError `embedded-unavailable` when neither works.
 */
export function provideBinaries(binaries: Binaries, options: BinariesOptions): Binaries {
  const reachable = canEnter(options.account, join(binaries.folder, 'bin'));
  if (reachable && (areBinariesWhole(binaries) || canMend(binaries))) return binaries;
  const copy = { ...binaries, folder: join(options.home, `server-${binaries.version}`, 'native') };
  try {
    if (!existsSync(copy.folder)) copyBinaries(binaries, copy, options);
    return copy;
  } catch (cause) {
    throw new EduschemaError(
      'embedded-unavailable',
      reachable
        ? `the embedded PostgreSQL in ${binaries.folder} lacks links to its libraries, and neither it nor ${options.home} can be written`
        : `the account that PostgreSQL runs as cannot read ${binaries.folder}, and ${options.home} cannot be written`,
      { hint: 'run npm rebuild as the owner of node_modules, or name a server with --url', cause },
    );
  }
}

function canMend(binaries: Binaries): boolean {
  try {
    mendBinaries(binaries);
    return true;
  } catch {
    return false;
  }
}

function copyBinaries(from: Binaries, to: Binaries, { account, home, onProgress }: BinariesOptions): void {
  onProgress?.(`copying the binaries of PostgreSQL ${from.version} to ${dirname(to.folder)}`);
  const work = `${dirname(to.folder)}.${randomBytes(4).toString('hex')}`;
  try {
    makeOpenFolder(home);
    for (const part of ['bin', 'lib', 'share', 'pg-symlinks.json']) {
      if (!existsSync(join(from.folder, part))) continue;
      cpSync(join(from.folder, part), join(work, 'native', part), {
        recursive: true,
        verbatimSymlinks: true,
        filter: isNeeded,
      });
    }
    mendBinaries({ ...from, folder: join(work, 'native') });
    if (account) openToAll(work);
    renameSync(work, dirname(to.folder));
  } catch (error) {
    // Another command was faster: its copy is as good.
    if (!existsSync(to.folder)) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Static libraries are for compiling against. */
function isNeeded(path: string): boolean {
  return !path.endsWith('.a');
}

/** npm may have written them for their owner alone (umask). */
function openToAll(path: string): void {
  const file = lstatSync(path);
  if (file.isSymbolicLink()) return;
  const isFolder = file.isDirectory();
  chmodSync(path, isFolder || file.mode & 0o100 ? 0o755 : 0o644);
  if (isFolder) for (const name of readdirSync(path)) openToAll(join(path, name));
}
