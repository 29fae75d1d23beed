import type { Sql } from 'postgres';
import { openHandle } from '../db/connect.ts';
import { renderUrl } from '../db/render-url.ts';
import type { Target } from '../db/target.ts';
import type { MigrationSettings } from '../migrations/settings.ts';
import { cloneTemplate } from './clone.ts';
import type { Seeding } from './seeding.ts';
import { dropDatabase } from './template.ts';
import { createClones, type TestDatabaseMade } from './testdb.ts';

/** Makes test databases for a process that needs many: the template is looked for once. */
export interface Cloner {
  clone(): Promise<TestDatabaseMade & { drop(): Promise<void> }>;
}

/** Seconds after which idle connections close: they must not keep the process alive. */
const idleSeconds = 1;

/** A cloner for these migrations. Its connections open when they are needed: see withServer. */
export async function createCloner(
  target: Target,
  settings: MigrationSettings,
  seeding?: Seeding,
): Promise<Cloner> {
  const first = await createClones(target, settings, 1, seeding);
  const waiting = [...first.databases];
  const { sql, version } = await openServer(target);

  async function make(): Promise<TestDatabaseMade> {
    const made = waiting.shift();
    if (made) return made;
    const name = await cloneTemplate(sql, first.template, version);
    if (name !== undefined) return { name, url: await renderUrl(target, name) };
    // Somebody has removed the template.
    const { databases } = await createClones(target, settings, 1, seeding);
    return databases[0] as TestDatabaseMade;
  }

  return {
    async clone() {
      const made = await make();
      return { ...made, drop: () => dropDatabase(sql, made.name) };
    },
  };
}

/** A handle on a database in which nothing is done: `postgres`, or the target's own where that is out of reach. */
async function openServer(target: Target): Promise<{ readonly sql: Sql; readonly version: number }> {
  let lastError: unknown;
  for (const database of new Set(['postgres', target.database])) {
    const sql = openHandle({ ...target, database }, { max: 4, idle_timeout: idleSeconds });
    try {
      const [{ version }] = await sql<
        [{ version: number }]
      >`SELECT current_setting('server_version_num')::int AS version`;
      return { sql, version };
    } catch (error) {
      lastError = error;
      await sql.end({ timeout: 0 });
    }
  }
  throw lastError;
}
