import { execFileSync } from 'node:child_process';
import { mkdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type postgres from 'postgres';

/** A disk in memory, in a folder. */
export interface SmallDisk {
  /** A folder on it that is the server's own, for a tablespace. */
  readonly place: string;
  /** Bytes on it that are taken. */
  used(): number;
  /** Makes it larger or smaller: `40m`, or bytes. */
  resize(size: string | number): void;
  remove(): void;
}

/** Mounts a disk of that size in `folder`; undefined where that is not allowed, and a full one cannot be tested. */
export async function mountDisk(
  admin: postgres.Sql,
  folder: string,
  size: string,
): Promise<SmallDisk | undefined> {
  const [server] = await admin`SELECT current_setting('data_directory') AS data`;
  const place = join(folder, 'space');
  try {
    const { uid, gid } = statSync(server?.data);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
    mkdirSync(place);
    execFileSync('chown', [`${uid}:${gid}`, place, folder]);
  } catch {
    return undefined;
  }
  return {
    place,
    used() {
      const { bsize, blocks, bfree } = statfsSync(folder);
      return (blocks - bfree) * bsize;
    },
    resize: (to) => execFileSync('mount', ['-o', `remount,size=${to}`, folder]),
    remove: () => execFileSync('umount', ['-l', folder]),
  };
}
