import { cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EduschemaError } from '../errors.ts';
import { packageFolder } from '../package-folder.ts';

/** The schemas that ship with eduschema. */
export const templates = ['education'] as const;

export interface InitResult {
  /** What was written, as paths in the folder. */
  readonly written: readonly string[];
}

/**
 * Makes `folder` a project: a configuration with comments and a folder for migrations; with a template, its
 * migrations and seeds. Throws before writing anything when something of it is there already.
 */
export function initProject(folder: string, template: string | undefined): InitResult {
  if (template !== undefined && !(templates as readonly string[]).includes(template)) {
    throw new EduschemaError('usage', `there is no template ${template}`, {
      hint: `there is: ${templates.join(', ')}`,
    });
  }
  const folders = template === undefined ? ['migrations'] : ['migrations', 'seeds'];
  for (const name of folders) forbidFull(folder, name);
  const config = 'eduschema.config.ts';
  const known = ['ts', 'js', 'mjs', 'json']
    .map((extension) => `eduschema.config.${extension}`)
    .find((name) => existsSync(join(folder, name)));
  if (known)
    throw new EduschemaError('file-exists', `${known} is there already`, {
      hint: 'this folder is a project: go on with eduschema migrate',
    });
  try {
    for (const name of folders) {
      if (template === undefined) mkdirSync(join(folder, name), { recursive: true });
      else cpSync(join(packageFolder, name), join(folder, name), { recursive: true });
    }
    writeFileSync(join(folder, config), configTemplate, { flag: 'wx' });
  } catch (cause) {
    throw new EduschemaError(
      'file-unreadable',
      `${folder} cannot be written (${(cause as NodeJS.ErrnoException).code})`,
      { hint: 'check its permissions', cause },
    );
  }
  return { written: [config, ...folders.map((name) => `${name}/`)] };
}

function forbidFull(folder: string, name: string): void {
  const path = join(folder, name);
  if (!existsSync(path)) return;
  if (statSync(path).isDirectory() && readdirSync(path).length === 0) return;
  throw new EduschemaError('file-exists', `${name}/ is there already and has files in it`, {
    hint: 'run eduschema init in another folder',
  });
}

const configTemplate = `// The configuration of eduschema. All of it is optional: a flag beats a variable, a variable beats this file.
export default {
  // The database. Without it, DATABASE_URL or PGHOST ..., and without these a PostgreSQL of this
  // project's own, in .eduschema/. Keep passwords out of here: use DATABASE_URL or ~/.pgpass.
  // url: 'postgres://app@localhost:5432/app',

  // The folder of migrations.
  // directory: 'migrations',

  // The table that records what was applied.
  // journal: { schema: 'public', table: 'schema_versions' },

  // The schema in which migrations create what they do not qualify, and the role that owns it.
  // schema: 'app',
  // role: 'app_owner',

  // SQL, or functions (sql, context) => ..., before the first pending migration and after the last one.
  // hooks: { after: 'GRANT SELECT ON ALL TABLES IN SCHEMA app TO reader' },

  // The longest that one try of a migration waits for a lock, and for how many seconds it goes on trying.
  // lockTimeout: '2s',
  // lockDeadline: 900,

  // How long a statement may take; '0' is for ever.
  // statementTimeout: '0',

  // Seconds to wait for another eduschema that is at work in the same database.
  // wait: 60,
};
`;
