import type { Sql } from 'postgres';
import type { OwnedByAnother } from './owners.ts';

/** What should not stay as it is in a database. */
export type Leftover = HalfDone | OwnedByAnother;

/** What a command that works in several steps, or puts work off, left in a database. */
export interface HalfDone {
  readonly kind: 'invalid index' | 'detach pending' | 'constraint not valid';
  /** The object's name, qualified and quoted where needed. */
  readonly name: string;
  /** The table that it belongs to. */
  readonly table: string;
  /** Identifies it as long as it is there. */
  readonly id: string;
  /** SQL that finishes the work, or takes it back. */
  readonly remedy: string;
}

/**
 * All invalid indexes, partitions that are being detached, and constraints that were not validated, outside
 * temporary schemas. Constraints that are NOT ENFORCED are as they were meant.
 */
export async function listHalfDone(sql: Sql): Promise<HalfDone[]> {
  return sql.unsafe<HalfDone[]>(`
    WITH relation AS (
      SELECT c.oid, c.relname, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname !~ '^pg_(temp|toast_temp)_'
    )
    SELECT 'invalid index' AS kind, i.name, t.name AS "table", 'index ' || i.oid AS id,
           CASE WHEN t.relkind = 'p' THEN 'ALTER INDEX ' || i.name || ' ATTACH PARTITION ...'
                ELSE 'DROP INDEX CONCURRENTLY ' || i.name END AS remedy
    FROM pg_catalog.pg_index x
    JOIN relation i ON i.oid = x.indexrelid
    JOIN (SELECT r.*, c.relkind FROM relation r JOIN pg_catalog.pg_class c USING (oid)) t ON t.oid = x.indrelid
    WHERE NOT x.indisvalid
    UNION ALL
    SELECT 'detach pending', p.name, t.name, 'detach ' || p.oid,
           format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', t.name, p.name)
    FROM pg_catalog.pg_inherits h JOIN relation p ON p.oid = h.inhrelid JOIN relation t ON t.oid = h.inhparent
    WHERE h.inhdetachpending
    UNION ALL
    SELECT 'constraint not valid', format('%I', c.conname), t.name, 'constraint ' || c.oid,
           format('ALTER TABLE %s VALIDATE CONSTRAINT %I', t.name, c.conname)
    FROM pg_catalog.pg_constraint c JOIN relation t ON t.oid = c.conrelid
    WHERE NOT c.convalidated AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false'
    ORDER BY 1, 3, 2`);
}

/** `index public.t_c of public.t is invalid`. */
export function describeLeftover(leftover: Leftover): string {
  if (leftover.kind === 'owned by another')
    return `${leftover.object} is owned by ${leftover.owner}, not by ${leftover.role}`;
  const { kind, name, table } = leftover;
  switch (kind) {
    case 'invalid index':
      return `index ${name} of ${table} is invalid`;
    case 'detach pending':
      return `partition ${name} of ${table} is being detached, and not yet done`;
    case 'constraint not valid':
      return `constraint ${name} of ${table} is not validated`;
  }
}
