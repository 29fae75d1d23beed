import type { Sql, TransactionSql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { dependentsOf } from './describe-dependents.ts';
import { checksOf, foreignKeysOf, incomingKeysOf, indexesOf } from './describe-keys.ts';
import { policyFields } from './describe-policy.ts';
import { grantsOf, listOf } from './describe-sql.ts';
import { workSuffix } from './names.ts';
import type { TableDescription } from './table-description.ts';

const columnsOf = listOf(
  `jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
     'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
     'collation', CASE WHEN a.attcollation <> y.typcollation THEN a.attcollation::regcollation::text END,
     'storage', a.attstorage, 'compression', a.attcompression, 'statisticsTarget', nullif(a.attstattarget, -1),
     'options', coalesce(to_jsonb(a.attoptions), '[]'), 'grants', ${grantsOf('a.attacl')},
     'comment', col_description(a.attrelid, a.attnum))`,
  'a.attnum',
  `pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`,
);

const sequencesOf = listOf(
  `jsonb_build_object('column', a.attname, 'schema', sn.nspname, 'name', s.relname, 'isIdentity', d.deptype = 'i',
     'type', format_type(q.seqtypid, NULL), 'start', q.seqstart::text, 'increment', q.seqincrement::text,
     'min', q.seqmin::text, 'max', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', q.seqcycle,
     'owner', pg_get_userbyid(s.relowner), 'grants', ${grantsOf(`coalesce(s.relacl, acldefault('s', s.relowner))`)},
     'hasPlainRights', s.relacl IS NULL,
     'comment', obj_description(s.oid, 'pg_class'))`,
  'a.attnum, s.relname',
  `pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
   JOIN pg_namespace sn ON sn.oid = s.relnamespace
   JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype IN ('a', 'i')`,
);

const triggersOf = listOf(
  `jsonb_build_object('name', t.tgname, 'definition', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled,
     'forEachRow', t.tgtype & 1 > 0, 'before', t.tgtype & 2 > 0, 'seesTables', coalesce(t.tgoldtable, t.tgnewtable) IS NOT NULL,
     'asksForName', f.prosrc ~* 'tg_(table_name|relname|relid)',
     'assigns', (SELECT coalesce(jsonb_agg(DISTINCT lower(m[1])), '[]') FROM regexp_matches(f.prosrc, '\\mnew\\."?(\\w+)"?\\s*:?=', 'gi') m),
     'comment', obj_description(t.oid, 'pg_trigger'))`,
  't.tgname',
  `pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname !~ '^eduschema_'`,
);

const rulesOf = listOf(
  `jsonb_build_object('name', r.rulename, 'definition', pg_get_ruledef(r.oid), 'enabled', r.ev_enabled,
     'comment', obj_description(r.oid, 'pg_rewrite'))`,
  'r.rulename',
  `pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'`,
);

const statisticsOf = listOf(
  `jsonb_build_object('schema', sn.nspname, 'name', s.stxname, 'columns', pg_get_statisticsobjdef_columns(s.oid),
     'kinds', (SELECT coalesce(jsonb_agg(CASE k WHEN 'd' THEN 'ndistinct' WHEN 'f' THEN 'dependencies' ELSE 'mcv' END ORDER BY k), '[]')
               FROM unnest(s.stxkind) k WHERE k <> 'e'),
     'mine', pg_has_role(s.stxowner, 'USAGE'), 'owner', pg_get_userbyid(s.stxowner),
     'target', nullif(s.stxstattarget, -1), 'comment', obj_description(s.oid, 'pg_statistic_ext'))`,
  's.stxname',
  `pg_statistic_ext s JOIN pg_namespace sn ON sn.oid = s.stxnamespace WHERE s.stxrelid = c.oid`,
);

const policiesOf = listOf(
  `jsonb_build_object(${policyFields})`,
  'p.polname',
  'pg_policy p WHERE p.polrelid = c.oid',
);

/** Row filters, column lists and schemas are of PostgreSQL 15. */
function publicationsOf(versionNumber: number): string {
  const modern = versionNumber >= 150000;
  const columns = modern
    ? `(SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs))`
    : 'NULL';
  const filter = modern ? 'pg_get_expr(r.prqual, r.prrelid)' : 'NULL';
  const bySchema = modern
    ? 'OR EXISTS (SELECT FROM pg_publication_namespace pn WHERE pn.pnpubid = p.oid AND pn.pnnspid = c.relnamespace)'
    : '';
  const otherBySchema = modern
    ? 'OR EXISTS (SELECT FROM pg_publication_namespace pn WHERE pn.pnpubid = p.oid AND pn.pnnspid = o.relnamespace)'
    : '';
  return listOf(
    `jsonb_build_object('name', p.pubname, 'owner', pg_get_userbyid(p.pubowner), 'mine', pg_has_role(p.pubowner, 'USAGE'),
       'listed', r.oid IS NOT NULL, 'columns', ${columns}, 'filter', ${filter}, 'viaRoot', p.pubviaroot,
       'hasPartitioned', EXISTS (
         SELECT FROM pg_class o WHERE o.relkind = 'p' AND o.oid <> c.oid AND NOT o.relispartition AND o.relname !~ '${workSuffix}$'
         AND (p.puballtables OR EXISTS (SELECT FROM pg_publication_rel x WHERE x.prpubid = p.oid AND x.prrelid = o.oid) ${otherBySchema})))`,
    'p.pubname',
    `pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
     WHERE r.oid IS NOT NULL OR (p.puballtables AND c.relpersistence = 'p') ${bySchema}`,
  );
}

const describe = (versionNumber: number) => `
  SELECT jsonb_build_object(
    'server', ${versionNumber}, 'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner),
    'mine', pg_has_role(c.relowner, 'USAGE'), 'kind', c.relkind, 'persistence', c.relpersistence,
    'fileNode', pg_relation_filenode(c.oid)::int8, 'isPartition', c.relispartition, 'typed', c.reloftype <> 0,
    'parents', (SELECT count(*) FROM pg_inherits WHERE inhrelid = c.oid),
    'children', (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid),
    'extension', (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass
                  AND d.deptype = 'e' LIMIT 1),
    'accessMethod', (SELECT amname FROM pg_am WHERE oid = c.relam),
    'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
    'options', coalesce(to_jsonb(c.reloptions), '[]') || coalesce(
      (SELECT jsonb_agg('toast.' || o) FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = c.reltoastrelid), '[]'),
    'replicaIdentity', c.relreplident, 'rowSecurity', c.relrowsecurity, 'forcesRowSecurity', c.relforcerowsecurity,
    'securityLabels', (SELECT count(*) FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = c.oid),
    'isSubscribed', EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = c.oid),
    'comment', obj_description(c.oid, 'pg_class'),
    'grants', ${grantsOf(`coalesce(c.relacl, acldefault('r', c.relowner))`)},
    'hasPlainRights', c.relacl IS NULL,
    'defaultGrantees', (SELECT coalesce(jsonb_agg(DISTINCT CASE WHEN e.grantee <> 0 THEN pg_get_userbyid(e.grantee) END), '[]')
                        FROM pg_default_acl d, aclexplode(d.defaclacl) e
                        WHERE d.defaclobjtype IN ('r', 'S') AND d.defaclnamespace IN (0, c.relnamespace) AND e.grantee <> d.defaclrole),
    'columns', ${columnsOf}, 'sequences', ${sequencesOf}, 'indexes', ${indexesOf(workSuffix)}, 'checks', ${checksOf},
    'foreignKeys', ${foreignKeysOf}, 'incomingKeys', ${incomingKeysOf}, 'triggers', ${triggersOf}, 'rules', ${rulesOf},
    'policies', ${policiesOf}, 'publications', ${publicationsOf(versionNumber)}, 'statistics', ${statisticsOf},
    'dependents', ${dependentsOf}) AS description
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass($1)`;

/**
 * Describes a table in a transaction of the caller's, whose `search_path` is empty and whose zone is UTC from then
 * on: definitions name everything with its schema. Undefined when there is no relation of that name.
 */
export async function describeTable(
  sql: Sql | TransactionSql,
  name: QualifiedName,
  versionNumber: number,
): Promise<TableDescription | undefined> {
  // Planning takes longer than the answer, which is awaited under a lock: a session plans it once.
  await sql.unsafe(
    `SET LOCAL search_path = ''; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres';
     SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off`,
  );
  const [row] = await sql.unsafe<{ description: string }[]>(
    `SELECT description::text FROM (${describe(versionNumber)}) d`,
    [quoteName(name)],
    { prepare: true },
  );
  return row && JSON.parse(row.description);
}
