import { isServerError } from '../../db/explain-error.ts';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';
import type { IndexDefinition, TableDescription } from '../convert/table-description.ts';

/**
 * Throws `table-unsuitable` when a row of another partition has a key that the old table has as well, or that another of
 * them has: the table as it was is to be unique over it. Keys with expressions, and of a part of the rows, are looked at when rows are moved.
 */
export async function checkDuplicates(
  worker: Worker,
  table: TableDescription,
  old: TableDescription,
  { lost, newer }: { readonly lost: readonly IndexDefinition[]; readonly newer: readonly QualifiedName[] },
): Promise<void> {
  if (newer.length === 0) return;
  const { sql } = worker.session;
  for (const { keys, partial } of lost) {
    if (partial || keys.includes(null)) continue;
    const columns = (keys as string[]).map(quoteIdentifier);
    const same = columns.map((column) => `o.${column} = n.${column}`).join(' AND ');
    const shownKey = `concat_ws(', ', ${columns.map((column) => `n.${column}`).join(', ')})`;
    const reading = sql.begin('READ ONLY', async (inside) => {
      await inside.unsafe('SET LOCAL row_security = off');
      return inside.unsafe<{ key: string }[]>(
        `WITH newer AS MATERIALIZED (${newer.map((name) => `SELECT ${columns.join(', ')} FROM ${quoteName(name)}`).join(' UNION ALL ')})
         SELECT ${shownKey} AS key FROM newer n WHERE EXISTS (SELECT FROM ONLY ${quoteName(old)} o WHERE ${same})
         UNION ALL SELECT ${shownKey} FROM newer n GROUP BY ${columns.map((column) => `n.${column}`).join(', ')} HAVING count(*) > 1
         LIMIT 1`,
      );
    });
    const [twice] = await reading.catch((error) => {
      // Policies bind the owner too: what is there twice then shows when rows are moved.
      if (isServerError(error) && error.code === '42501') return [];
      throw error;
    });
    if (twice)
      throw new EduschemaError(
        'table-unsuitable',
        `${shown(table)} as it was cannot take the rows that it has now: (${keys.join(', ')}) = (${twice.key}) is there twice`,
        {
          hint: 'change or delete one of the two, and run the command again; nothing that anybody uses was changed',
        },
      );
  }
}
