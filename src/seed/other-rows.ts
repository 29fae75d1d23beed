import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { betweenAny, type SeededTable } from './seeded-tables.ts';

/** Rows that were not seeded and refer to some that were. */
export interface OtherRows {
  readonly table: string;
  /** At most `mostCounted`. */
  readonly rows: number;
  /** What happens to them: by their foreign key they go too, lose the reference, or forbid the removal. */
  readonly effect: 'removes' | 'changes' | 'is stopped by';
}

/** A foreign key of one column. */
export interface Reference {
  /** The referring table. */
  readonly child: QualifiedName;
  readonly column: string;
  readonly effect: OtherRows['effect'];
}

/** Nobody needs to know exactly how many more there are. */
const mostCounted = 10_000;

/** The foreign keys that refer to a table; of partitions, those of their table. */
export async function referencesTo(sql: Pick<Sql, 'unsafe'>, name: QualifiedName): Promise<Reference[]> {
  const rows = await sql.unsafe<(QualifiedName & Omit<Reference, 'child'>)[]>(
    `SELECT n.nspname AS schema, c.relname AS name, a.attname AS column,
            CASE f.confdeltype WHEN 'c' THEN 'removes' WHEN 'n' THEN 'changes' WHEN 'd' THEN 'changes' ELSE 'is stopped by' END AS effect
     FROM pg_constraint f
     JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
     WHERE f.contype = 'f' AND f.conparentid = 0 AND cardinality(f.conkey) = 1 AND f.confrelid = to_regclass($1)
     ORDER BY 1, 2, 3`,
    [quoteName(name)],
  );
  return rows.map(({ schema, name: table, ...reference }) => ({
    child: { schema, name: table },
    ...reference,
  }));
}

/** The rows beside the seeded ones that refer to them. Rows without a key of their own cannot be told apart, and are left out. */
export async function findOtherRows(
  sql: Pick<Sql, 'unsafe'>,
  tables: readonly SeededTable[],
): Promise<OtherRows[]> {
  const found: OtherRows[] = [];
  for (const { part, ranges } of tables) {
    if (part.kind === 'lookup' || part.key === null || ranges.length === 0) continue;
    for (const { child, column, effect } of await referencesTo(sql, part)) {
      const seeded = tables.find(
        (table) => table.part.schema === child.schema && table.part.name === child.name,
      );
      if (seeded && seeded.part.key === null) continue;
      const own = seeded?.part.key
        ? `AND NOT ${betweenAny(quoteIdentifier(seeded.part.key), seeded.ranges)}`
        : '';
      const [counted] = await sql.unsafe<{ rows: number }[]>(
        `SELECT count(*)::int AS rows
         FROM (SELECT FROM ${quoteName(child)} WHERE ${betweenAny(quoteIdentifier(column), ranges)} ${own} LIMIT ${mostCounted}) t`,
      );
      if (counted && counted.rows > 0)
        found.push({ table: `${child.schema}.${child.name}`, rows: counted.rows, effect });
    }
  }
  return found;
}
