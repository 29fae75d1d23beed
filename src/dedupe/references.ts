import type { Sql } from 'postgres';

/** Columns of a table that refer to another: a foreign key, or what was declared to be as one. */
export interface Reference {
  /** Numbers in `Scope.tables`. */
  readonly child: number;
  readonly parent: number;
  readonly columns: readonly string[];
  /** The columns of the parent, in the same order. */
  readonly referred: readonly string[];
  /** The name of the foreign key; null for a declared reference. */
  readonly constraint: string | null;
  /** Whether the server holds it, and locks what is referred to: not a declared one, nor a key that is NOT ENFORCED. */
  readonly enforced: boolean;
  /** Whether an index begins with the columns. */
  readonly indexed: boolean;
}

/** A foreign key as the catalogue has it. */
export interface ForeignKey {
  readonly constraint: string;
  readonly enforced: boolean;
  readonly childOid: number;
  readonly columns: readonly string[];
  readonly referred: readonly string[];
  readonly indexed: boolean;
  /** PERIOD: the child refers to a stretch of time, not to a row. */
  readonly temporal: boolean;
  /** Whether the foreign key takes values for the same that `=` does not: it would cascade to rows that we do not see. */
  readonly looser: boolean;
  /** ON UPDATE SET NULL or SET DEFAULT: a new key of the row referred to cuts it off. */
  readonly cutsOff: boolean;
}

/** Whether an index of the table with `oid` begins with the columns `attnums`, both as SQL. */
const isIndexed = (oid: string, attnums: string) => `EXISTS (
  SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  WHERE x.indrelid = ${oid} AND x.indisvalid AND x.indpred IS NULL AND x.indnkeyatts >= cardinality(${attnums})
    AND ARRAY(SELECT k.attnum FROM unnest(x.indkey) WITH ORDINALITY k (attnum, place)
              WHERE k.place <= cardinality(${attnums}) ORDER BY 1) = ARRAY(SELECT u FROM unnest(${attnums}) u ORDER BY 1))`;

const namesOf = (oid: string, attnums: string) => `(
  SELECT jsonb_agg(a.attname ORDER BY k.place) FROM unnest(${attnums}) WITH ORDINALITY k (attnum, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = ${oid} AND a.attnum = k.attnum)`;

/** A foreign key compares by the type and the collation of the columns referred to. */
const isLooser = `EXISTS (
  SELECT FROM unnest(o.conkey, o.confkey, o.conpfeqop) k (child, parent, operator)
  JOIN pg_catalog.pg_operator p ON p.oid = k.operator
  JOIN pg_catalog.pg_attribute c ON c.attrelid = o.conrelid AND c.attnum = k.child
  JOIN pg_catalog.pg_type t ON t.oid = c.atttypid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.parent
  WHERE NOT pg_operator_is_visible(k.operator)
    OR p.oprleft = 'bpchar'::regtype AND coalesce(nullif(t.typbasetype, 0), t.oid) <> 'bpchar'::regtype
    OR c.attcollation <> a.attcollation AND EXISTS (SELECT FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic))`;

/**
 * The foreign keys that refer to the table with that oid, or to a partition of it alone: of a partitioned child once, also
 * one that a partition alone has.
 */
export function listForeignKeys(
  sql: Pick<Sql, 'unsafe'>,
  oid: number,
  version: number,
): Promise<ForeignKey[]> {
  return sql.unsafe<ForeignKey[]>(
    `SELECT o.conname AS constraint, o.conrelid AS "childOid", ${namesOf('o.conrelid', 'o.conkey')} AS columns,
            ${namesOf('o.confrelid', 'o.confkey')} AS referred, ${isIndexed('o.conrelid', 'o.conkey')} AS indexed,
            ${version >= 180000 ? 'o.conperiod' : 'false'} AS temporal,
            ${version >= 180000 ? 'o.conenforced' : 'true'} AS enforced, ${isLooser} AS looser, o.confupdtype IN ('n', 'd') AS "cutsOff"
     FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE o.contype = 'f' AND o.conparentid = 0
       AND (o.confrelid = $1::text::oid OR o.confrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::text::oid::regclass)))
     ORDER BY n.nspname, c.relname, o.conname`,
    [String(oid)],
  );
}

/** A column that nothing in the catalogue ties to the table. */
export interface LooseColumn {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly column: string;
  readonly indexed: boolean;
}

const integers = `'int2'::regtype, 'int4'::regtype, 'int8'::regtype`;

/**
 * Columns that are named as if they held the `key` of the table (`material_id`, `old_material_id`), have its type, and
 * are in no foreign key. Partitions, views and temporary tables are left out, and what an extension brought.
 */
export function listLikelyReferences(
  sql: Pick<Sql, 'unsafe'>,
  oid: number,
  key: string,
  names: readonly string[],
): Promise<LooseColumn[]> {
  return sql.unsafe<LooseColumn[]>(
    `SELECT c.oid AS oid, n.nspname AS schema, c.relname AS name, a.attname AS column,
            ${isIndexed('c.oid', 'ARRAY[a.attnum]')} AS indexed
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_attribute k ON k.attrelid = $1::text::oid AND k.attname = $2
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
       AND EXISTS (SELECT FROM pg_catalog.jsonb_array_elements_text($3::text::jsonb) w WHERE lower(a.attname) = w OR lower(a.attname) LIKE '%\\_' || replace(w, '_', '\\_'))
       AND (a.atttypid = k.atttypid OR a.atttypid IN (${integers}) AND k.atttypid IN (${integers}))
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.contype = 'f' AND o.conrelid = c.oid AND a.attnum = ANY (o.conkey))
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY 2, 3, 4`,
    [String(oid), key, JSON.stringify(names)],
  );
}

/** A column by its names; undefined without it. */
export async function findColumn(
  sql: Pick<Sql, 'unsafe'>,
  { schema, name, column }: { readonly schema: string; readonly name: string; readonly column: string },
): Promise<LooseColumn | undefined> {
  const [found] = await sql.unsafe<LooseColumn[]>(
    `SELECT c.oid AS oid, n.nspname AS schema, c.relname AS name, a.attname AS column,
            ${isIndexed('c.oid', 'ARRAY[a.attnum]')} AS indexed
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND c.relkind IN ('r', 'p')`,
    [schema, name, column],
  );
  return found;
}

/** What a column that refers to the table may be called: `materials_id`, `material_id`. */
export function likelyNames(table: string): string[] {
  const name = table.toLowerCase();
  const singulars = [
    name.replace(/ies$/, 'y'),
    name.replace(/(ss|x|ch|sh|s)es$/, '$1'),
    name.replace(/([^s])s$/, '$1'),
  ];
  return [...new Set([name, ...singulars])].map((word) => `${word}_id`);
}
