import type { Sql } from 'postgres';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { findTable } from './find-table.ts';
import { betweenAny, type SeededTable } from './seeded-tables.ts';

/**
 * Throws `table-unsuitable` where a sequence stands before keys that were seeded and rows have such keys: it was set
 * back (TRUNCATE ... RESTART IDENTITY), gave the same keys to others, and nobody can tell whose those rows are.
 */
export async function refuseReusedKeys(
  sql: Pick<Sql, 'unsafe'>,
  tables: readonly SeededTable[],
): Promise<void> {
  for (const { part, ranges } of tables) {
    const end = ranges.at(-1)?.last;
    if (part.key === null || end === undefined) continue;
    const { columns } = await findTable(sql, `${part.schema}.${part.name}`);
    const sequence = columns.find(({ name }) => name === part.key)?.sequence;
    if (!sequence) continue;
    const [found] = await sql.unsafe<{ last: string; used: boolean }[]>(
      `SELECT last_value::text AS last, EXISTS (SELECT FROM ${quoteName(part)}
              WHERE ${betweenAny(quoteIdentifier(part.key), ranges)}) AS used FROM ${sequence}`,
    );
    if (!found?.used || BigInt(found.last) >= end) continue;
    const shown = `${part.schema}.${part.name}`;
    throw new EduschemaError(
      'table-unsuitable',
      `${shown} gives out keys anew: its sequence stands at ${found.last}, and seeded rows had ${part.key} up to ${end}`,
      {
        hint: `rows there may be your own: remove those that were seeded yourself, or SELECT setval('${sequence}', ${end}) if none is yours; nothing was changed`,
        details: { table: shown },
      },
    );
  }
}
