import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { type Choices, shown } from '../convert/choices.ts';
import { addKeyConstraint, createIndex, widenIndex } from '../convert/keys.ts';
import { twinOf } from '../convert/names.ts';
import { planned } from '../convert/statements.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { inOrder, planIndex } from '../convert/twin.ts';
import { columnList, sameKey } from './key.ts';
import type { Pair } from './pair.ts';
import { enter, tickOff } from './run-state.ts';

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

/** Gives the twin its keys and indexes: those of the partitions fit, and become parts of them. */
export function planTwinIndexes(table: TableDescription, choices: Choices): Step {
  const twin = twinOf<QualifiedName>(table);
  return {
    title: `give ${shown(twin)} its keys and indexes`,
    transaction: true,
    statements: [
      ...planned(
        'the partitions have them already',
        inOrder(table.indexes).flatMap((index) => planIndex(twin, index, choices)),
      ),
      enter(table, 'swap'),
    ],
  };
}
