import type { Sql } from 'postgres';
import { showName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { collidingIndexes, type Scope } from './scope.ts';

/**
 * Throws `permission-denied`, before anything is done, for what the role may not do or not see: a row that a policy hides
 * would not be moved, and then go by the cascade of the foreign key, which knows no policies.
 */
export async function checkRights(sql: Pick<Sql, 'unsafe'>, scope: Scope): Promise<void> {
  const { tables, references } = scope;
  const removesFrom = (number: number) =>
    number === 0 ||
    references.some(
      (reference) =>
        reference.child === number &&
        collidingIndexes(tables[number] as Scope['tables'][number], reference).length > 0,
    );
  const missing: string[] = [];
  for (const [number, table] of tables.entries()) {
    const wanted = ['SELECT', 'UPDATE', ...(removesFrom(number) ? ['DELETE'] : [])];
    const [found] = await sql.unsafe<[{ missing: string[]; hidden: boolean; role: string }]>(
      `SELECT pg_catalog.to_jsonb(ARRAY(SELECT w FROM pg_catalog.jsonb_array_elements_text($2::text::jsonb) w WHERE NOT has_table_privilege($1::text::oid, w)
                AND NOT (w = 'UPDATE' AND has_any_column_privilege($1::text::oid, w)))) AS missing,
              current_user AS role,
              row_security_active($1::text::oid) AND (${hides}) AS hidden`,
      [String(table.oid), JSON.stringify(wanted)],
    );
    const name = showName(table.name);
    if (found.missing.length > 0)
      missing.push(`${found.role} may not ${found.missing.join(', ')} on ${name}`);
    else if (found.hidden) missing.push(`policies hide rows of ${name} from ${found.role}`);
  }
  if (missing.length === 0) return;
  throw new EduschemaError('permission-denied', missing.join('; '), {
    hint: 'use a role that has these rights and sees all rows (--role); nothing was changed',
  });
}

/** Whether no policy lets the role at all rows, for reading and for writing, or a restrictive one stands before it. */
const hides = `EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::text::oid AND NOT p.polpermissive
    AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) r WHERE pg_has_role(r, 'usage'))))
  OR EXISTS (SELECT FROM unnest('{r,w,d}'::"char"[]) cmd WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::text::oid AND p.polpermissive AND p.polcmd IN ('*', cmd)
      AND pg_get_expr(p.polqual, p.polrelid) = 'true'
      AND (cmd <> 'w' OR coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true')
      AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) r WHERE pg_has_role(r, 'usage')))))`;
