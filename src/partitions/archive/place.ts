import { promises } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { QualifiedName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { manifestName } from './manifest.ts';

/** Where an archive goes: a folder of its own, and the folder in which it is made before it gets its name. */
export interface ArchivePlace {
  readonly folder: string;
  readonly partial: string;
  /** Name of the file with the rows. */
  readonly dataName: string;
}

/**
 * The place of a partition's archive: `<root>/<database>/<schema>.<table>/<table>.copy.gz`. Throws `folder-missing`
 * when there is no root: it is not made, since it may be a disk that is not mounted.
 */
export async function placeOf(root: string, database: string, table: QualifiedName): Promise<ArchivePlace> {
  const found = await promises.stat(root).catch(() => undefined);
  if (!found?.isDirectory())
    throw new EduschemaError('folder-missing', `there is no folder ${root} for archives`, {
      hint: `make it (mkdir ${root}), or mount what should be there`,
    });
  const home = join(await promises.realpath(root), fileName(database));
  const name = `${fileName(table.schema)}.${fileName(table.name)}`;
  return {
    folder: join(home, name),
    partial: join(home, `.${name}.partial`),
    dataName: `${fileName(table.name)}.copy.gz`,
  };
}

/** A name that every file system takes: what it may not hold is written as %XX, as in a URL. */
export function fileName(name: string): string {
  return name.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are the ones that must not stand in a name.
    /[\u0000-\u001f\u007f/\\:*?"<>|%]|^[.~-]|[. ]$/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** The folder of the archive that a person means: it, its manifest, or its data. */
export async function findArchiveFolder(path: string): Promise<string> {
  const found = await promises.stat(path).catch((cause) => {
    throw new EduschemaError('file-unreadable', `there is no archive ${path}`, {
      hint: 'name the folder that holds manifest.json',
      cause,
    });
  });
  if (found.isDirectory()) return promises.realpath(path);
  if (basename(path) === manifestName || path.endsWith('.copy.gz')) return promises.realpath(dirname(path));
  throw new EduschemaError('file-unreadable', `${path} is no archive`, {
    hint: 'name the folder that holds manifest.json',
  });
}
