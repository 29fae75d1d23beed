import { policyFields } from './describe-policy.ts';
import { listOf } from './describe-sql.ts';

const ownedBy = (owner: string) =>
  `'owner', pg_get_userbyid(${owner}), 'mine', pg_has_role(${owner}, 'USAGE')`;

/** Objects of a catalogue that are bound to the table `c`, or to one of its columns. */
const boundIn = (catalogue: string, oid: string) =>
  `EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${oid}
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'n')`;

const boundRules = `pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
  JOIN pg_namespace vn ON vn.oid = v.relnamespace
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND v.oid <> c.oid`;

/** Each once, however many columns it needs. */
const rulesWhere = (condition: string, fields: string) =>
  `(SELECT coalesce(jsonb_agg(b.item ORDER BY b.item->>'schema', b.item->>'name', b.item::text), '[]') FROM (
    SELECT DISTINCT jsonb_build_object(${fields}) AS item FROM ${boundRules} AND ${condition}) b)`;

const viewsOf = rulesWhere(
  `v.relkind = 'v' AND r.rulename = '_RETURN'`,
  `'schema', vn.nspname, 'name', v.relname, 'definition', pg_get_viewdef(v.oid), 'options', coalesce(to_jsonb(v.reloptions), '[]'),
   ${ownedBy('v.relowner')}`,
);

const materializedViewsOf = rulesWhere(
  `v.relkind = 'm'`,
  `'schema', vn.nspname, 'name', v.relname, 'definition', pg_get_viewdef(v.oid), 'populated', v.relispopulated, ${ownedBy('v.relowner')}`,
);

const otherRulesOf = rulesWhere(
  `r.rulename <> '_RETURN'`,
  `'table', jsonb_build_object('schema', vn.nspname, 'name', v.relname), 'name', r.rulename, 'definition', pg_get_ruledef(r.oid),
   'enabled', r.ev_enabled, 'comment', obj_description(r.oid, 'pg_rewrite'), ${ownedBy('v.relowner')}`,
);

const functionsOf = listOf(
  `jsonb_build_object('identity', p.oid::regprocedure::text, 'definition', pg_get_functiondef(p.oid), ${ownedBy('p.proowner')})`,
  'p.oid::regprocedure::text',
  `pg_proc p WHERE ${boundIn('pg_proc', 'p.oid')}`,
);

const policiesOf = listOf(
  `jsonb_build_object('table', jsonb_build_object('schema', rn.nspname, 'name', r.relname), ${policyFields}, ${ownedBy('r.relowner')})`,
  'rn.nspname, r.relname, p.polname',
  `pg_policy p JOIN pg_class r ON r.oid = p.polrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
   WHERE p.polrelid <> c.oid AND ${boundIn('pg_policy', 'p.oid')}`,
);

/**
 * What is bound to the type of the table's rows, to the sequence of an identity, to one of its keys (a view that groups
 * by the primary key), and what else is bound to it and none of the above.
 */
const othersOf = `(SELECT coalesce(jsonb_agg(DISTINCT regexp_replace(pg_describe_object(d.classid, d.objid, d.objsubid), '^rule _RETURN on ', '')), '[]') FROM pg_depend d
  WHERE (d.deptype = 'n' OR d.deptype = 'a' AND d.classid = 'pg_type'::regclass) AND (
    d.refclassid = 'pg_type'::regclass AND d.refobjid IN (c.reltype, (SELECT typarray FROM pg_type WHERE oid = c.reltype))
      AND NOT (d.classid = 'pg_class'::regclass AND d.objid = c.oid)
    OR d.refclassid = 'pg_class'::regclass AND d.refobjid IN (
      SELECT s.oid FROM pg_depend i JOIN pg_class s ON s.oid = i.objid AND s.relkind = 'S'
      WHERE i.classid = 'pg_class'::regclass AND i.refclassid = 'pg_class'::regclass AND i.refobjid = c.oid AND i.deptype = 'i')
    OR d.refclassid = 'pg_constraint'::regclass AND d.classid <> 'pg_constraint'::regclass
      AND d.refobjid IN (SELECT oid FROM pg_constraint WHERE conrelid = c.oid)
    OR d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
      AND d.classid NOT IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass, 'pg_constraint'::regclass,
                            'pg_attrdef'::regclass, 'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass)
      AND NOT (d.classid = 'pg_trigger'::regclass AND EXISTS (
        SELECT FROM pg_trigger t WHERE t.oid = d.objid AND (t.tgrelid = c.oid OR t.tgisinternal)))
      AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (
        SELECT FROM pg_inherits h WHERE h.inhrelid = d.objid AND h.inhparent = c.oid))))`;

/** SQL for what is bound to the table, and must be bound to the one that takes its place. */
export const dependentsOf = `jsonb_build_object('views', ${viewsOf}, 'materializedViews', ${materializedViewsOf},
  'functions', ${functionsOf}, 'policies', ${policiesOf}, 'rules', ${otherRulesOf}, 'others', ${othersOf})`;
