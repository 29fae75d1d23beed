import { type Database, type SessionOptions, withDatabase } from '../db/connect.ts';
import type { Target } from '../db/target.ts';

/** How sessions of ours are seen. */
export const session: SessionOptions = { applicationName: 'eduschema testdb' };

/** Opens a database of the server in which nothing is done: `postgres`, or the target's own where that is out of reach. */
export async function withServer<T>(target: Target, use: (admin: Database) => Promise<T>): Promise<T> {
  let begun = false;
  const enter = (admin: Database) => {
    begun = true;
    return use(admin);
  };
  try {
    return await withDatabase({ ...target, database: 'postgres' }, session, enter);
  } catch (error) {
    if (begun) throw error;
    return withDatabase(target, session, enter);
  }
}
