import { promises } from 'node:fs';
import { join } from 'node:path';
import { EduschemaError } from '../../errors.ts';
import { digestFile, type FileDigest, type GzipDigest, readGzip } from './gzip-file.ts';
import { type Manifest, manifestName, parseManifest } from './manifest.ts';

/** An archive on the disk. */
export interface Archive {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Reads the manifest of the archive in `folder`. Throws `archive-damaged`, also when there is none. */
export async function openArchive(folder: string): Promise<Archive> {
  const path = join(folder, manifestName);
  const text = await promises.readFile(path, 'utf8').catch((cause) => {
    throw damaged(`${path} cannot be read: ${cause.message}`, cause);
  });
  return { folder, manifest: parseManifest(text, path) };
}

/** The path of the file with the rows. */
export function dataPath({ folder, manifest }: Archive): string {
  return join(folder, manifest.file.name);
}

/**
 * Reads an archive to its end and compares it with its manifest; `onBlock` is given the rows meanwhile. Throws
 * `archive-damaged`, with what differs.
 */
export async function verifyArchive(
  archive: Archive,
  onBlock?: (rows: Buffer) => void | Promise<void>,
): Promise<void> {
  const { manifest } = archive;
  const path = dataPath(archive);
  let found: GzipDigest;
  let refused: unknown;
  try {
    found = await readGzip(path, async (rows) => {
      try {
        await onBlock?.(rows);
      } catch (error) {
        refused = error;
        throw error;
      }
    });
  } catch (cause) {
    if (refused) throw refused;
    throw damaged(`${path} cannot be read to its end: ${(cause as Error).message}`, cause);
  }
  compareFile(path, found.file, manifest.file);
  for (const key of ['rows', 'bytes', 'sha256', 'checksum'] as const) {
    if (found.data[key] !== manifest.data[key])
      throw damaged(`${path} holds ${key} ${found.data[key]}, its manifest says ${manifest.data[key]}`);
  }
}

/** Compares the file alone, without what is in it: enough for one that was read to its end once. */
export async function verifyFile(archive: Archive): Promise<void> {
  const path = dataPath(archive);
  const found = await digestFile(path).catch((cause) => {
    throw damaged(`${path} cannot be read: ${cause.message}`, cause);
  });
  compareFile(path, found, archive.manifest.file);
}

function compareFile(path: string, found: FileDigest, expected: FileDigest): void {
  if (found.bytes !== expected.bytes)
    throw damaged(`${path} has ${found.bytes} bytes, its manifest says ${expected.bytes}`);
  if (found.sha256 !== expected.sha256)
    throw damaged(
      `${path} was changed: its SHA-256 is ${found.sha256}, its manifest says ${expected.sha256}`,
    );
}

function damaged(message: string, cause?: unknown): EduschemaError {
  return new EduschemaError('archive-damaged', message, {
    hint: 'take the archive from a backup; nothing was changed',
    cause,
  });
}
