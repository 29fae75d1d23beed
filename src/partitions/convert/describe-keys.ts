import { listOf } from './describe-sql.ts';

/** SQL for the indexes, without those of eduschema's at work, whose names end in `suffix`. */
export const indexesOf = (suffix: string) =>
  listOf(
    `jsonb_build_object('oid', i.oid::int8, 'name', i.relname, 'unique', x.indisunique,
     'valid', x.indisvalid AND x.indisready AND x.indislive, 'clustered', x.indisclustered, 'identifies', x.indisreplident,
     'keys', (SELECT jsonb_agg(a.attname ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY k (attnum, n)
              LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum AND k.attnum > 0 WHERE k.n <= x.indnkeyatts),
     'includes', (SELECT coalesce(jsonb_agg(a.attname ORDER BY k.n), '[]') FROM unnest(x.indkey) WITH ORDINALITY k (attnum, n)
              JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum WHERE k.n > x.indnkeyatts),
     'partial', x.indpred IS NOT NULL,
     'using', substr(pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END,
              i.relname, CASE WHEN c.relkind = 'p' THEN 'ONLY ' END, n.nspname, c.relname)) + 1),
     'options', coalesce(to_jsonb(i.reloptions), '[]'),
     'nullsNotDistinct', coalesce(to_jsonb(x)->>'indnullsnotdistinct', 'false')::bool,
     'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = i.reltablespace), 'comment', obj_description(i.oid, 'pg_class'),
     'constraint', (SELECT jsonb_build_object('name', o.conname, 'type', o.contype, 'deferrable', o.condeferrable,
                      'deferred', o.condeferred, 'temporal', coalesce(to_jsonb(o)->>'conperiod', 'false')::bool,
                      'comment', obj_description(o.oid, 'pg_constraint'))
                    FROM pg_constraint o WHERE o.conindid = i.oid AND o.conrelid = c.oid AND o.contype IN ('p', 'u', 'x')))`,
    'i.oid',
    `pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid AND i.relname !~ '${suffix}$'`,
  );

/** SQL for CHECK constraints and named NOT NULL ones, without those of eduschema's at work. */
export const checksOf = listOf(
  `jsonb_build_object('name', o.conname, 'type', o.contype, 'definition', pg_get_constraintdef(o.oid), 'validated', o.convalidated,
     'column', CASE WHEN o.contype = 'n' THEN (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = o.conkey[1]) END,
     'enforced', coalesce(to_jsonb(o)->>'conenforced', 'true')::bool, 'inheritable', NOT o.connoinherit,
     'comment', obj_description(o.oid, 'pg_constraint'))`,
  'o.conname',
  `pg_constraint o WHERE o.conrelid = c.oid AND o.contype IN ('c', 'n') AND o.conname !~ '^eduschema_'`,
);

const nameOf = (relation: string) =>
  `(SELECT jsonb_build_object('schema', rn.nspname, 'name', rc.relname) FROM pg_class rc
    JOIN pg_namespace rn ON rn.oid = rc.relnamespace WHERE rc.oid = ${relation})`;

/** SQL for the foreign keys of the table. */
export const foreignKeysOf = listOf(
  `jsonb_build_object('name', o.conname, 'definition', pg_get_constraintdef(o.oid), 'validated', o.convalidated,
     'enforced', coalesce(to_jsonb(o)->>'conenforced', 'true')::bool, 'references', ${nameOf('o.confrelid')},
     'comment', obj_description(o.oid, 'pg_constraint'))`,
  'o.conname',
  `pg_constraint o WHERE o.conrelid = c.oid AND o.contype = 'f' AND o.conparentid = 0`,
);

/** SQL for the foreign keys that reference the table. */
export const incomingKeysOf = listOf(
  `jsonb_build_object('name', o.conname, 'table', ${nameOf('o.conrelid')}, 'tableKind', r.relkind,
     'mine', pg_has_role(r.relowner, 'USAGE'), 'owner', pg_get_userbyid(r.relowner),
     'keys', (SELECT jsonb_agg(a.attname ORDER BY k.n) FROM unnest(o.confkey) WITH ORDINALITY k (attnum, n)
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum),
     'definition', pg_get_constraintdef(o.oid), 'validated', o.convalidated, 'comment', obj_description(o.oid, 'pg_constraint'))`,
  'o.conrelid, o.conname',
  `pg_constraint o JOIN pg_class r ON r.oid = o.conrelid
   WHERE o.confrelid = c.oid AND o.contype = 'f' AND o.conparentid = 0`,
);
