import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type postgres from 'postgres';
import { withLibrary } from '../education/library.ts';
import type { TestDatabase } from '../helpers/database.ts';
import { eduschema, type Outcome, type Surroundings } from '../helpers/eduschema.ts';

/** The clone itself: its `seeds/` is the education seed. */
export const clone = resolve(import.meta.dirname, '../..');

/** Few rows of everything. */
export const few = '--materials 300 --downloads 2000 --views 3000 --as-of 2026-11-01';

/** The education schema, and `eduschema seed` on it. */
export interface Library extends TestDatabase {
  seed(line?: string, surroundings?: Surroundings): Promise<Outcome>;
}

/** Makes a test over the education schema. */
export function withSeeds(use: (library: Library) => Promise<void>): () => Promise<void> {
  return withLibrary(async (database) => {
    const seed: Library['seed'] = (line = few, surroundings) =>
      eduschema(`seed ${line}`, { cwd: clone, env: { DATABASE_URL: database.url }, ...surroundings });
    await use({ ...database, seed });
  });
}

/** How many rows each table has. */
export async function countRows(sql: postgres.Sql): Promise<Record<string, number>> {
  const tables = [
    ...['categories', 'users', 'materials', 'tags', 'material_tags', 'permissions', 'user_permissions'],
    ...['download_logs', 'view_logs'],
  ];
  const counted = await Promise.all(
    tables.map(
      async (table) => [table, (await sql`SELECT count(*)::int AS n FROM ${sql(table)}`)[0]?.n] as const,
    ),
  );
  return Object.fromEntries(counted);
}

/** SHA-256 of what `COPY (query) TO STDOUT` says under UTC. */
export async function checksumOf(sql: postgres.Sql, query: string): Promise<string> {
  const hash = createHash('sha256');
  const session = await sql.reserve();
  await session`SET TimeZone = 'UTC'`;
  const stream = await session.unsafe(`COPY (${query}) TO STDOUT`).readable();
  await new Promise((end, fail) =>
    stream
      .on('data', (piece) => hash.update(piece))
      .on('end', end)
      .on('error', fail),
  );
  // The last rows may have left the socket paused.
  stream._read(0);
  session.release();
  return hash.digest('hex');
}

/** Rows for which a counter of a material is not what the logs say. */
export function wrongCounters(sql: postgres.Sql): Promise<postgres.Row[]> {
  return sql`
    SELECT id, download_count, view_count FROM materials m
    WHERE download_count <> (SELECT count(*) FROM download_logs WHERE material_id = m.id)
       OR view_count <> (SELECT count(*) FROM view_logs WHERE material_id = m.id)`;
}
