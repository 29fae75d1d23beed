import { accessList, isMember, userOf } from './catalogue-sql.ts';

/**
 * Queries that describe tables, views and sequences, and what hangs on them: each row has a kind, a name, and as text
 * all that DDL sets. They build on the tables `namespace`, `relation` and `member` of describeSchema.
 */
export const relationFacts: readonly string[] = [
  `SELECT r.word, r.name, ROW(c.relkind, c.relpersistence, ${userOf('c.relowner')}, m.amname, s.spcname, c.reloptions, w.reloptions,
            c.relrowsecurity, c.relforcerowsecurity, c.relreplident, nullif(c.reloftype, 0)::regtype, f.srvname, e.ftoptions,
            pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), h.parents,
            CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)::text
   FROM relation r JOIN pg_class c USING (oid)
   LEFT JOIN pg_am m ON m.oid = c.relam
   LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
   LEFT JOIN pg_class w ON w.oid = c.reltoastrelid
   LEFT JOIN pg_foreign_table e ON e.ftrelid = c.oid LEFT JOIN pg_foreign_server f ON f.oid = e.ftserver
   LEFT JOIN (SELECT inhrelid, string_agg(ROW(inhparent::regclass, inhdetachpending)::text, ',' ORDER BY inhseqno) AS parents
              FROM pg_inherits GROUP BY inhrelid) h ON h.inhrelid = c.oid
   WHERE c.relkind <> 'S'`,

  `SELECT 'columns of ' || r.word, r.name, string_agg(quote_ident(a.attname), ',' ORDER BY a.attnum)
   FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
   WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S' GROUP BY r.word, r.name`,

  `SELECT 'column', format('%s.%I', r.name, a.attname),
          ROW(format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
            nullif(a.attcollation, 0)::regcollation, a.attstorage, a.attcompression, a.attstattarget, a.attoptions,
            a.attfdwoptions, a.attislocal, a.attinhcount)::text
   FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'`,

  `SELECT 'sequence', r.name, ROW(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
            c.relpersistence, ${userOf('c.relowner')},
            (SELECT format('%s.%I %s', d.refobjid::regclass, a.attname, d.deptype) FROM pg_depend d
             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
               AND d.deptype IN ('a', 'i') LIMIT 1))::text
   FROM relation r JOIN pg_class c USING (oid) JOIN pg_sequence s ON s.seqrelid = c.oid`,

  `SELECT 'privileges on ' || r.word, r.name, ${accessList('c.relacl')}
   FROM relation r JOIN pg_class c USING (oid)
   WHERE c.relacl IS NOT NULL AND ${accessList('c.relacl')} <> ${accessList(
     `acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)`,
   )}`,

  `SELECT 'privileges on column', format('%s.%I', r.name, a.attname), ${accessList('a.attacl')}
   FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
   WHERE a.attacl IS NOT NULL AND a.attacl <> '{}' AND NOT a.attisdropped`,

  `SELECT 'constraint', format('%s.%I', r.name, o.conname),
          ROW(pg_get_constraintdef(o.oid), o.convalidated, o.conislocal, o.coninhcount, t.states)::text
   FROM relation r JOIN pg_constraint o ON o.conrelid = r.oid
   LEFT JOIN (SELECT tgconstraint, string_agg(DISTINCT tgenabled::text, ',') AS states
              FROM pg_trigger WHERE tgisinternal GROUP BY tgconstraint) t ON t.tgconstraint = o.oid`,

  `SELECT 'index', format('%I.%I on %s', n.nspname, c.relname, r.name),
          ROW(pg_get_indexdef(c.oid), x.indisvalid, x.indisready, x.indisclustered, x.indisreplident, s.spcname,
            h.inhparent::regclass, a.targets)::text
   FROM relation r JOIN pg_index x ON x.indrelid = r.oid
   JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
   LEFT JOIN pg_inherits h ON h.inhrelid = c.oid
   LEFT JOIN (SELECT attrelid, string_agg(format('%s=%s', attnum, attstattarget), ',' ORDER BY attnum) AS targets
              FROM pg_attribute WHERE attstattarget >= 0 GROUP BY attrelid) a ON a.attrelid = c.oid`,

  `SELECT 'comment on index', format('%s on %s', x.indexrelid::regclass, r.name), d.description
   FROM relation r JOIN pg_index x ON x.indrelid = r.oid
   JOIN pg_description d ON d.objoid = x.indexrelid AND d.classoid = 'pg_class'::regclass`,

  `SELECT 'trigger', format('%s.%I', r.name, t.tgname), ROW(pg_get_triggerdef(t.oid), t.tgenabled)::text
   FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal`,

  `SELECT 'rule', format('%s.%I', r.name, w.rulename), ROW(pg_get_ruledef(w.oid), w.ev_enabled)::text
   FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'`,

  `SELECT 'policy', format('%s.%I', r.name, p.polname), ROW(p.polcmd, p.polpermissive,
            ARRAY(SELECT CASE o WHEN 0 THEN 'public' ELSE ${userOf('o')} END COLLATE "C" FROM unnest(p.polroles) o ORDER BY 1),
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))::text
   FROM relation r JOIN pg_policy p ON p.polrelid = r.oid`,

  `SELECT 'statistics', format('%I.%I', n.nspname, s.stxname),
          ROW(pg_get_statisticsobjdef(s.oid), ${userOf('s.stxowner')}, s.stxstattarget)::text
   FROM relation r JOIN pg_statistic_ext s ON s.stxrelid = r.oid JOIN pg_namespace n ON n.oid = s.stxnamespace
   WHERE NOT ${isMember('pg_statistic_ext', 's.oid')}`,

  `SELECT 'comment on ' || CASE WHEN d.objsubid = 0 THEN r.word ELSE 'column' END,
          r.name || CASE WHEN d.objsubid = 0 THEN '' ELSE '.' || quote_ident(a.attname) END, d.description
   FROM relation r JOIN pg_description d ON d.objoid = r.oid AND d.classoid = 'pg_class'::regclass
   LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.objsubid
   WHERE d.objsubid = 0 OR NOT a.attisdropped`,
];
