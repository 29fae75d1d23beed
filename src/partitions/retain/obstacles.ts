import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Candidate } from './queries.ts';

/** What speaks against a step, for one partition: nothing of it was done. */
export interface Obstacle {
  readonly problem: string;
  /** What to type or change. */
  readonly remedy: string;
}

/** A foreign key of another table that refers to the partitioned one. */
export interface Reference {
  readonly name: string;
  readonly table: QualifiedName;
  readonly columns: readonly string[];
  readonly referenced: readonly string[];
}

/** What a table has that stands in the way of detaching its partitions, or makes it slow. */
export interface Surroundings {
  readonly default: QualifiedName | null;
  readonly references: readonly Reference[];
  /** Publications that the table is in by its own name. */
  readonly publications: readonly string[];
}

/** Looks at what surrounds a partitioned table. */
export async function readSurroundings(sql: Sql, oid: number): Promise<Surroundings> {
  const [row] = await sql<[Surroundings]>`
    SELECT (SELECT json_build_object('schema', n.nspname, 'name', c.relname)
            FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partdefid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE p.partrelid = ${oid}) AS default,
           (SELECT coalesce(json_agg(json_build_object(
              'name', o.conname, 'table', json_build_object('schema', n.nspname, 'name', c.relname),
              'columns', (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(o.conkey) WITH ORDINALITY k (num, n)
                          JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.num),
              'referenced', (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(o.confkey) WITH ORDINALITY k (num, n)
                          JOIN pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.num)) ORDER BY o.conname), '[]')
            FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE o.contype = 'f' AND o.confrelid = ${oid} AND o.conparentid = 0) AS references,
           (SELECT coalesce(json_agg(p.pubname ORDER BY p.pubname), '[]') FROM pg_publication_rel r
            JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = ${oid}) AS publications`;
  return row;
}

/** Why a partition cannot be retired, as far as that can be known before anything starts. */
export async function findObstacle(
  sql: Sql,
  candidate: Candidate,
  { references }: Pick<Surroundings, 'references'>,
): Promise<Obstacle | undefined> {
  const { oid, name, kind } = candidate;
  if (kind !== 'table')
    return {
      problem: kind === 'foreign' ? 'it is a foreign table' : 'it is partitioned itself',
      remedy: 'retire it by hand: eduschema archives plain tables',
    };
  const [dependent] = await sql<{ what: string; remedy: string }[]>`
    SELECT what, remedy FROM (
      SELECT 1 AS n, format('%s %s is made of it', CASE v.relkind WHEN 'm' THEN 'the materialized view' ELSE 'the view' END, v.oid::regclass) AS what,
             format('drop or change %s', v.oid::regclass) AS remedy
      FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
      WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ${oid} AND r.ev_class <> ${oid}
      UNION ALL
      SELECT 2, format('its column owns the sequence %s, which %s uses', s.refobjid::regclass, u.adrelid::regclass),
             format('ALTER SEQUENCE %s OWNED BY %s.%I', s.refobjid::regclass, u.adrelid::regclass, a.attname)
      FROM pg_depend o
      JOIN pg_depend s ON s.classid = 'pg_attrdef'::regclass AND s.refclassid = 'pg_class'::regclass AND s.refobjid = o.objid
      JOIN pg_attrdef u ON u.oid = s.objid AND u.adrelid <> ${oid}
      JOIN pg_attribute a ON a.attrelid = u.adrelid AND a.attnum = u.adnum
      WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = ${oid} AND o.deptype IN ('a', 'i')
        AND o.objid IN (SELECT seqrelid FROM pg_sequence)
      UNION ALL
      SELECT 3, format('%s refers to it (%s)', f.conrelid::regclass, f.conname), format('ALTER TABLE %s DROP CONSTRAINT %I', f.conrelid::regclass, f.conname)
      FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = ${oid} AND f.conparentid = 0) AS found
    ORDER BY n, what LIMIT 1`;
  if (dependent) return { problem: dependent.what, remedy: dependent.remedy };
  for (const reference of candidate.attachedTo === null ? [] : references) {
    if (!(await hasReferencedRows(sql, name, reference))) continue;
    const table = `${reference.table.schema}.${reference.table.name}`;
    return {
      problem: `rows of ${table} refer to its rows (${reference.name})`,
      remedy: `delete those rows of ${table}, or drop the foreign key`,
    };
  }
  return undefined;
}

async function hasReferencedRows(
  sql: Sql,
  partition: QualifiedName,
  { table, columns, referenced }: Reference,
): Promise<boolean> {
  const same = columns.map(
    (column, at) => `p.${quoteIdentifier(referenced[at] as string)} = r.${quoteIdentifier(column)}`,
  );
  const [found] = await sql.unsafe<{ found: boolean }[]>(
    `SELECT EXISTS (SELECT FROM ${quoteName(table)} r JOIN ${quoteName(partition)} p ON ${same.join(' AND ')}) AS found`,
  );
  return found?.found ?? false;
}
