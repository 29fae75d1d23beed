import type { Sql } from 'postgres';

// Everything a person made, one line each. Objects of extensions and of the server itself are left out, and so is what
// no DDL sets: OIDs, statistics, sequence positions, the order of columns' numbers after a drop.
const USER_SCHEMA = `n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'`;
const notOfExtension = (catalogue: string, oid: string) =>
  `not exists (select from pg_depend x where x.classid = '${catalogue}'::regclass and x.objid = ${oid} and x.deptype = 'e')`;
// An access list that was granted and revoked again is written out, one that was never touched is null: the same rights.
const acl = (list: string, kind: string, owner: string) =>
  `(select string_agg(format('%s=%s%s by %s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end,
      a.privilege_type, case when a.is_grantable then '*' else '' end, pg_get_userbyid(a.grantor)), ', '
      order by 1, a.grantee, a.privilege_type) from aclexplode(coalesce(${list}, acldefault('${kind}', ${owner}))) a)`;

const QUESTIONS: readonly string[] = [
  `select format('schema %I owner %s acl %s', n.nspname, pg_get_userbyid(nspowner), ${acl('nspacl', 'n', 'nspowner')})
     from pg_namespace n where ${USER_SCHEMA}`,

  `select format('database acl %s', ${acl('datacl', 'd', 'datdba')}) from pg_database where datname = current_database()`,

  `select format('extension %I %s in %I', extname, extversion, n.nspname)
     from pg_extension e join pg_namespace n on n.oid = extnamespace`,

  `select format('relation %s.%I kind %s persistence %s owner %s options %s rls %s force %s replica %s partition key %s bound %s of %s acl %s',
            n.nspname, c.relname, relkind, relpersistence, pg_get_userbyid(relowner), reloptions, relrowsecurity, relforcerowsecurity,
            relreplident, pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid),
            (select string_agg(inhparent::regclass::text, ',' order by inhseqno) from pg_inherits where inhrelid = c.oid),
            ${acl('relacl', 'r', 'relowner')})
     from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f') and ${USER_SCHEMA} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select format('column %s.%s %s %s not null %s default %s identity %s generated %s collation %s storage %s acl %s',
            n.nspname, c.relname, a.attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity,
            attgenerated, nullif(attcollation, 0)::regcollation, attstorage, attacl)
     from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
     left join pg_attrdef d on adrelid = attrelid and adnum = attnum
    where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm', 'f', 'c') and ${USER_SCHEMA}
      and ${notOfExtension('pg_class', 'c.oid')}`,

  `select format('sequence %s.%I %s start %s by %s min %s max %s cache %s cycle %s owner %s owned by %s acl %s', n.nspname, c.relname,
            seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle, pg_get_userbyid(relowner),
            (select format('%s.%s', refobjid::regclass, attname) from pg_depend
               join pg_attribute on attrelid = refobjid and attnum = refobjsubid
              where classid = 'pg_class'::regclass and objid = c.oid and deptype in ('a', 'i') limit 1),
            ${acl('relacl', 's', 'relowner')})
     from pg_sequence s join pg_class c on c.oid = seqrelid join pg_namespace n on n.oid = relnamespace
    where ${USER_SCHEMA} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select format('constraint %I on %s %s validated %s', conname,
            coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), pg_get_constraintdef(o.oid), convalidated)
     from pg_constraint o join pg_namespace n on n.oid = connamespace where ${USER_SCHEMA}`,

  `select format('index %s valid %s ready %s clustered %s replica identity %s', pg_get_indexdef(indexrelid), indisvalid, indisready,
            indisclustered, indisreplident)
     from pg_index i join pg_class c on c.oid = indexrelid join pg_namespace n on n.oid = relnamespace
    where ${USER_SCHEMA} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select format('function %s owner %s acl %s: %s', p.oid::regprocedure, pg_get_userbyid(proowner), ${acl('proacl', 'f', 'proowner')},
            case prokind when 'a' then 'aggregate' else pg_get_functiondef(p.oid) end)
     from pg_proc p join pg_namespace n on n.oid = pronamespace where ${USER_SCHEMA} and ${notOfExtension('pg_proc', 'p.oid')}`,

  `select format('trigger %s enabled %s', pg_get_triggerdef(t.oid), tgenabled)
     from pg_trigger t join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = relnamespace
    where not tgisinternal and ${USER_SCHEMA}`,

  `select format('event trigger %I on %s tags %s runs %s enabled %s', evtname, evtevent, evttags, evtfoid::regproc, evtenabled) from pg_event_trigger`,

  `select format('view %s.%I: %s', n.nspname, c.relname, pg_get_viewdef(c.oid))
     from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind in ('v', 'm') and ${USER_SCHEMA} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select format('rule %s', pg_get_ruledef(r.oid)) from pg_rewrite r join pg_class c on c.oid = ev_class
     join pg_namespace n on n.oid = relnamespace where rulename <> '_RETURN' and ${USER_SCHEMA} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select format('policy %I on %s for %s permissive %s to %s using %s check %s', polname, polrelid::regclass, polcmd, polpermissive,
            (select string_agg(case r when 0 then 'public' else pg_get_userbyid(r) end, ',' order by 1) from unnest(polroles) r),
            pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy`,

  `select format('default privileges of %s in %s on %s: %s', pg_get_userbyid(defaclrole), nullif(defaclnamespace, 0)::regnamespace,
            defaclobjtype, defaclacl) from pg_default_acl`,

  `select format('type %s %s owner %s base %s not null %s default %s labels %s acl %s', t.oid::regtype, typtype, pg_get_userbyid(typowner),
            nullif(typbasetype, 0)::regtype, typnotnull, typdefault,
            (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = t.oid),
            ${acl('typacl', 'T', 'typowner')})
     from pg_type t join pg_namespace n on n.oid = typnamespace
    where typtype in ('d', 'e', 'r') and ${USER_SCHEMA} and ${notOfExtension('pg_type', 't.oid')}`,

  `select format('statistics %s', pg_get_statisticsobjdef(s.oid)) from pg_statistic_ext s join pg_namespace n on n.oid = stxnamespace
    where ${USER_SCHEMA}`,

  // Named by what they are about: an OID would differ after down and up.
  `select format('comment on %s %s: %s', i.type, i.identity, description)
     from pg_description, pg_identify_object(classoid, objoid, objsubid) i
    where i.schema is distinct from 'pg_catalog' and i.schema is distinct from 'information_schema'
      and i.identity not like 'pg\\_catalog.%' and i.identity not like 'information_schema.%'
      and i.type not in ('language', 'cast', 'operator family', 'operator class')
      and not exists (select from pg_depend x where x.classid = classoid and x.objid = objoid and x.deptype = 'e')`,
];

/**
 * Describes everything user-made in the database, one sorted line of text for each fact: two databases with the same
 * lines have the same catalogue. Partition bounds are read under UTC. Names are qualified with their schema.
 */
export async function describeCatalogue(sql: Sql): Promise<string[]> {
  const lines = await sql.begin('read only', async (transaction) => {
    await transaction.unsafe(
      `set local timezone = 'UTC'; set local search_path = ''; set local datestyle = 'ISO'`,
    );
    const answers: string[] = [];
    for (const question of QUESTIONS) {
      const rows = await transaction.unsafe<{ format: string }[]>(question);
      answers.push(...rows.map((row) => row.format));
    }
    return answers;
  });
  return lines.sort();
}
