import { showName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import type { Fold } from '../sql/folded-text.ts';
import { type Order, orderOf } from './keep.ts';
import { parseMatch } from './match.ts';
import { type DedupeRequest, materialsKey, usualCounters } from './request.ts';
import { parseColumn, type Scope } from './scope.ts';
import { nameOf, type TableFacts } from './table-facts.ts';

/** What a request comes to for its table. */
export interface Choices {
  readonly key: readonly string[];
  readonly match: readonly Fold[];
  readonly order: Order;
  /** Counters, by the number of their table. */
  readonly sums: ReadonlyMap<number, readonly string[]>;
  readonly fill: readonly string[];
}

/** Throws `usage` for columns that are not there or do not suit, and where no key is given. */
export function chooseFor(scope: Scope, request: DedupeRequest): Choices {
  const root = scope.tables[0] as TableFacts;
  const key = request.key ?? defaultKey(root, request);
  for (const column of key) checkColumn(root, column);
  const sums = chooseSums(scope, request);
  return {
    key,
    match: parseMatch(request.match),
    order: orderOf(scope, request.keep),
    sums,
    fill: chooseFill(scope, request.fill, [...key, ...(sums.get(0) ?? [])]),
  };
}

function defaultKey(root: TableFacts, { clusters }: DedupeRequest): readonly string[] {
  if (clusters !== undefined) return [];
  const has = (column: string) => root.columns.some(({ name }) => name === column);
  if (root.name.name === 'materials' && materialsKey.every(has)) return materialsKey;
  throw new EduschemaError(
    'usage',
    `nobody said by which columns rows of ${showName(root.name)} are duplicates`,
    {
      hint: 'add --key <columns>, with commas between',
    },
  );
}

function checkColumn(table: TableFacts, column: string): TableFacts['columns'][number] {
  const found = table.columns.find(({ name }) => name === column);
  if (found) return found;
  throw new EduschemaError('usage', `${showName(table.name)} has no column ${column}`, {
    hint: `it has ${table.columns.map(({ name }) => name).join(', ')}`,
  });
}

function chooseSums(scope: Scope, { sum }: DedupeRequest): Map<number, string[]> {
  const root = scope.tables[0] as TableFacts;
  const sums = new Map<number, string[]>();
  const add = (number: number, column: string) => {
    const table = scope.tables[number] as TableFacts;
    if (checkColumn(table, column).category !== 'N')
      throw new EduschemaError(
        'usage',
        `${showName(table.name)}.${column} is no number, and cannot be summed`,
      );
    const before = sums.get(number) ?? [];
    if (!before.includes(column)) sums.set(number, [...before, column]);
  };
  const usual = usualCounters.filter((counter) =>
    root.columns.some(({ name, category, generated }) => name === counter && category === 'N' && !generated),
  );
  for (const wanted of sum ?? usual) {
    if (root.columns.some(({ name }) => name === wanted) || !wanted.includes('.')) {
      add(0, wanted);
      continue;
    }
    const { schema, name, column } = parseColumn(wanted, root.name.schema);
    const number = scope.tables.findIndex(
      (table) => table.name.schema === schema && table.name.name === name,
    );
    if (number < 0)
      throw new EduschemaError('usage', `${schema}.${name} does not refer to ${showName(root.name)}`, {
        hint: '--sum takes columns of the table, and of tables that refer to it as table.column',
      });
    add(number, column);
  }
  return sums;
}

function chooseFill(
  { tables, references }: Scope,
  fill: DedupeRequest['fill'],
  taken: readonly string[],
): readonly string[] {
  if (fill === undefined) return [];
  const root = tables[0] as TableFacts;
  // What it refers to may go itself, or be the row that it would be written into.
  const merged = references.filter(({ child }) => child === 0).flatMap(({ columns }) => columns);
  const own = [...(nameOf(root) ?? []), ...merged];
  if (fill !== true) {
    const wrong = fill
      .map((column) => checkColumn(root, column))
      .find(({ name, generated }) => generated || own.includes(name));
    if (wrong) throw new EduschemaError('usage', `${showName(root.name)}.${wrong.name} cannot be filled`);
    return fill;
  }
  return root.columns
    .filter(
      ({ name, generated, nullable, category }) =>
        !generated && (nullable || category === 'S') && ![...own, ...taken].includes(name),
    )
    .map(({ name }) => name);
}
