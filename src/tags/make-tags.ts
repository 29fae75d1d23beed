import type { TransactionSql } from 'postgres';
import { isServerError } from '../db/explain-error.ts';
import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import type { Worker } from '../db/worker.ts';
import { countedPieces, knownTags, meantTags, piecesTable, type SplitPlace, tagsTable } from './queries.ts';

/** How many tags there are to the texts. */
export interface TagCounts {
  readonly tags: number;
  readonly made: number;
  /** Pieces of text that mean a tag, repeated ones as well. */
  readonly uses: number;
}

/**
 * Reads the texts, makes the tags that are not there yet, and leaves the worker's tables for those who link them.
 * A tag that the server refuses is noted with its reason, and the others are made.
 */
export async function makeTags(worker: Worker, place: SplitPlace): Promise<TagCounts> {
  const { session } = worker;
  const title = `make the tags of ${place.target.tags.schema}.${place.target.tags.name}`;
  await worker.transaction(title, async (sql) => {
    await sql.unsafe(
      `DROP TABLE IF EXISTS ${piecesTable}, ${tagsTable};
       CREATE TEMP TABLE eduschema_pieces AS ${countedPieces(place)};
       CREATE TEMP TABLE eduschema_tags AS ${meantTags(place, `SELECT * FROM ${piecesTable}`)};
       ANALYZE ${piecesTable}; ANALYZE ${tagsTable}`,
    );
    await sql.unsafe(`ALTER TABLE ${tagsTable} ADD is_new boolean NOT NULL DEFAULT false;
      UPDATE ${tagsTable} SET is_new = true WHERE tag IS NULL AND refused IS NULL`);
    try {
      await sql.savepoint((inner) => inner.unsafe(insertStatement(place)));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await insertEach(sql, place);
    }
    await sql.unsafe(
      `UPDATE ${tagsTable} AS g SET tag = k.id FROM (${knownTags(place)}) AS k WHERE k.key = g.key AND g.is_new AND g.refused IS NULL;
       UPDATE ${tagsTable} SET refused = 'another tag stands in the way of it in a unique index' WHERE tag IS NULL AND refused IS NULL`,
    );
  });
  const [counts] = await session.sql.unsafe<TagCounts[]>(
    `SELECT count(*)::float8 AS tags, count(*) FILTER (WHERE is_new AND refused IS NULL)::float8 AS made, coalesce(sum(uses), 0)::float8 AS uses
     FROM ${tagsTable}`,
  );
  return counts as TagCounts;
}

/** Whether the server refuses the row itself: its data, a constraint, or a trigger that raises. */
export function isRefusal(error: unknown): boolean {
  return isServerError(error) && /^(22|23|P0001)/.test(error.code);
}

const wanted = 'tag IS NULL AND refused IS NULL';

function insertStatement({ target: { tags, name } }: SplitPlace): string {
  return `INSERT INTO ${quoteName(tags)} (${quoteIdentifier(name)})
    SELECT name FROM ${tagsTable} WHERE ${wanted} ORDER BY key ON CONFLICT DO NOTHING`;
}

/** One by one, in the server: whatever is refused is noted. */
async function insertEach(sql: TransactionSql, { target: { tags, name } }: SplitPlace): Promise<void> {
  await sql.unsafe(
    `DO ${quoteLiteral(`
    DECLARE one record;
    BEGIN
      FOR one IN SELECT key, name FROM ${tagsTable} WHERE ${wanted} ORDER BY key LOOP
        BEGIN
          INSERT INTO ${quoteName(tags)} (${quoteIdentifier(name)}) VALUES (one.name) ON CONFLICT DO NOTHING;
        EXCEPTION WHEN integrity_constraint_violation OR data_exception OR raise_exception THEN
          UPDATE ${tagsTable} SET refused = sqlerrm WHERE key = one.key;
        END;
      END LOOP;
    END`)}`,
  );
}
