import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import { isServerError } from './explain-error.ts';
import { quoteIdentifier } from './identifiers.ts';

/**
 * Makes the session act as `role`; through a pooler, where it would stay in somebody's session, it is tried and
 * undone. Throws when there is no such role, or `user` may not become it.
 */
export async function takeRole(
  sql: Sql,
  role: string,
  { user, pooled }: { readonly user: string; readonly pooled: boolean },
): Promise<void> {
  // PostgreSQL takes it for no role at all, in quotes too.
  if (role === 'none') throw new EduschemaError('config-invalid', 'no role can be called none', noRole);
  const name = quoteIdentifier(role);
  try {
    await sql.unsafe(pooled ? `BEGIN; SET LOCAL ROLE ${name}; ROLLBACK` : `SET ROLE ${name}`);
  } catch (cause) {
    // The server ends what is left of a message, but not its transaction.
    if (pooled) await sql.unsafe('ROLLBACK').catch(() => {});
    if (!isServerError(cause)) throw cause;
    if (cause.code === '42501')
      throw new EduschemaError('permission-denied', `${user} may not become the role ${role}`, {
        hint: `GRANT ${name} TO ${quoteIdentifier(user)}, or leave --role out`,
        cause,
      });
    if (cause.code !== '22023') throw cause;
    throw new EduschemaError('config-invalid', `there is no role ${role}`, {
      hint: `CREATE ROLE ${name}, or name another with --role`,
      cause,
    });
  }
}

const noRole = { hint: 'leave --role out to work as the user who logs in' };
