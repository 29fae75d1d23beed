import type { Sql } from 'postgres';
import type { QualifiedName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';

/** A table of the database, as far as whoever fills it must know it. */
export interface TargetTable {
  readonly oid: number;
  readonly name: QualifiedName;
  /** Partitioned by range over one column: that column. */
  readonly partitionColumn: string | null;
  /** `timestamptz`, `date` ... */
  readonly partitionType: string | null;
  readonly isPartitioned: boolean;
  /** Row policies hold for us, and COPY into it is refused. */
  readonly hasRowPolicies: boolean;
  /** A trigger of the whole table wants to see the inserted rows: COPY into a partitioned one then goes row by row. */
  readonly watchesInserts: boolean;
  readonly columns: readonly TargetColumn[];
}

export interface TargetColumn {
  readonly name: string;
  /** Has no default, and may not be null. */
  readonly isRequired: boolean;
  readonly isGenerated: boolean;
  /** The sequence that numbers it, quoted. */
  readonly sequence: string | null;
}

/** Finds the table that a seed calls `name`, by the search path. Throws `table-missing` and `table-unsuitable`. */
export async function findTable(sql: Pick<Sql, 'unsafe'>, name: string): Promise<TargetTable> {
  const parts = name.split('.').map((part) => `"${part.replaceAll('"', '""')}"`);
  const [row] = await sql.unsafe<(Omit<TargetTable, 'name'> & QualifiedName & { kind: string })[]>(
    `SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
            c.relkind = 'p' AS "isPartitioned", row_security_active(c.oid) AS "hasRowPolicies",
            k.attname AS "partitionColumn", k.typname AS "partitionType",
            EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgnewtable IS NOT NULL AND t.tgenabled <> 'D'
                    AND t.tgtype & 4 <> 0) AS "watchesInserts",
            (SELECT json_agg(json_build_object(
                      'name', a.attname, 'isGenerated', a.attgenerated <> '',
                      'isRequired', a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
                      'sequence', pg_get_serial_sequence(c.oid::regclass::text, a.attname)) ORDER BY a.attnum)
             FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN (SELECT p.partrelid, a.attname, t.typname FROM pg_partitioned_table p
                JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] JOIN pg_type t ON t.oid = a.atttypid
                WHERE p.partstrat = 'r' AND p.partnatts = 1) k ON k.partrelid = c.oid
     WHERE c.oid = to_regclass($1)`,
    [parts.join('.')],
  );
  if (!row)
    throw new EduschemaError('table-missing', `there is no table ${name}`, {
      hint: 'apply the migration that makes it (eduschema migrate), or name another --schema',
    });
  const { schema, name: found, kind, columns, ...facts } = row;
  if (!['r', 'p'].includes(kind))
    throw new EduschemaError('table-unsuitable', `${schema}.${found} is no table that can be filled`, {
      hint: 'name the table itself in the seed, not a view or a foreign table',
    });
  return { ...facts, name: { schema, name: found }, columns: columns ?? [] };
}

/**
 * Throws when the table cannot take rows of these columns: one is missing or computed, or another must have a value.
 * `current` is the migration that the database is at.
 */
export function checkColumns(
  target: TargetTable,
  written: readonly string[],
  current: string | undefined,
): void {
  const shown = `${target.name.schema}.${target.name.name}`;
  const known = new Map(target.columns.map((column) => [column.name, column]));
  const at = current === undefined ? '' : ` (the database is at ${current})`;
  const unsuitable = (message: string, hint: string) =>
    new EduschemaError('table-unsuitable', `${message}${at}`, { hint });
  for (const name of written) {
    if (!known.has(name))
      throw unsuitable(
        `the table ${shown} has no column ${name}, which the seed writes`,
        'take it out of the seed, or apply the migration that adds it',
      );
    if (known.get(name)?.isGenerated)
      throw unsuitable(`${name} of ${shown} is computed by the server`, 'take it out of the seed');
  }
  for (const { name, isRequired } of target.columns)
    if (isRequired && !written.includes(name))
      throw unsuitable(
        `the column ${name} of ${shown} must have a value, and the seed has none for it`,
        'add it to the seed, or give it a default',
      );
}
