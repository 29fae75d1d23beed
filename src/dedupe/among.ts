import { type Pairs, side } from './pairs.ts';
import type { Reference } from './references.ts';
import { at } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { columnOf, type TableFacts } from './table-facts.ts';

/**
 * The condition that a child `c` refers to a loser (`l`) or a survivor (`s`), by a list of them: each partition of the child
 * is then asked once, where a join would ask each of them for each row. Undefined for several columns, or where no index answers.
 */
export function among(
  { tables }: Scope,
  { child, columns, referred, indexed }: Reference,
  pairs: Pairs,
  which: readonly ('l' | 's')[],
): string | undefined {
  const [column, ...more] = columns;
  const [target] = referred;
  if (column === undefined || target === undefined || more.length > 0 || !indexed) return undefined;
  const typeOf = (table: number, name: string) => columnOf(tables[table] as TableFacts, name).type;
  if (typeOf(child, column) !== typeOf(pairs.table, target)) return undefined;
  const list = which.map((one) => `SELECT ${side(pairs, one, 'a', target)} FROM ${pairs.name} a`);
  return `${at('c', column)} = ANY (ARRAY(${list.join(' UNION ALL ')}))`;
}
