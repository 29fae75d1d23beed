import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import { type Choices, shown } from './choices.ts';
import { commentOn, planned } from './statements.ts';
import type { ForeignKey, IncomingKey, TableDescription } from './table-description.ts';

/** Foreign keys of others: those that can follow, as the key that they reference has the partition key in it, and the rest. */
export function incomingOf(
  { incomingKeys }: TableDescription,
  { column }: Pick<Choices, 'column'>,
): { readonly followed: readonly IncomingKey[]; readonly lost: readonly IncomingKey[] } {
  const follows = ({ keys }: IncomingKey) => keys.includes(column);
  return {
    followed: incomingKeys.filter(follows),
    lost: incomingKeys.filter((key) => !follows(key)),
  };
}

/** The foreign keys of the table, without those that reference itself: these are among the incoming ones. */
export function outgoingOf(table: TableDescription): readonly ForeignKey[] {
  return table.foreignKeys.filter(({ references }) => !isSame(references, table));
}

/** Whether two names are one. */
export const isSame = (one: QualifiedName, other: QualifiedName): boolean =>
  one.schema === other.schema && one.name === other.name;

/** Takes all foreign keys that reference the table off the tables that have them. */
export function takeIncoming(table: TableDescription): PlannedStatement[] {
  return table.incomingKeys.flatMap((key) =>
    planned(
      `the foreign key ${key.name} of ${shown(key.table)} references the old table`,
      [`ALTER TABLE ${quoteName(key.table)} DROP CONSTRAINT ${quoteIdentifier(key.name)}`],
      { locks: [`ACCESS EXCLUSIVE on ${shown(key.table)}`], waitsFor: `whoever uses ${shown(key.table)}` },
    ),
  );
}

/** Puts foreign keys back, to whatever bears the table's name now; what is there already is looked at later. */
export function putIncoming(table: TableDescription, keys: readonly IncomingKey[]): PlannedStatement[] {
  return keys.flatMap(({ name, table: other, definition, comment }) =>
    planned(`the foreign key ${name} of ${shown(other)} references ${shown(table)} again`, [
      `ALTER TABLE ${quoteName(other)} ADD CONSTRAINT ${quoteIdentifier(name)} ${definition} NOT VALID`,
      ...commentOn(`CONSTRAINT ${quoteIdentifier(name)} ON ${quoteName(other)}`, comment),
    ]),
  );
}

/** Looks whether the rows that were there already keep to a foreign key. */
export function validateIncoming({ name, table }: IncomingKey): PlannedStatement {
  return {
    sql: `ALTER TABLE ${quoteName(table)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`,
    why: `${name} holds for the rows that were there before`,
    locks: [`SHARE UPDATE EXCLUSIVE on ${shown(table)}`],
    waitsFor: 'no reader and no writer',
  };
}
