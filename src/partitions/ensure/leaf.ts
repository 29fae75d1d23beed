import type { Sql } from 'postgres';
import { askTogether, type Question } from '../../db/ask-together.ts';
import type { QualifiedName } from '../../db/identifiers.ts';
import { copyTrigger } from './copy/copy-state.ts';

/** A right that somebody was given; `grantee` null is everybody. */
export interface Grant {
  readonly grantee: string | null;
  readonly privilege: string;
  readonly grantable: boolean;
  /** Null: on the whole table. */
  readonly column: string | null;
}

export interface LeafColumn {
  readonly name: string;
  readonly statistics: number | null;
  readonly options: readonly string[];
  /** `EXTERNAL` and the like, where it differs from the parent's. */
  readonly storage: string | null;
  /** `pglz`, `lz4` or `default`, where it differs from the parent's. */
  readonly compression: string | null;
  readonly comment: string | null;
}

export interface RowPolicy {
  readonly name: string;
  readonly permissive: boolean;
  readonly command: string;
  /** Null is everybody. */
  readonly roles: readonly (string | null)[];
  readonly using: string | null;
  readonly check: string | null;
}

export interface Publication {
  readonly name: string;
  readonly columns: readonly string[] | null;
  readonly filter: string | null;
}

/** What a partition has of its own, beside what its parent gives it: what a new one should have as well. */
export interface Leaf {
  readonly name: QualifiedName;
  readonly owner: string;
  readonly unlogged: boolean;
  readonly options: readonly string[];
  readonly toastOptions: readonly string[];
  readonly tablespace: string | null;
  readonly accessMethod: string | null;
  /** `d` default, `n` nothing, `f` full, `i` an index. */
  readonly replicaIdentity: 'd' | 'n' | 'f' | 'i';
  readonly replicaColumns: readonly string[] | null;
  readonly rowSecurity: boolean;
  readonly forceRowSecurity: boolean;
  readonly policies: readonly RowPolicy[];
  readonly comment: string | null;
  /** Null: as a new table has them. */
  readonly grants: readonly Grant[] | null;
  /** The owner was taken rights that an owner has by himself. */
  readonly isOwnerCut: boolean;
  readonly columnGrants: readonly Grant[];
  readonly columns: readonly LeafColumn[];
  readonly publications: readonly Publication[];
  /** What a new partition does not get: `trigger t`, `index i`. */
  readonly extras: readonly string[];
}

const grantsFrom = (source: string, column: string) => `
  SELECT json_agg(json_build_object('grantee', CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END,
                                    'privilege', a.privilege_type, 'grantable', a.is_grantable, 'column', ${column})
                  ORDER BY a.grantee, a.privilege_type)
  FROM ${source}`;

const columnGrants = grantsFrom(
  `pg_attribute b, LATERAL aclexplode(b.attacl) a WHERE b.attrelid = c.oid AND b.attacl IS NOT NULL AND NOT b.attisdropped`,
  'b.attname',
);

const storage = `CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END`;
const compression = `CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE 'default' END`;

const columnsBeside = (parent: number) => `
  SELECT json_agg(json_build_object('name', a.attname, 'statistics', nullif(a.attstattarget, -1),
           'options', coalesce(to_json(a.attoptions), '[]'), 'comment', col_description(a.attrelid, a.attnum),
           'storage', CASE WHEN a.attstorage <> p.attstorage THEN ${storage} END,
           'compression', CASE WHEN a.attcompression <> p.attcompression THEN ${compression} END) ORDER BY a.attnum)
  FROM pg_attribute a JOIN pg_attribute p ON p.attrelid = ${parent}::oid AND p.attname = a.attname
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`;

