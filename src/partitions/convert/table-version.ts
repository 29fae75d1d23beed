import type { Sql, TransactionSql } from 'postgres';

/** Rows of a catalogue that say something of the table $1: what they are, and the transaction that wrote each. */
const written = (catalogue: string, condition: string, id = 'r.oid') =>
  `SELECT '${catalogue}', ${id}::text, r.xmin::text FROM pg_catalog.${catalogue} r WHERE ${condition}`;

const bound = (catalogue: string) =>
  `SELECT objid FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND refobjid = $1
   AND classid = 'pg_catalog.${catalogue}'::pg_catalog.regclass`;

const sources = [
  written(
    'pg_class',
    'r.oid IN (SELECT $1 UNION ALL SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = $1)',
  ),
  written('pg_attribute', 'r.attrelid = $1', 'r.attnum'),
  written('pg_attrdef', 'r.adrelid = $1'),
  written('pg_index', 'r.indrelid = $1', 'r.indexrelid'),
  // No index leads from the table that is referenced, but dependencies do.
  ...[
    'pg_constraint',
    'pg_trigger',
    'pg_policy',
    'pg_rewrite',
    'pg_proc',
    'pg_statistic_ext',
    'pg_publication_rel',
  ].map((catalogue) => written(catalogue, `r.oid IN (${bound(catalogue)})`)),
  written('pg_publication', 'true'),
  written('pg_inherits', 'r.inhparent = $1', 'r.inhrelid'),
  written(
    'pg_description',
    "r.objoid = $1 AND r.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass",
    'r.objsubid',
  ),
  written(
    'pg_depend',
    "r.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.refobjid = $1",
    'r.objid',
  ),
];

/**
 * Differs when anybody has changed a table's definition, or what is bound to it: a hash of who last wrote the rows of the
 * catalogue that describe it. A description says what changed, but takes too long while the table is locked.
 */
export async function findVersion(sql: Sql | TransactionSql, table: number): Promise<string> {
  const [{ version }] = await sql.unsafe<[{ version: string }]>(
    `WITH rows (catalogue, id, writer) AS (${sources.join(' UNION ALL ').replaceAll('$1', '$1::oid')})
     SELECT pg_catalog.md5(pg_catalog.string_agg(concat_ws(' ', catalogue, id, writer), ',' ORDER BY catalogue, id, writer)) AS version FROM rows`,
    [table],
    { prepare: true },
  );
  return version;
}
