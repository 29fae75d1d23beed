import type { Sql } from 'postgres';
import { askTogether, type Question } from '../../db/ask-together.ts';
import { quoteLiteral } from '../../db/identifiers.ts';
import type { PartitionedTable } from '../catalogue.ts';
import { columnsInShort } from './copy/copy-state.ts';
import { type Trigger, triggersOf } from './triggers.ts';

/** A foreign key of the partitioned table. */
export interface ForeignKey {
  readonly name: string;
  /** From FOREIGN KEY on. */
  readonly definition: string;
  /** The table that it refers to, as SQL. */
  readonly references: string;
}

/** What has a say in how partitions of a table are made, beside the table itself. */
export interface Surroundings {
  /** Whose rights the session has. */
  readonly user: string;
  /** Whether it has those of the table's owner. */
  readonly isOwner: boolean;
  /** To whom default privileges give rights on tables that this user makes; null is everybody. */
  readonly defaultGrantees: readonly (string | null)[];
  readonly foreignKeys: readonly ForeignKey[];
  /** Tables whose foreign keys refer to this one, as SQL. */
  readonly referencedBy: readonly string[];
  /** Columns of an index that tells rows apart, the primary key's before others; null without one. */
  readonly key: readonly string[] | null;
  /** Columns that are given values: all but the generated. */
  readonly columns: readonly string[];
  /** All of them in short, so that a change is noticed. */
  readonly columnsNow: string;
  /** Triggers that each new partition gets a copy of, and that an inserted row fires. */
  readonly insertTriggers: readonly Trigger[];
  /** Whether the session may set session_replication_role. */
  readonly mayReplicate: boolean;
  /** A publication has whatever table there is, of the database or of the schema: also one that is not attached yet. */
  readonly publishesAll: boolean;
  /** Keys of it exclude overlaps. ATTACH adopts no index for such a key, but makes another one. */
  readonly excludes: boolean;
}

/** Asks for the surroundings of a table. Names in `schema` get the default privileges of that schema. */
export async function findSurroundings(
  sql: Sql,
  versionNumber: number,
  table: PartitionedTable,
  schema: string,
): Promise<Surroundings> {
  const [found] = await askTogether(sql, [], [surroundingsQuestion(versionNumber, table, schema)]);
  return found;
}

/** Asks what `findSurroundings` does. */
export function surroundingsQuestion(
  versionNumber: number,
  { oid }: PartitionedTable,
  schema: string,
): Question<Surroundings> {
  const mayReplicate =
    versionNumber >= 150000
      ? `has_parameter_privilege('session_replication_role', 'SET')`
      : `(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`;
  const id = `${oid}::oid`;
  const place = `(SELECT oid FROM pg_namespace WHERE nspname = ${quoteLiteral(schema)})`;
  return {
    sql: `SELECT current_user AS user, ${mayReplicate} AS "mayReplicate",
       (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = ${id}) AS "isOwner",
       coalesce((SELECT json_agg(DISTINCT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END)
                 FROM pg_default_acl d, aclexplode(d.defaclacl) a
                 WHERE d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND d.defaclobjtype = 'r'
                   AND (d.defaclnamespace = 0 OR d.defaclnamespace = ${place})),
                '[]') AS "defaultGrantees",
       coalesce((SELECT json_agg(json_build_object('name', conname, 'definition', pg_get_constraintdef(c.oid),
                                                   'references', ${nameOf('confrelid')}) ORDER BY conname)
                 FROM pg_constraint c WHERE conrelid = ${id} AND contype = 'f' AND conparentid = 0), '[]') AS "foreignKeys",
       coalesce((SELECT json_agg(DISTINCT ${nameOf('conrelid')})
                 FROM pg_constraint WHERE confrelid = ${id} AND contype = 'f' AND conparentid = 0), '[]') AS "referencedBy",
       (SELECT (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY k (attnum, n)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts)
        FROM pg_index i
        WHERE i.indrelid = ${id} AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          -- Compared under a search_path of pg_catalog alone.
          AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                          WHERE a.attrelid = ${id} AND a.attnum = ANY (i.indkey)
                            AND (NOT a.attnotnull OR t.typnamespace <> 'pg_catalog'::regnamespace AND t.typtype <> 'e'))
        ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) AS key,
       (SELECT json_agg(attname ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = ${id} AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns,
       ${triggersOf(id, 'a row is inserted')} AS "insertTriggers", ${publishesAll(versionNumber, place)} AS "publishesAll",
       EXISTS (SELECT FROM pg_index WHERE indrelid = ${id} AND indisexclusion) AS excludes, ${columnsInShort(oid)} AS "columnsNow"`,
    read: ([row]: [Surroundings]) => row,
  };
}

const publishesAll = (versionNumber: number, place: string) =>
  `EXISTS (SELECT FROM pg_publication WHERE puballtables)${
    versionNumber >= 150000
      ? ` OR EXISTS (SELECT FROM pg_publication_namespace WHERE pnnspid = ${place})`
      : ''
  }`;

const nameOf = (oid: string) =>
  `(SELECT format('%I.%I', n.nspname, r.relname) FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = ${oid})`;
