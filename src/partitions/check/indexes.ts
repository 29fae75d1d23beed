import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { BoundedPartition, PartitionedTable } from '../catalogue.ts';
import { withSuffix } from '../partition-name.ts';
import type { Found } from './finding.ts';

interface Row {
  readonly partition: number;
  /** The index of the table that the partition should have one for; null for an index of the partition's own. */
  readonly parent: QualifiedName | null;
  /** Of the parent's: what comes behind ON <table>, whether it is unique, and what constraint it is. */
  readonly using: string;
  readonly unique: boolean;
  readonly constraint: 'PRIMARY KEY' | 'UNIQUE' | null;
  /** The partition's index, which is invalid; null when there is none. */
  readonly own: QualifiedName | null;
}

/** Indexes of the table that a partition has none for, and invalid ones on partitions, whosoever they are. */
export async function judgeIndexes(
  sql: Sql,
  { oid }: PartitionedTable,
  partitions: readonly BoundedPartition[],
): Promise<Found[]> {
  const nameOf = (schema: string, name: string) => `json_build_object('schema', ${schema}, 'name', ${name})`;
  const rows = await sql.unsafe<Row[]>(`
    WITH own AS (
      SELECT p.inhrelid AS partition, x.indexrelid, x.indisvalid, i.inhparent AS parent
      FROM pg_inherits p JOIN pg_index x ON x.indrelid = p.inhrelid LEFT JOIN pg_inherits i ON i.inhrelid = x.indexrelid
      WHERE p.inhparent = ${oid}),
    missing AS (
      SELECT p.inhrelid AS partition, x.indexrelid, x.indisunique
      FROM pg_inherits p JOIN pg_index x ON x.indrelid = p.inhparent
      WHERE p.inhparent = ${oid} AND (p.inhrelid, x.indexrelid) NOT IN (SELECT partition, parent FROM own WHERE parent IS NOT NULL))
    SELECT m.partition::int8::float8 AS partition, ${nameOf('n.nspname', 'c.relname')} AS parent, m.indisunique AS unique,
           substr(pg_get_indexdef(m.indexrelid), length(format('CREATE %sINDEX %I ON ONLY %I.%I ',
             CASE WHEN m.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname, n.nspname, t.relname)) + 1) AS using,
           CASE o.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END AS constraint, NULL::json AS own
    FROM missing m JOIN pg_class c ON c.oid = m.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class t ON t.oid = ${oid}
    LEFT JOIN pg_constraint o ON o.conindid = m.indexrelid AND o.conrelid = t.oid AND o.contype IN ('p', 'u')
    UNION ALL
    SELECT own.partition::int8::float8, (SELECT ${nameOf('pn.nspname', 'pc.relname')} FROM pg_class pc JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE pc.oid = own.parent),
           false, '', NULL, ${nameOf('n.nspname', 'c.relname')}
    FROM own JOIN pg_class c ON c.oid = own.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT own.indisvalid AND c.relkind = 'i'`);
  // A partition that another session attached meanwhile is the next check's; a foreign one has no indexes.
  return partitions
    .filter(({ isForeign }) => !isForeign)
    .flatMap((partition) =>
      rows
        .filter((row) => row.partition === partition.oid)
        .map((row) => (row.own ? invalid(row.own, row.parent, partition) : missing(row, partition))),
    );
}

function invalid(own: QualifiedName, parent: QualifiedName | null, { name }: BoundedPartition): Found {
  const why = parent
    ? `queries do not use it, and ${parent.name} of the table stays invalid`
    : 'queries do not use it, and writes keep it up';
  return {
    code: 'index-invalid',
    partition: name,
    message: `its index ${own.name} is invalid: ${why}`,
    hint: `REINDEX INDEX CONCURRENTLY ${quoteName(own)}${parent ? '' : `, or DROP INDEX CONCURRENTLY ${quoteName(own)}`}`,
  };
}

function missing(
  { parent, using, unique, constraint }: Row,
  { name, isPartitioned }: BoundedPartition,
): Found {
  const { schema = '', name: index = '' } = parent ?? {};
  const made = withSuffix(`${name.name}_${index}`, '_idx');
  const partition = quoteName(name);
  // CONCURRENTLY is refused for what is partitioned itself.
  const how = `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${isPartitioned ? '' : 'CONCURRENTLY '}${quoteIdentifier(made)} ON ${partition} ${using}`;
  const key = constraint
    ? `; ALTER TABLE ${partition} ADD CONSTRAINT ${quoteIdentifier(made)} ${constraint} USING INDEX ${quoteIdentifier(made)}`
    : '';
  return {
    code: 'index-missing',
    partition: name,
    message: `it has no index for ${index} of the table`,
    hint: `${how}${key}; ALTER INDEX ${quoteName({ schema, name: index })} ATTACH PARTITION ${quoteName({ schema: name.schema, name: made })}`,
  };
}
