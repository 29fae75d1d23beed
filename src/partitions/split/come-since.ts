import { shown } from '../convert/choices.ts';
import type { Memory } from '../convert/memory.ts';
import type { Obstacle } from '../convert/obstacles.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { withSuffix } from '../partition-name.ts';

/** What a table has got, or lost, since it was split, and the one that stands aside has not: undo would lose it. */
export function listCome(table: TableDescription, old: TableDescription, memory: Memory): Obstacle[] {
  const differing = (
    what: string,
    now: readonly string[],
    then: readonly string[],
    remedy: (name: string) => string,
  ) => [
    ...now
      .filter((name) => !then.includes(name))
      .map((name) => ({
        what: `${what} ${name} came to ${shown(table)} since it was split`,
        remedy: remedy(name),
      })),
    ...then
      .filter((name) => !now.includes(name))
      .map((name) => ({
        what: `${what} ${name} of ${shown(table)} went since it was split`,
        remedy: remedy(name),
      })),
  ];
  const columns = ({ columns: list }: TableDescription) =>
    list.map(({ name, type, generated }) => `${name} ${type}${generated ? ' generated' : ''}`);
  const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);
  const keys = ({ foreignKeys }: Pick<TableDescription, 'foreignKeys'>) => names(foreignKeys);
  // Those of an unfinished split are on the partitions as yet, so that none has gone.
  const isKnown = (name: string) => (memory.foreignKeys ?? []).some((key) => key.name === name);
  const checks = ({ checks: list }: TableDescription) => names(list.filter(({ type }) => type === 'c'));
  const alike = () => `do the same to ${shown(old)}, or take it back`;
  return [
    ...differing('the column', columns(table), columns(old), alike),
    ...differing(
      'the index',
      names(table.indexes).map((name) => withSuffix(name, memory.aside)),
      names(old.indexes),
      (name) => `do the same to ${shown(old)}, where it is to be called ${name}; or take it back`,
    ),
    ...differing('the constraint', checks(table), checks(old), alike),
    ...differing('the foreign key', keys(table), keys(table).filter(isKnown), alike),
  ];
}
