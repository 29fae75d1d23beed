import { existsSync } from 'node:fs';
import type { Sql } from 'postgres';
import type { QualifiedName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { findArchiveFolder } from '../archive/place.ts';
import { openArchive } from '../archive/read-archive.ts';
import type { RestoreSource } from './restore.ts';
import { findByName } from './situation.ts';

/** The archive at `path`, as what is to be brought back. */
export async function archiveSource(path: string): Promise<RestoreSource & { archive: object }> {
  const archive = await openArchive(await findArchiveFolder(path));
  const { table, parent, bounds } = archive.manifest;
  return { archive, name: table, parent: { schema: parent.schema, name: parent.name }, ends: bounds };
}

/**
 * What a person means by an archive's path or by the name of a retired table: the archive of the table where it has one.
 * Throws `file-unreadable` when it is neither.
 */
export async function findSource(
  sql: Sql,
  path: string,
  name: QualifiedName | undefined,
): Promise<RestoreSource> {
  if (existsSync(path) || !name) return archiveSource(path);
  const marks = (await findByName(sql, name))?.marks;
  const mark = marks?.altered ? undefined : (marks?.retired ?? marks?.restored);
  if (!mark)
    throw new EduschemaError(
      'file-unreadable',
      `there is no archive ${path}, and no retired table of that name`,
      {
        hint: 'name the folder that holds manifest.json, or a table that eduschema partitions retain shows as detached',
      },
    );
  const folder = marks?.retired?.archive?.folder;
  if (folder !== undefined && existsSync(folder)) return archiveSource(folder);
  return { name, parent: mark.parent, ends: { from: mark.from, to: mark.to } };
}
