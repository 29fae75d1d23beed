import type { Sql } from 'postgres';
import type { QualifiedName } from '../db/identifiers.ts';

/** A table with what merging its rows depends on. */
export interface TableFacts {
  readonly oid: number;
  readonly name: QualifiedName;
  /** `r`, or `p` for a partitioned one. */
  readonly kind: string;
  readonly isPartition: boolean;
  /** Whether other tables inherit from it, and are no partitions. */
  readonly hasHeirs: boolean;
  /** Of the planner. */
  readonly rows: number;
  readonly columns: readonly ColumnFacts[];
  readonly uniques: readonly UniqueIndex[];
  /** Columns that its row triggers before an UPDATE listen to; null for one that listens to all. */
  readonly touchy: readonly (readonly string[] | null)[];
}

export interface ColumnFacts {
  readonly name: string;
  /** As SQL. */
  readonly type: string;
  /** `pg_type.typcategory`, of a domain that of its base. */
  readonly category: string;
  readonly nullable: boolean;
  /** Computed by the server. */
  readonly generated: boolean;
}

/** A unique index: which rows it compares, and by what. */
export interface UniqueIndex {
  readonly name: string;
  /** Columns it depends on. */
  readonly columns: readonly string[];
  /** What it is made of, as SQL; columns are not qualified. */
  readonly parts: readonly string[];
  readonly predicate: string | null;
  readonly nullsEqual: boolean;
  /** Whether it names each row of the table by columns alone. */
  readonly names: boolean;
  readonly primary: boolean;
}

/** The table of that oid. */
export async function describeTable(
  sql: Pick<Sql, 'unsafe'>,
  oid: number,
  version: number,
): Promise<TableFacts> {
  const nullsEqual = version >= 150000 ? 'x.indnullsnotdistinct' : 'false';
  const [found] = await sql.unsafe<[TableFacts]>(
    `SELECT c.oid AS oid, jsonb_build_object('schema', n.nspname, 'name', c.relname) AS name, c.relkind AS kind,
       c.relispartition AS "isPartition", c.reltuples::float8 AS rows,
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid) AS "hasHeirs",
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'category', t.typcategory, 'nullable', NOT a.attnotnull, 'generated', a.attgenerated <> '') ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', i.relname, 'primary', x.indisprimary,
            'nullsEqual', ${nullsEqual}, 'predicate', pg_get_expr(x.indpred, x.indrelid),
            'names', x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL AND x.indimmediate AND NOT EXISTS (
              SELECT FROM unnest(x.indkey) WITH ORDINALITY k (attnum, place) JOIN pg_catalog.pg_attribute a
                ON a.attrelid = c.oid AND a.attnum = k.attnum
              WHERE k.place <= x.indnkeyatts AND NOT a.attnotnull),
            'columns', (SELECT coalesce(jsonb_agg(DISTINCT a.attname), '[]') FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND (
                a.attnum IN (SELECT k.attnum FROM unnest(x.indkey) WITH ORDINALITY k (attnum, place) WHERE k.place <= x.indnkeyatts)
                OR a.attnum IN (SELECT d.refobjsubid FROM pg_catalog.pg_depend d WHERE (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
                  AND d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid))),
            'parts', (SELECT jsonb_agg(pg_get_indexdef(x.indexrelid, k, false) ORDER BY k) FROM generate_series(1, x.indnkeyatts) k))
            ORDER BY NOT x.indisprimary, x.indnkeyatts, i.relname), '[]')
        FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid AND x.indisunique AND NOT x.indisexclusion AND x.indislive) AS uniques,
       (SELECT coalesce(jsonb_agg(CASE WHEN cardinality(g.tgattr::int2[]) > 0 THEN
            (SELECT jsonb_agg(a.attname) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (g.tgattr)) END), '[]')
        FROM pg_catalog.pg_trigger g
        WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 19 = 19 AND g.tgenabled <> 'D') AS touchy
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::text::oid`,
    [String(oid)],
  );
  return found;
}

/** The columns by which a row is known: the primary key, else another unique one; undefined without any. */
export function nameOf({ uniques }: TableFacts): readonly string[] | undefined {
  return uniques.find(({ names }) => names)?.columns;
}

/** The column of that name; throws when there is none, as whoever asks has looked. */
export function columnOf({ name, columns }: TableFacts, column: string): ColumnFacts {
  const found = columns.find((candidate) => candidate.name === column);
  if (!found) throw new Error(`${name.name} has no column ${column}`);
  return found;
}
