import type { Database } from '../db/connect.ts';
import { quoteIdentifier } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';

/** A material that was found. */
export interface FoundMaterial {
  /** 1 for the one that was downloaded most. */
  readonly rank: number;
  readonly id: string;
  readonly title: string;
  readonly category: string | null;
  readonly downloads: string;
  readonly views: string;
  readonly foundIn: 'title' | 'description';
}

/** What a search takes beside the text. */
export interface SearchOptions {
  /** The most downloaded ones, so many; 0 for all. */
  readonly limit: number;
  readonly schema?: string | undefined;
}

/** Finds active materials by a part of their title or description, as search_materials() does. Throws `schema-behind` without it. */
export async function search(
  { sql }: Database,
  text: string,
  { limit, schema }: SearchOptions,
): Promise<readonly FoundMaterial[]> {
  const home = schema === undefined ? '' : `${quoteIdentifier(schema)}.`;
  const [found] =
    await sql`SELECT to_regprocedure(${`${home}search_materials(text, integer)`}) IS NOT NULL AS there`;
  if (!found?.there)
    throw new EduschemaError('schema-behind', 'the database has no search_materials(text, integer)', {
      hint: 'it comes with version 1.13.0 of the education schema: run eduschema migrate, or name its --schema',
    });
  return sql.unsafe<FoundMaterial[]>(
    `SELECT (row_number() OVER ())::int AS rank, id::text AS id, title, category_name AS category,
            download_count::text AS downloads, view_count::text AS views,
            CASE WHEN in_title THEN 'title' ELSE 'description' END AS "foundIn"
     FROM ${home}search_materials($1::text, $2::int)`,
    [text, limit],
  );
}