const policies = `
  SELECT json_agg(json_build_object('name', polname, 'permissive', polpermissive, 'command',
           CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           'roles', (SELECT json_agg(CASE WHEN r <> 0 THEN pg_get_userbyid(r) END) FROM unnest(polroles) r),
           'using', pg_get_expr(polqual, polrelid), 'check', pg_get_expr(polwithcheck, polrelid)) ORDER BY polname)
  FROM pg_policy WHERE polrelid = c.oid`;

const publications = (versionNumber: number) => `
  SELECT json_agg(json_build_object('name', p.pubname, ${
    versionNumber >= 150000
      ? `'columns', (SELECT json_agg(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY (r.prattrs)),
         'filter', pg_get_expr(r.prqual, r.prrelid)`
      : `'columns', NULL, 'filter', NULL`
  }) ORDER BY p.pubname)
  FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = c.oid`;

const extras = `
  SELECT json_agg(what ORDER BY what) FROM (
    SELECT 'trigger ' || tgname AS what FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgparentid = 0
      AND tgname NOT LIKE '${copyTrigger.replaceAll('_', '\\_')}%'
    UNION ALL
    SELECT 'index ' || indexrelid::regclass FROM pg_index
    WHERE indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    UNION ALL
    SELECT 'constraint ' || conname FROM pg_constraint
    WHERE conrelid = c.oid AND (contype = 'c' AND coninhcount = 0 OR contype = 'f' AND conparentid = 0)
    UNION ALL
    SELECT 'rule ' || rulename FROM pg_rewrite WHERE ev_class = c.oid) e`;

/** What a plain partition has of its own. `parent` and `oid` are those of the table and of the partition. */
export async function findLeaf(sql: Sql, versionNumber: number, parent: number, oid: number): Promise<Leaf> {
  const [leaves] = await askTogether(sql, [], [leavesQuestion(versionNumber, parent, [oid])]);
  return leafOf(leaves, oid);
}

/** Asks the same of some of them, by their oids. */
export function leavesQuestion(
  versionNumber: number,
  parent: number,
  oids: readonly number[],
): Question<ReadonlyMap<number, Leaf>> {
  return {
    sql: `SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
            c.relpersistence = 'u' AS unlogged, coalesce(to_json(c.reloptions), '[]') AS options,
            coalesce((SELECT to_json(t.reloptions) FROM pg_class t WHERE t.oid = c.reltoastrelid), '[]') AS "toastOptions",
            (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace) AS tablespace,
            (SELECT nullif(amname, current_setting('default_table_access_method')) FROM pg_am WHERE oid = c.relam) AS "accessMethod",
            c.relreplident AS "replicaIdentity",
            (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = c.oid AND i.indisreplident) AS "replicaColumns",
            c.relrowsecurity AS "rowSecurity", c.relforcerowsecurity AS "forceRowSecurity",
            coalesce((${policies}), '[]') AS policies, obj_description(c.oid, 'pg_class') AS comment,
            CASE WHEN c.relacl IS NOT NULL THEN (${grantsFrom('aclexplode(c.relacl) a', 'NULL')}) END AS grants,
            (SELECT count(*) FROM aclexplode(acldefault('r', c.relowner))) >
              (SELECT count(*) FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) WHERE grantee = c.relowner) AS "isOwnerCut",
            coalesce((${columnGrants}), '[]') AS "columnGrants",
            (${columnsBeside(parent)}) AS columns, coalesce((${publications(versionNumber)}), '[]') AS publications,
            coalesce((${extras}), '[]') AS extras
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ('{${oids.join()}}'::oid[])`,
    read: (rows: (Omit<Leaf, 'name'> & QualifiedName & { readonly oid: number })[]) =>
      new Map(rows.map(({ oid, schema, name, ...leaf }) => [oid, { ...leaf, name: { schema, name } }])),
  };
}

/** One of the answers. */
export function leafOf(leaves: ReadonlyMap<number, Leaf>, oid: number): Leaf {
  const leaf = leaves.get(oid);
  if (leaf) return leaf;
  throw new Error(`there is no relation with the oid ${oid}`);
}
