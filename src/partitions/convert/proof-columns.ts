import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';

/** A column whose values go into a checksum. */
export interface ProofColumn {
  readonly name: string;
  /** Its type has no hash, or holds values to be equal that are written differently: their text is hashed. */
  readonly asText: boolean;
}

/** Types whose values are equal only when they are the same. numeric (1.0 = 1.00), float8 (0 = -0), interval, jsonb ... are not. */
const exactTypes = [
  'bool', 'bytea', 'char', 'date', 'inet', 'int2', 'int4', 'int8', 'macaddr', 'macaddr8', 'name', 'oid',
  'text', 'time', 'timestamp', 'timestamptz', 'uuid', 'varchar', 'xid8',
].map((type) => `'pg_catalog.${type === 'char' ? '"char"' : type}'::pg_catalog.regtype`); // biome-ignore format: a list

/** The columns of a table whose values are on the disk. */
export async function listProofColumns(
  sql: Pick<Sql, 'unsafe'>,
  table: QualifiedName,
): Promise<ProofColumn[]> {
  return sql.unsafe<ProofColumn[]>(
    `SELECT a.attname AS name,
            NOT (a.atttypid IN (${exactTypes.join(', ')}) OR t.typtype = 'e') AS "asText"
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
     ORDER BY a.attnum`,
    [quoteName(table)],
  );
}
