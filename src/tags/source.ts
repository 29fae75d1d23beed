import type { Sql } from 'postgres';
import { quoteIdentifier, quoteName, showName } from '../db/identifiers.ts';
import type { ColumnName } from '../db/parse-name.ts';
import { EduschemaError } from '../errors.ts';

/** Where the tags stand now: a column with all of a row's in one text, or in an array. */
export interface TagSource extends ColumnName {
  readonly oid: number;
  readonly isArray: boolean;
  /** The column that says whose tags they are, and its type. */
  readonly id: string;
  readonly idType: string;
  /** Ranges of it can be read by an index. */
  readonly idIsIndexed: boolean;
}

/** `public.materials_old.tags_string`. */
export function showColumn({ table, column }: ColumnName): string {
  return `${showName(table)}.${column}`;
}

/**
 * Finds the column, and the one that says whose tags they are: `id`, or the single column of the primary key.
 * Throws `table-missing` and `table-unsuitable`.
 */
export async function findSource(
  sql: Pick<Sql, 'unsafe'>,
  { table, column }: ColumnName,
  id?: string,
): Promise<TagSource> {
  const [found] = await sql.unsafe<Found[]>(
    `SELECT c.oid::int8::float8 AS oid, c.relkind AS kind, t.typcategory AS category, e.typcategory AS "elementCategory",
            format_type(a.atttypid, a.atttypmod) AS "columnType", i.attname AS id,
            -- With its length: 'abc'::character is 'a'.
            format_type(i.atttypid, i.atttypmod) AS "idType",
            EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisvalid AND x.indkey[0] = i.attnum
                    AND x.indpred IS NULL) AS "idIsIndexed"
     FROM pg_class c
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
     LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' AND cardinality(k.conkey) = 1
     LEFT JOIN pg_attribute i ON i.attrelid = c.oid AND i.attnum > 0 AND NOT i.attisdropped
       AND CASE WHEN $3::text IS NULL THEN i.attnum = k.conkey[1] ELSE i.attname = $3::text END
     WHERE c.oid = to_regclass($1)`,
    [quoteName(table), column, id ?? null],
  );
  const shown = showName(table);
  if (!found)
    throw new EduschemaError('table-missing', `there is no table ${shown}`, {
      hint: 'name the column that holds the tags: --from table.column',
    });
  const unsuitable = (message: string, hint: string) =>
    new EduschemaError('table-unsuitable', message, { hint });
  if (!['r', 'p'].includes(found.kind))
    throw unsuitable(`${shown} is no table`, 'name the table itself, not a view or a foreign table');
  if (found.columnType === null)
    throw unsuitable(
      `${shown} has no column ${column}`,
      'name the column that holds the tags: --from table.column',
    );
  const isArray = found.category === 'A';
  if ((isArray ? found.elementCategory : found.category) !== 'S')
    throw unsuitable(
      `${shown}.${column} is ${found.columnType}, which is neither text nor an array of it`,
      'name a column of text or text[]: --from table.column',
    );
  if (found.id === null)
    throw unsuitable(
      id === undefined
        ? `${shown} has no primary key of one column that would say whose tags they are`
        : `${shown} has no column ${id}`,
      'name the column with --id',
    );
  const { oid, idType, idIsIndexed } = found;
  return { table, column, oid, isArray, id: found.id, idType: idType ?? '', idIsIndexed };
}

interface Found {
  readonly oid: number;
  readonly kind: string;
  readonly category: string | null;
  readonly elementCategory: string | null;
  readonly columnType: string | null;
  readonly id: string | null;
  readonly idType: string | null;
  readonly idIsIndexed: boolean;
}

/** The columns in which the education schema has had tags; the first that there is. Undefined when there is none. */
export async function findUsualSource(
  sql: Pick<Sql, 'unsafe'>,
  schema: string,
): Promise<ColumnName | undefined> {
  const usual = [
    { table: { schema, name: 'materials_old' }, column: 'tags_string' },
    { table: { schema, name: 'materials' }, column: 'tags' },
  ];
  for (const { table, column } of usual) {
    const [found] = await sql.unsafe(
      'SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND attnum > 0 AND NOT attisdropped',
      [quoteName(table), column],
    );
    if (found) return { table, column };
  }
  return undefined;
}

/** The source's id and text, as SQL for `FROM ... s`. */
export const idOf = ({ id }: TagSource) => `s.${quoteIdentifier(id)}`;
