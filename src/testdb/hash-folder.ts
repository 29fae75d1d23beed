import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';

/** SHA-256 of the names and contents of a folder's files that `counts` takes by name, subfolders and links to files included. */
export function hashFolder(folder: string, counts: (name: string) => boolean = () => true): string {
  const hash = createHash('sha256');
  const names = (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => !name.split(sep).includes('node_modules') && counts(name))
    .sort();
  for (const name of names) {
    const path = join(folder, name);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) continue;
    const bytes = readFileSync(path);
    hash.update(`${sep}${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}
