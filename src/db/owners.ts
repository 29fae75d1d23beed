import type { Sql } from 'postgres';
import { quoteIdentifier, quoteLiteral } from './identifiers.ts';

/** Something in a database that another role owns than the one that should. */
export interface OwnedByAnother {
  readonly kind: 'owned by another';
  /** What it is and its name, qualified and quoted where needed: `table public.t`. */
  readonly object: string;
  readonly owner: string;
  /** The role that should own it. */
  readonly role: string;
  /** Identifies it as long as it is there. */
  readonly id: string;
  /** SQL that gives it to the role. */
  readonly remedy: string;
}

/** Catalogues whose objects have an owner that can be changed by whoever owns them, with owner and schema. */
const catalogues: readonly [name: string, owner: string, schema?: string, only?: string][] = [
  ['pg_class', 'relowner', 'relnamespace', `relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`],
  ['pg_proc', 'proowner', 'pronamespace'],
  // Not the row types of tables, nor what comes with a type of its own accord.
  [
    'pg_type',
    'typowner',
    'typnamespace',
    `(typrelid = 0 OR (SELECT relkind = 'c' FROM pg_catalog.pg_class WHERE oid = typrelid)) AND typtype <> 'm' AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = o.oid)`,
  ],
  ['pg_namespace', 'nspowner', 'oid'],
  ['pg_operator', 'oprowner', 'oprnamespace'],
  ['pg_opclass', 'opcowner', 'opcnamespace'],
  ['pg_opfamily', 'opfowner', 'opfnamespace'],
  ['pg_collation', 'collowner', 'collnamespace'],
  ['pg_conversion', 'conowner', 'connamespace'],
  ['pg_statistic_ext', 'stxowner', 'stxnamespace'],
  ['pg_ts_dict', 'dictowner', 'dictnamespace'],
  ['pg_ts_config', 'cfgowner', 'cfgnamespace'],
  ['pg_foreign_server', 'srvowner'],
  ['pg_publication', 'pubowner'],
];

/** Objects of the server itself have lower numbers: https://www.postgresql.org/docs/current/system-catalog-initial-data.html. */
const firstOwnObject = 16384;

/**
 * Ids of everything in the database that `role` does not own, outside temporary schemas. Left out is what is part of
 * something else: of an extension, a table's column (its sequence), a type (its functions).
 */
export async function listOwnedByOthers(sql: Sql, role: string): Promise<string[]> {
  const parts = catalogues.map(
    ([name, owner, schema = '0', only = 'true']) =>
      `SELECT '${name}'::pg_catalog.regclass AS classid, oid, ${schema} AS schema FROM pg_catalog.${name} o
       WHERE oid >= ${firstOwnObject} AND ${owner} <> (SELECT oid FROM role) AND ${only}`,
  );
  const rows = await sql.unsafe<{ id: string }[]>(`
    WITH role AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ${quoteLiteral(role)}),
    hidden AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(temp|toast)')
    SELECT classid::oid || ' ' || oid AS id FROM (${parts.join('\n UNION ALL ')}) found
    WHERE schema NOT IN (SELECT oid FROM hidden)
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = found.classid AND d.objid = found.oid AND d.objsubid = 0
          AND (d.deptype IN ('e', 'i') OR (d.deptype = 'a' AND d.refobjsubid > 0
            AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)))`);
  return rows.map(({ id }) => id);
}

/** Describes objects by their ids; those that are gone are left out. */
export async function describeOwned(
  sql: Sql,
  ids: readonly string[],
  role: string,
): Promise<OwnedByAnother[]> {
  if (ids.length === 0) return [];
  const owners = catalogues.map(
    ([name, owner]) =>
      `SELECT '${name}'::pg_catalog.regclass AS classid, oid, ${owner} AS owner FROM pg_catalog.${name}`,
  );
  const rows = await sql.unsafe<{ id: string; type: string; identity: string; owner: string }[]>(`
    SELECT wanted.id, named.type, named.identity, pg_catalog.pg_get_userbyid(owned.owner) AS owner
    FROM unnest(ARRAY[${ids.map(quoteLiteral).join(', ')}]) WITH ORDINALITY AS wanted (id, at)
    JOIN (${owners.join('\n UNION ALL ')}) owned
      ON owned.classid = split_part(wanted.id, ' ', 1)::oid AND owned.oid = split_part(wanted.id, ' ', 2)::oid,
    LATERAL pg_catalog.pg_identify_object(owned.classid, owned.oid, 0) named
    ORDER BY wanted.at`);
  return rows.map(({ id, type, identity, owner }) => ({
    kind: 'owned by another',
    object: `${type} ${identity}`,
    owner,
    role,
    id: `owner ${id}`,
    remedy: `ALTER ${wordFor(type)} ${identity} OWNER TO ${quoteIdentifier(role)}`,
  }));
}

/** What ALTER calls it. */
function wordFor(type: string): string {
  return type === 'statistics object' ? 'STATISTICS' : type.toUpperCase();
}
