import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import type { Session } from './connect.ts';
import { quoteIdentifier } from './identifiers.ts';

/**
 * Whether a pooler stands between us and the server. A server begins a connection with the process id of its
 * session, for CancelRequest; a pooler, which has no session yet, makes a number up. `pid` is what the session itself
 * says. Does not depend on which session a pooler happens to lend.
 */
export function isPooled(cancelKey: Buffer | undefined, pid: number): boolean {
  return cancelKey === undefined || cancelKey.readInt32BE(0) !== pid;
}

/** Throws when the pooler gives each statement another session: what belongs together could not be kept together. */
export async function forbidStatementPooling({ sql, tap }: Pick<Session, 'sql' | 'tap'>): Promise<void> {
  tap.reset();
  try {
    await sql.unsafe('BEGIN');
    await sql.unsafe('ROLLBACK');
  } catch (cause) {
    // It ends the connection, and then the driver forgets why.
    const said = tap.answers.map(({ error }) => error?.get('M') ?? '');
    if (!said.some((text) => text.includes('statement pooling'))) throw cause;
    throw new EduschemaError(
      'pooler-unsuitable',
      'the pooler is in statement mode, in which there are no transactions',
      { hint: 'connect to the server directly, or to a pooler in transaction or session mode', cause },
    );
  }
}

/**
 * `sql` for single statements, each in a transaction in which `role` is set: through a pooler nothing else would hold.
 * A message that begins a transaction itself gets the role inside of that.
 */
export function sqlAs(sql: Sql, role: string): Sql {
  const inRole = <T>(send: (sql: Sql) => Promise<T>) =>
    sql.begin(async (transaction) => {
      await transaction.unsafe(`SET LOCAL ROLE ${quoteIdentifier(role)}`);
      return send(transaction as unknown as Sql);
    });
  return new Proxy(sql, {
    apply(target, self, args: unknown[]) {
      const isQuery = Array.isArray(args[0]) && 'raw' in args[0];
      if (!isQuery) return Reflect.apply(target, self, args);
      return inRole((transaction) => Reflect.apply(transaction, self, args));
    },
    get(target, name) {
      if (name !== 'unsafe') return Reflect.get(target, name);
      return (...[query, ...rest]: Parameters<Sql['unsafe']>) => {
        // The driver takes a connection for free when a COMMIT comes before its own.
        const own = /^\s*(?:ROLLBACK\s*$|BEGIN\b[^;]*;)/i.exec(query)?.[0];
        if (own === undefined) return inRole((transaction) => transaction.unsafe(query, ...rest));
        const setRole = own.endsWith(';') ? ` SET LOCAL ROLE ${quoteIdentifier(role)};` : '';
        return target.unsafe(own + setRole + query.slice(own.length), ...rest);
      };
    },
  });
}
