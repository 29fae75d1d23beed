import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName, showName } from '../../db/identifiers.ts';
import type { PartitionedTable } from '../catalogue.ts';
import type { Found } from './finding.ts';

interface LostKey {
  readonly key: string;
  readonly definition: string;
  readonly of: QualifiedName;
  readonly references: QualifiedName;
  /** How many constraints there are below it, and how many there should be. */
  readonly there: number;
  readonly wanted: number;
  /** A partition of the referring table that has none. */
  readonly partition: QualifiedName | null;
}

/**
 * Foreign keys of and to the table, and to it from tables that were detached, which the server no longer looks after
 * everywhere: ATTACH and DETACH of minors before 17.1, 16.5, 15.9 and 14.14 left them so. The count is that of the release
 * notes of these versions.
 */
export async function judgeForeignKeys(sql: Sql, { oid, name }: PartitionedTable): Promise<Found[]> {
  const nameOf = (oidOf: string) =>
    `(SELECT json_build_object('schema', n.nspname, 'name', r.relname) FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = ${oidOf})`;
  const rows = await sql.unsafe<LostKey[]>(`
    SELECT * FROM (
      SELECT c.conname AS key, pg_get_constraintdef(c.oid) AS definition, ${nameOf('c.conrelid')} AS of, ${nameOf('c.confrelid')} AS references,
        (SELECT count(*)::int FROM pg_constraint below WHERE below.conparentid = c.oid) AS there,
        ((SELECT count(*) FROM pg_inherits i JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
          WHERE i.inhparent = c.conrelid OR i.inhparent = c.confrelid)
         -- To itself: each partition refers and is referred to.
         + CASE WHEN pg_partition_root(c.conrelid) = c.confrelid
                THEN (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = c.confrelid) ELSE 0 END)::int AS wanted,
        (SELECT ${nameOf('i.inhrelid')} FROM pg_inherits i
         WHERE i.inhparent = c.conrelid AND NOT EXISTS (SELECT FROM pg_constraint below WHERE below.conparentid = c.oid AND below.conrelid = i.inhrelid)
         ORDER BY i.inhrelid LIMIT 1) AS partition
      FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0 AND (c.conrelid = ${oid} OR c.confrelid = ${oid})) k
    WHERE there <> wanted ORDER BY key`);
  return rows.map(({ key, definition, of, references, there, wanted, partition }) => {
    const whose = showName(of) === showName(name) ? '' : ` of ${showName(of)}`;
    const alter = `ALTER TABLE ${quoteName(of)}`;
    return {
      code: 'foreign-key-lost',
      partition,
      message: `the foreign key ${key}${whose} to ${showName(references)} is not looked after everywhere: it has ${there} of ${wanted} constraints of partitions, as old minor versions left it at ATTACH or DETACH`,
      hint: `${alter} DROP CONSTRAINT ${quoteIdentifier(key)}; ${alter} ADD CONSTRAINT ${quoteIdentifier(key)} ${definition}`,
    };
  });
}
