import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName, showName } from '../db/identifiers.ts';
import type { ColumnName } from '../db/parse-name.ts';
import { EduschemaError } from '../errors.ts';
import type { TagSource } from './source.ts';

/** Where the tags go: a table of tags, and one that says whose they are. */
export interface TagTarget {
  readonly tags: QualifiedName;
  /** The column with the tag's name, the longest name it takes in characters, and the key. */
  readonly name: string;
  readonly longest: number | null;
  readonly key: string;
  readonly keyType: string;
  readonly links: QualifiedName;
  /** The column of `links` for the tag, and the one for its owner. */
  readonly tagColumn: string;
  readonly ownerColumn: string;
  /** Who can have tags: the table that the owner's column refers to. */
  readonly owners: QualifiedName;
  readonly ownersOid: number;
  readonly ownersKey: string;
}

interface Reference {
  readonly column: string;
  readonly schema: string;
  readonly table: string;
  readonly oid: number;
  readonly key: string;
  readonly keyType: string;
}

/**
 * Reads from the catalogue how `tags` and `links` belong together. Throws `table-missing`, and `table-unsuitable` when
 * the foreign keys do not say so, when a pair could be there twice, or when a row needs more than we have for it.
 */
export async function findTarget(
  sql: Pick<Sql, 'unsafe'>,
  { table: tags, column: name }: ColumnName,
  links: QualifiedName,
  source: TagSource,
): Promise<TagTarget> {
  const column = await findNameColumn(sql, tags, name);
  const references = await findReferences(sql, links);
  const toTags = references.filter(({ oid }) => oid === column.oid);
  const others = references.filter(({ oid }) => oid !== column.oid);
  const ofSource = others.filter(({ oid }) => oid === source.oid);
  const [toTag, owner] = [toTags[0], ofSource[0] ?? others[0]];
  const unsuitable = (message: string, hint: string) =>
    new EduschemaError('table-unsuitable', message, { hint });
  if (!toTag || toTags.length > 1)
    throw unsuitable(
      `${showName(links)} has ${toTag ? 'several foreign keys' : 'no foreign key of one column'} to ${showName(tags)}`,
      'name the table that says who has which tags (--links), and the one of tags (--tags table.column)',
    );
  if (!owner || (ofSource.length !== 1 && others.length > 1))
    throw unsuitable(
      `${showName(links)} does not say whose tags they are: it has ${owner ? 'several foreign keys' : 'no foreign key'} beside the one to ${showName(tags)}`,
      'name the table that says who has which tags: --links',
    );
  await forbidDoubles(sql, links, [owner.column, toTag.column]);
  await forbidMore(sql, links, [owner.column, toTag.column]);
  await forbidMore(sql, tags, [name]);
  return {
    tags,
    name,
    longest: column.longest,
    key: toTag.key,
    keyType: toTag.keyType,
    links,
    tagColumn: toTag.column,
    ownerColumn: owner.column,
    owners: { schema: owner.schema, name: owner.table },
    ownersOid: owner.oid,
    ownersKey: owner.key,
  };
}

async function findNameColumn(sql: Pick<Sql, 'unsafe'>, tags: QualifiedName, name: string) {
  const [found] = await sql.unsafe<{ oid: number; category: string | null; longest: number | null }[]>(
    `SELECT c.oid::int8::float8 AS oid, t.typcategory AS category,
            CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS longest
     FROM pg_class c
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_type t ON t.oid = a.atttypid
     WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')`,
    [quoteName(tags), name],
  );
  if (!found)
    throw new EduschemaError('table-missing', `there is no table ${showName(tags)}`, {
      hint: 'apply the migration that makes it (eduschema migrate), or name another: --tags table.column',
    });
  if (found.category !== 'S')
    throw new EduschemaError('table-unsuitable', `${showName(tags)} has no column ${name} of text`, {
      hint: 'name the column with the names of tags: --tags table.column',
    });
  return found;
}

/** The foreign keys of one column. */
async function findReferences(sql: Pick<Sql, 'unsafe'>, links: QualifiedName): Promise<readonly Reference[]> {
  const [table] = await sql.unsafe(
    `SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ('r', 'p')`,
    [quoteName(links)],
  );
  if (!table)
    throw new EduschemaError('table-missing', `there is no table ${showName(links)}`, {
      hint: 'apply the migration that makes it (eduschema migrate), or name another: --links',
    });
  return sql.unsafe<Reference[]>(
    `SELECT a.attname AS column, n.nspname AS schema, f.relname AS table, f.oid::int8::float8 AS oid, b.attname AS key,
            format_type(b.atttypid, NULL) AS "keyType"
     FROM pg_constraint k
     JOIN pg_class f ON f.oid = k.confrelid
     JOIN pg_namespace n ON n.oid = f.relnamespace
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
     WHERE k.conrelid = to_regclass($1) AND k.contype = 'f' AND cardinality(k.conkey) = 1
     ORDER BY k.oid`,
    [quoteName(links)],
  );
}

async function forbidDoubles(
  sql: Pick<Sql, 'unsafe'>,
  links: QualifiedName,
  columns: readonly string[],
): Promise<void> {
  const [found] = await sql.unsafe(
    `SELECT FROM pg_index x
     WHERE x.indrelid = to_regclass($1) AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indimmediate
       AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
            WHERE a.attrelid = x.indrelid AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])) = ${textArray([...columns].sort())}
       AND 0 <> ALL (x.indkey)`,
    [quoteName(links)],
  );
  if (found) return;
  const list = columns.map(quoteIdentifier).join(', ');
  throw new EduschemaError(
    'table-unsuitable',
    `${showName(links)} has no unique key over ${columns.join(' and ')}: the same could be in it twice`,
    { hint: `CREATE UNIQUE INDEX CONCURRENTLY ON ${quoteName(links)} (${list})` },
  );
}

/** Throws for a column that must have a value, and for which we have none. */
async function forbidMore(
  sql: Pick<Sql, 'unsafe'>,
  table: QualifiedName,
  written: readonly string[],
): Promise<void> {
  const [found] = await sql.unsafe<{ name: string }[]>(
    `SELECT attname AS name FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef
       AND attidentity = '' AND attgenerated = '' AND attname <> ALL (${textArray(written)})
     ORDER BY attnum LIMIT 1`,
    [quoteName(table)],
  );
  if (!found) return;
  throw new EduschemaError(
    'table-unsuitable',
    `the column ${found.name} of ${showName(table)} must have a value, and the tags have none for it`,
    {
      hint: `give it a default: ALTER TABLE ${quoteName(table)} ALTER ${quoteIdentifier(found.name)} SET DEFAULT ...`,
    },
  );
}

const textArray = (values: readonly string[]) => `ARRAY[${values.map(quoteLiteral).join(', ')}]::text[]`;
