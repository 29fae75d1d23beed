import { createHash } from 'node:crypto';
import type { Target } from '../db/target.ts';
import { folderOf, type MigrationFolder } from '../migrations/folder.ts';
import { readHooks } from '../migrations/hooks.ts';
import type { MigrationSettings } from '../migrations/settings.ts';
import { toolVersion } from '../tool-version.ts';
import { hashFolder } from './hash-folder.ts';

/** Who makes a template: what is in it belongs to him, and is made with the settings of his sessions. */
export type Maker = Pick<Target, 'user' | 'parameters'>;

/**
 * The key of a template, 16 hex digits: a hash of all that decides what is in it. Migrations and repeatable ones
 * with what they include, files beside them that code may import, hooks, placeholders, schema, role and journal, `seed`
 * (what fills it, or nothing), who makes it, and our version. Throws for a hook that cannot be run.
 */
export async function templateKey(settings: MigrationSettings, seed: string, maker: Maker): Promise<string> {
  const folder = await folderOf(settings);
  const { placeholders = {}, schema = null, role = null, journal } = settings;
  const { application_name: _, ...parameters } = maker.parameters;
  const facts = {
    tool: toolVersion,
    versioned: folder.versioned.map(({ version, description, checksum }) => [version, description, checksum]),
    repeatable: folder.repeatable.map(({ name, checksum }) => [name, checksum]),
    imported: hashImported(folder),
    hooks: hooksOf(settings),
    placeholders: Object.entries(placeholders).sort(),
    schema,
    role,
    journal: [journal.schema, journal.name],
    seed,
    user: maker.user,
    parameters: Object.entries(parameters).sort(),
  };
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

/** SQL counts where it is included. */
function hashImported({ directory, versioned }: MigrationFolder): string | null {
  if (!versioned.some(({ kind }) => kind === 'module')) return null;
  return hashFolder(directory, (name) => !name.toLowerCase().endsWith('.sql'));
}

function hooksOf(settings: MigrationSettings) {
  const { before, after } = readHooks(settings);
  return [before, after].map((hooks) =>
    hooks.map(({ unit, content }) => (typeof content === 'function' ? unit.checksum : content.text)),
  );
}
