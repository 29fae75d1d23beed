import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';

/** A column by which a row is found again in the other table. */
export interface KeyColumn {
  readonly name: string;
  readonly typeOid: number;
  /** The operator of the primary key's index, as SQL: which `=` a name means depends on the search path. */
  readonly equals: string;
}

/**
 * The columns of the primary key, and the one that the table is partitioned by: together they name a row in both
 * tables, and the partition it is in. Throws `table-unsuitable` for a table without a primary key.
 */
export async function findKey(
  sql: Pick<Sql, 'unsafe'>,
  table: QualifiedName,
  partitionColumn: string,
): Promise<KeyColumn[]> {
  const found = await sql.unsafe<KeyColumn[]>(
    `SELECT a.attname AS name, a.atttypid::int8::float8 AS "typeOid",
            format('OPERATOR(%I.%s)', n.nspname, o.oprname) AS equals
     FROM pg_catalog.pg_index x
     CROSS JOIN LATERAL unnest(x.indkey::int2[], x.indclass::oid[]) WITH ORDINALITY AS k (attnum, opclass, n)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
     JOIN pg_catalog.pg_opclass c ON c.oid = k.opclass
     JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
     JOIN pg_catalog.pg_amop p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3
       AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
     JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr
     JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
     WHERE x.indrelid = $1::pg_catalog.regclass AND x.indisprimary AND k.n <= x.indnkeyatts
     ORDER BY k.n`,
    [quoteName(table)],
  );
  if (found.length === 0) throw keyMissing(table);
  if (found.some(({ name }) => name === partitionColumn)) return found;
  const [column] = await sql.unsafe<{ typeOid: number }[]>(
    `SELECT atttypid::int8::float8 AS "typeOid" FROM pg_catalog.pg_attribute
     WHERE attrelid = $1::pg_catalog.regclass AND attname = $2 AND NOT attisdropped`,
    [quoteName(table), partitionColumn],
  );
  if (!column) throw new Error(`there is no column ${partitionColumn}`);
  return [...found, { name: partitionColumn, typeOid: column.typeOid, equals: 'OPERATOR(pg_catalog.=)' }];
}

function keyMissing({ schema, name }: QualifiedName): EduschemaError {
  return new EduschemaError('table-unsuitable', `${schema}.${name} has no primary key`, {
    hint: 'without one a row that changes while it is copied cannot be found again: add a primary key, or convert by attach',
  });
}

/** `t."id" OPERATOR(pg_catalog.=) c."id" AND ...`. */
export function sameKey(key: readonly KeyColumn[], left: string, right: string): string {
  return key
    .map(({ name, equals }) => {
      const column = quoteIdentifier(name);
      return `${left}.${column} ${equals} ${right}.${column}`;
    })
    .join(' AND ');
}

/** The columns as SQL, of a table that is called `alias` when that is given. */
export function columnList(names: readonly string[], alias?: string): string {
  return names.map((name) => (alias ? `${alias}.` : '') + quoteIdentifier(name)).join(', ');
}

/** What is true of notes that have no key: a column of the primary key is never null. */
export function withoutKey([first]: readonly KeyColumn[]): string {
  return `${quoteIdentifier(first?.name ?? '')} IS NULL`;
}
