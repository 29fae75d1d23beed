import { accessFacts, accessList, isMember, userOf } from './catalogue-sql.ts';

/** Objects with OIDs below this one come with every database. */
const firstOwnOid = 16384;

const routine = `format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))`;
const routines = `pg_proc p JOIN namespace n ON n.oid = p.pronamespace WHERE NOT ${isMember('pg_proc', 'p.oid')}`;
const typeName = `format('%I.%I', n.nspname, t.typname)`;
/** Neither the row types of tables nor arrays. */
const types = `pg_type t JOIN namespace n ON n.oid = t.typnamespace
  WHERE t.typrelid = 0 AND t.typcategory <> 'A' AND t.typtype <> 'm' AND NOT ${isMember('pg_type', 't.oid')}`;

/** Queries that describe what is no table and hangs on none; as in relationFacts. */
export const otherFacts: readonly string[] = [
  `SELECT 'schema', quote_ident(n.nspname), ${userOf('n.nspowner')} FROM namespace n
   WHERE NOT n.ignored AND NOT ${isMember('pg_namespace', 'n.oid')}`,
  accessFacts({
    word: 'schema',
    name: 'quote_ident(n.nspname)',
    list: 'n.nspacl',
    owner: 'n.nspowner',
    code: 'n',
    from: `namespace n WHERE NOT n.ignored AND NOT ${isMember('pg_namespace', 'n.oid')}`,
  }),
  `SELECT 'comment on schema', quote_ident(n.nspname), obj_description(n.oid, 'pg_namespace')
   FROM namespace n WHERE NOT n.ignored AND obj_description(n.oid, 'pg_namespace') IS NOT NULL`,

  accessFacts({
    word: 'database',
    // By no name: the same in a copy.
    name: `'itself'`,
    list: 'd.datacl',
    owner: 'd.datdba',
    code: 'd',
    from: 'pg_database d WHERE d.datname = current_database()',
  }),

  `SELECT 'extension', quote_ident(e.extname), ROW(e.extversion, e.extnamespace::regnamespace, ${userOf('e.extowner')})::text
   FROM pg_extension e`,

  `SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END, ${routine},
          ROW(CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END, ${userOf('p.proowner')},
            pg_get_function_result(p.oid), p.proparallel, a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
            a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn, a.aggfinalextra, a.aggfinalmodify,
            a.aggsortop::regoperator, a.aggtranstype::regtype, a.aggmtranstype::regtype, a.agginitval, a.aggminitval)::text
   FROM pg_proc p JOIN namespace n ON n.oid = p.pronamespace LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
   WHERE NOT ${isMember('pg_proc', 'p.oid')}`,
  accessFacts({
    word: 'function',
    name: routine,
    list: 'p.proacl',
    owner: 'p.proowner',
    code: 'f',
    from: routines,
  }),

  `SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, ${typeName},
          ROW(t.typtype, t.typisdefined, ${userOf('t.typowner')}, format_type(nullif(t.typbasetype, 0), t.typtypmod), t.typnotnull,
            t.typdefault, nullif(t.typcollation, 0)::regcollation,
            (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
            CASE WHEN t.typtype = 'b' THEN ROW(t.typinput, t.typoutput, t.typlen, t.typalign, t.typstorage, t.typcategory) END,
            (SELECT ROW(rngsubtype::regtype, rngmultitypid::regtype, nullif(rngcollation, 0)::regcollation, c.opcname, rngcanonical, rngsubdiff)
             FROM pg_range JOIN pg_opclass c ON c.oid = rngsubopc WHERE rngtypid = t.oid))::text
   FROM ${types}`,
  accessFacts({
    word: 'type',
    name: typeName,
    list: 't.typacl',
    owner: 't.typowner',
    code: 'T',
    from: types,
  }),
  `SELECT 'constraint', format('%I.%I.%I', n.nspname, t.typname, o.conname), ROW(pg_get_constraintdef(o.oid), o.convalidated)::text
   FROM pg_constraint o JOIN pg_type t ON t.oid = o.contypid JOIN namespace n ON n.oid = t.typnamespace
   WHERE NOT ${isMember('pg_type', 't.oid')}`,

  `SELECT 'default privileges', format('of %s%s on %s', ${userOf('a.defaclrole')}, ' in ' || nullif(a.defaclnamespace, 0)::regnamespace,
            a.defaclobjtype), ${accessList('a.defaclacl')}
   FROM pg_default_acl a`,

  `SELECT 'event trigger', quote_ident(e.evtname),
          ROW(e.evtevent, e.evttags, e.evtfoid::regprocedure, e.evtenabled, ${userOf('e.evtowner')})::text
   FROM pg_event_trigger e WHERE NOT ${isMember('pg_event_trigger', 'e.oid')}`,

  `SELECT 'publication', quote_ident(p.pubname), ROW(${userOf('p.pubowner')}, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete,
            p.pubtruncate, p.pubviaroot,
            ARRAY(SELECT (to_jsonb(t) - 'attnames')::text COLLATE "C" FROM pg_publication_tables t
                  JOIN relation r ON r.name = format('%I.%I', t.schemaname, t.tablename)
                  WHERE t.pubname = p.pubname AND NOT p.puballtables ORDER BY 1),
            ARRAY(SELECT format('%s %s', r.prrelid::regclass, to_jsonb(r)->'prattrs') COLLATE "C"
                  FROM pg_publication_rel r WHERE r.prpubid = p.oid ORDER BY 1))::text
   FROM pg_publication p`,

  `SELECT 'foreign-data wrapper', quote_ident(w.fdwname),
          ROW(${userOf('w.fdwowner')}, w.fdwhandler::regproc, w.fdwvalidator::regproc, w.fdwoptions, ${accessList('w.fdwacl')})::text
   FROM pg_foreign_data_wrapper w WHERE NOT ${isMember('pg_foreign_data_wrapper', 'w.oid')}`,

  `SELECT 'server', quote_ident(s.srvname), ROW(w.fdwname, s.srvtype, s.srvversion, s.srvoptions, ${userOf('s.srvowner')},
            ${accessList('s.srvacl')}, ARRAY(SELECT u.usename COLLATE "C" FROM pg_user_mappings u WHERE u.srvid = s.oid ORDER BY 1))::text
   FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw`,

  ...[
    // The locale's column has three names by now. The version of a collation is the library's.
    [
      'collation',
      'pg_collation',
      'collnamespace',
      `to_jsonb(o) - ARRAY['oid', 'collname', 'collnamespace', 'collowner', 'collversion'], ${userOf('collowner')}`,
    ],
    ['conversion', 'pg_conversion', 'connamespace', 'conforencoding, contoencoding, conproc, condefault'],
    [
      'operator',
      'pg_operator',
      'oprnamespace',
      'oprresult::regtype, oprcode, oprrest, oprjoin, oprcom::regoperator, oprnegate::regoperator, oprcanmerge, oprcanhash',
    ],
    [
      'operator class',
      'pg_opclass',
      'opcnamespace',
      'opcintype::regtype, opcdefault, nullif(opckeytype, 0)::regtype, (SELECT opfname FROM pg_opfamily f WHERE f.oid = opcfamily)',
    ],
    [
      'operator family',
      'pg_opfamily',
      'opfnamespace',
      `ARRAY(SELECT pg_describe_object('pg_amop'::regclass, a.oid, 0) COLLATE "C" FROM pg_amop a WHERE a.amopfamily = o.oid ORDER BY 1),
       ARRAY(SELECT pg_describe_object('pg_amproc'::regclass, a.oid, 0) COLLATE "C" FROM pg_amproc a WHERE a.amprocfamily = o.oid ORDER BY 1)`,
    ],
    [
      'text search configuration',
      'pg_ts_config',
      'cfgnamespace',
      `ARRAY(SELECT ROW(m.maptokentype, m.mapseqno, m.mapdict::regdictionary)::text FROM pg_ts_config_map m
             WHERE m.mapcfg = o.oid ORDER BY m.maptokentype, m.mapseqno)`,
    ],
    ['text search dictionary', 'pg_ts_dict', 'dictnamespace', 'dictinitoption'],
  ].map(
    ([word, catalogue, namespace, facts]) => `
    SELECT '${word}', i.identity, ROW(${facts})::text
    FROM ${catalogue} o JOIN namespace n ON n.oid = o.${namespace},
         pg_identify_object('${catalogue}'::regclass, o.oid, 0) i
    WHERE NOT ${isMember(catalogue as string, 'o.oid')}`,
  ),

  `SELECT 'cast', format('%s AS %s', c.castsource::regtype, c.casttarget::regtype),
          ROW(c.castfunc::regprocedure, c.castcontext, c.castmethod)::text
   FROM pg_cast c WHERE c.oid >= ${firstOwnOid} AND NOT ${isMember('pg_cast', 'c.oid')}`,

  `SELECT 'comment on ' || i.type, i.identity, d.description
   FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
   WHERE d.objoid >= ${firstOwnOid} AND d.classoid NOT IN ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_extension'::regclass)
     AND coalesce(i.schema, '') !~ '^pg_' AND NOT EXISTS (SELECT FROM member m WHERE m.classid = d.classoid AND m.objid = d.objoid)`,

  `SELECT 'security label on ' || i.type, format('%s by %s', i.identity, s.provider), s.label
   FROM pg_seclabel s, pg_identify_object(s.classoid, s.objoid, s.objsubid) i`,
];
