import { promises } from 'node:fs';
import { dirname, join } from 'node:path';
import { EduschemaError } from '../../errors.ts';
import { type GzipDigest, writeGzip } from './gzip-file.ts';
import { type Manifest, manifestName, renderManifest } from './manifest.ts';
import type { ArchivePlace } from './place.ts';

/**
 * Writes an archive: the rows that `produce` gives, and the manifest that `describe` makes of what they came to. All of
 * it is made aside and on the disk before it gets its name, so an archive is whole or not there. What an earlier run left
 * half-made is replaced. Throws `archive-failed` when it cannot be written, and leaves nothing behind then.
 */
export async function writeArchive(
  place: ArchivePlace,
  produce: (take: (piece: Buffer) => Promise<void>) => Promise<void>,
  describe: (digest: GzipDigest) => Manifest,
): Promise<Manifest> {
  const { folder, partial, dataName } = place;
  try {
    await makeFolder(dirname(folder));
    await promises.rm(partial, { recursive: true, force: true });
    await promises.mkdir(partial, { mode: 0o700 });
    const manifest = describe(await writeGzip(join(partial, dataName), produce));
    await writeWhole(join(partial, manifestName), renderManifest(manifest));
    await syncFolder(partial);
    await promises.rename(partial, folder);
    await syncFolder(dirname(folder));
    return manifest;
  } catch (error) {
    await promises.rm(partial, { recursive: true, force: true }).catch(() => {});
    throw explainWriteError(error, folder);
  }
}

/** In one step: with `recursive` Node names a disk that is mounted for reading a missing folder. */
async function makeFolder(path: string): Promise<void> {
  await promises.mkdir(path, { mode: 0o700 }).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

async function writeWhole(path: string, text: string): Promise<void> {
  const file = await promises.open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Without it a crash may forget the name of a file whose content is on the disk. Some systems cannot, and need not. */
async function syncFolder(path: string): Promise<void> {
  const folder = await promises.open(path, 'r').catch(() => undefined);
  try {
    await folder?.sync();
  } catch (error) {
    if (!['EPERM', 'EINVAL', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await folder?.close();
  }
}

const reasons: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  ENOSPC: ['the disk is full', 'make room there, or name another folder with --archive; then run it again'],
  EDQUOT: [
    'the quota is used up',
    'make room there, or name another folder with --archive; then run it again',
  ],
  EACCES: ['this user may not write there', 'give the user the folder, or name another with --archive'],
  EPERM: ['this user may not write there', 'give the user the folder, or name another with --archive'],
  EROFS: ['it is mounted for reading alone', 'mount it for writing, or name another with --archive'],
  EIO: ['the disk reports an error', 'look at the disk, or name another folder with --archive'],
};

/** An error of the file system in words; every other as it is. */
function explainWriteError(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  const isOfFiles = error instanceof Error && 'syscall' in error && !(error instanceof EduschemaError);
  const [reason, hint] = reasons[code] ?? (isOfFiles ? [error.message, 'look at the folder'] : []);
  if (!isOfFiles || reason === undefined) return error;
  return new EduschemaError('archive-failed', `the archive ${folder} cannot be written: ${reason}`, {
    hint: `${hint}; the rows are all in the database`,
    cause: error,
    details: { cause: code },
  });
}
