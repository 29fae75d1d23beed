import type { TransactionSql } from 'postgres';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';
import { outgoingOf } from '../convert/incoming.ts';
import type { TableDescription } from '../convert/table-description.ts';

/**
 * Proves that the old table is one of its own again: the same file, valid indexes, foreign keys that are looked at (old
 * minor versions lose their triggers at DETACH), and its triggers. Throws `proof-failed`, and all of it is taken back.
 */
export async function proveBack(
  sql: TransactionSql,
  table: TableDescription,
  old: TableDescription,
): Promise<void> {
  const [facts] = await sql.unsafe<
    [
      {
        name: string;
        fileNode: number;
        isPartition: boolean;
        invalid: number;
        unchecked: string | null;
        triggers: number;
      },
    ]
  >(
    `SELECT c.relname AS name, pg_catalog.pg_relation_filenode(c.oid)::int8::float8 AS "fileNode", c.relispartition AS "isPartition",
       (SELECT count(*)::int FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND NOT x.indisvalid) AS invalid,
       (SELECT pg_catalog.string_agg(k.conname, ', ') FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
          AND (k.conparentid <> 0 OR NOT k.convalidated OR 2 <> (SELECT count(*) FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgrelid = c.oid
            AND t.tgfoid IN ('pg_catalog."RI_FKey_check_ins"'::pg_catalog.regproc, 'pg_catalog."RI_FKey_check_upd"'::pg_catalog.regproc)))) AS unchecked,
       (SELECT count(*)::int FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers
     FROM pg_catalog.pg_class c WHERE c.oid = ${old.oid}`,
  );
  const wrong = [
    facts.name === table.name ? '' : `it is called ${facts.name}`,
    facts.fileNode === old.fileNode
      ? ''
      : `its rows are in the file ${facts.fileNode}, and were in ${old.fileNode}`,
    facts.isPartition ? 'it is a partition still' : '',
    facts.invalid === 0 ? '' : `${facts.invalid} of its indexes are invalid`,
    facts.unchecked === null ? '' : `its foreign keys ${facts.unchecked} are not looked at`,
    facts.triggers === table.triggers.length
      ? ''
      : `${facts.triggers} of ${table.triggers.length} triggers are there`,
  ].filter(Boolean);
  if (wrong.length === 0) return;
  throw new EduschemaError(
    'proof-failed',
    `${shown(table)} did not become what it was: ${wrong.join('; ')}`,
    {
      hint: 'all of it was taken back; please report this',
      details: { foreignKeys: outgoingOf(old).length },
    },
  );
}
