import type { Sql } from 'postgres';
import { quoteIdentifier, quoteName, showName } from '../../../db/identifiers.ts';
import { EduschemaError } from '../../../errors.ts';
import type { Copy } from './plan-copy.ts';

/**
 * Compares the default partition with its copy, in one snapshot, in which the trigger keeps them alike: how many rows,
 * and a sum of hashes over all their columns. Throws `database-error` when they differ.
 */
export async function compareCopy(sql: Sql, { facts, from, parts, rest }: Copy): Promise<void> {
  const columns = facts.surroundings.columns.map(quoteIdentifier).join(', ');
  const sum = (source: string) =>
    `(SELECT format('%s rows, checksum %s', count(*), sum(hashtextextended(ROW(${columns})::text, 0)::numeric)) FROM ${source})`;
  const copies = [...parts.map(({ name }) => name), rest].map(
    (name) => `SELECT ${columns} FROM ONLY ${quoteName(name)}`,
  );
  const [found] = await sql.begin('READ ONLY', async (inside) => {
    await inside.unsafe('SET LOCAL row_security = off');
    return inside.unsafe<[{ rows: string; copied: string }]>(
      `SELECT ${sum(`ONLY ${quoteName(from)}`)} AS rows, ${sum(`(${copies.join(' UNION ALL ')}) c`)} AS copied`,
    );
  });
  if (found.rows === found.copied) return;
  throw new EduschemaError(
    'database-error',
    `the copy of ${showName(from)} is not what it is of: ${found.rows} there, ${found.copied} in the copy`,
    {
      hint: 'nothing was changed for anybody, and the copy is taken away; run the command again, and please report it',
    },
  );
}
