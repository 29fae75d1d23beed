import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { type Choices, shown } from '../convert/choices.ts';
import { addKeyConstraint, createIndex, widenIndex } from '../convert/keys.ts';
import { twinOf } from '../convert/names.ts';
import { planned } from '../convert/statements.ts';
import type { IndexDescription, TableDescription } from '../convert/table-description.ts';
import { inOrder, planIndex } from '../convert/twin.ts';
import { columnList, sameKey } from './key.ts';
import type { Pair } from './pair.ts';
import { saveIndexes, tickOff } from './run-state.ts';

/** The partitions of a table, in the order of their names. */
export async function listLeaves(sql: Pick<Sql, 'unsafe'>, table: QualifiedName): Promise<QualifiedName[]> {
  return sql.unsafe<QualifiedName[]>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_inherits h
     JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE h.inhparent = to_regclass(${quoteLiteral(quoteName(table))}) ORDER BY c.relname`,
  );
}

/**
 * Builds the keys and indexes of a partition, now that its rows are there: in one go is quicker than row by row. Rows
 * that changed between two batches can be there twice; all that were noted go first, and come back from the notes.
 */
export function planLeafIndexes(
  table: TableDescription,
  { column }: Choices,
  leaf: QualifiedName,
  { changes, key }: Pair,
): Step {
  const names = columnList(key.map(({ name }) => name));
  return {
    title: `build the keys and indexes of ${shown(leaf)}`,
    transaction: true,
    statements: [
      ...planned('what changed meanwhile comes from the notes', [
        `DELETE FROM ${quoteName(leaf)} AS t USING (SELECT DISTINCT ${names} FROM ${quoteName(changes)}) AS c WHERE ${sameKey(key, 't', 'c')}`,
      ]),
      ...planned(
        'nobody uses the partition yet',
        inOrder(table.indexes).map((index) => {
          const wide = widenIndex(index, column);
          return index.constraint ? addKeyConstraint(wide, null, leaf) : createIndex(wide, null, leaf);
        }),
      ),
      tickOff(table, leaf.name),
    ],
  };
}

/** What a twin's indexes were made from, by the names that they will have. */
export type BuiltIndexes = Readonly<Record<string, string>>;

/** Everything by which an index differs from another. */
const definitionOf = (index: IndexDescription): string => {
  const { unique, keys, includes, using, options, tablespace, nullsNotDistinct, constraint } = index;
  const { type, deferrable, deferred } = constraint ?? {};
  return JSON.stringify([
    unique,
    keys,
    includes,
    using,
    options,
    tablespace,
    nullsNotDistinct,
    type,
    deferrable,
    deferred,
  ]);
};

/** Whether the twin has the indexes that the table has by now. */
export function hasIndexes({ indexes }: TableDescription, built: BuiltIndexes): boolean {
  return (
    indexes.length === Object.keys(built).length &&
    indexes.every((index) => built[index.name] === definitionOf(index))
  );
}

/** Gives the twin the keys and indexes that it lacks: those of the partitions fit, and become parts of them. */
export function planTwinIndexes(table: TableDescription, choices: Choices, built: BuiltIndexes): Step {
  const twin = twinOf<QualifiedName>(table);
  const isBuilt = (index: IndexDescription) => built[index.name] === definitionOf(index);
  const isWanted = (name: string) => table.indexes.some((index) => index.name === name && isBuilt(index));
  const now = Object.fromEntries(table.indexes.map((index) => [index.name, definitionOf(index)]));
  const drop = ([name, definition]: [string, string]) => {
    const isConstraint = typeof JSON.parse(definition)[7] === 'string';
    const own = twinOf(name);
    return isConstraint
      ? `ALTER TABLE ${quoteName(twin)} DROP CONSTRAINT ${quoteIdentifier(own)}`
      : `DROP INDEX ${quoteName({ schema: table.schema, name: own })}`;
  };
  return {
    title: `give ${shown(twin)} its keys and indexes`,
    transaction: true,
    statements: [
      ...planned(
        'the table has none like this any more',
        Object.entries(built)
          .filter(([name]) => !isWanted(name))
          .map(drop),
      ),
      ...planned(
        'partitions that have them already keep them',
        inOrder(table.indexes)
          .filter((index) => !isBuilt(index))
          .flatMap((index) => planIndex(twin, index, choices)),
      ),
      saveIndexes(table, now),
    ],
  };
}
