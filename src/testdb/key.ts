import { createHash } from 'node:crypto';
import { folderOf } from '../migrations/folder.ts';
import type { MigrationSettings } from '../migrations/settings.ts';
import { toolVersion } from '../tool-version.ts';

/**
 * The key of a template, 16 hex digits: a hash of all that decides what is in it. Migrations and repeatable ones
 * with what they include, placeholders, schema, role and journal, `seed` (what fills it, or nothing), and our version.
 */
export async function templateKey(settings: MigrationSettings, seed: string): Promise<string> {
  const { versioned, repeatable } = await folderOf(settings);
  const { placeholders = {}, schema = null, role = null, journal } = settings;
  const facts = {
    tool: toolVersion,
    versioned: versioned.map(({ version, description, checksum }) => [version, description, checksum]),
    repeatable: repeatable.map(({ name, checksum }) => [name, checksum]),
    placeholders: Object.entries(placeholders).sort(),
    schema,
    role,
    journal: [journal.schema, journal.name],
    seed,
  };
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}
