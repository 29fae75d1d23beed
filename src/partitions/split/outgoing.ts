import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import { shown } from '../convert/choices.ts';
import { outgoingOf } from '../convert/incoming.ts';
import { commentOn, planned } from '../convert/statements.ts';
import type { ForeignKey, TableDescription } from '../convert/table-description.ts';
import { enter, tickOff } from './run-state.ts';

/**
 * Foreign keys that forbid to delete what they reference (NO ACTION, RESTRICT). They may be on the table in use alone:
 * rows of the other one, which lag behind, would forbid what is allowed.
 */
export function forbiddingOf(table: TableDescription): ForeignKey[] {
  return outgoingOf(table).filter(
    ({ definition }) => !/ ON DELETE (?:CASCADE|SET NULL|SET DEFAULT)/.test(definition),
  );
}

/** Takes those off the table that stands aside. */
export function dropForbidding(table: TableDescription): PlannedStatement[] {
  return forbiddingOf(table).flatMap(({ name, references }) =>
    planned(
      `${name} would go on to forbid deletes for rows that are out of use`,
      [`ALTER TABLE ${quoteName(table)} DROP CONSTRAINT ${quoteIdentifier(name)}`],
      { locks: [`ACCESS EXCLUSIVE on ${shown(references)}`], waitsFor: `whoever uses ${shown(references)}` },
    ),
  );
}

/** Locks what foreign keys reference, as strongly as will be needed: not more and more, which ends in deadlocks. */
export function lockReferenced(table: TableDescription): PlannedStatement[] {
  const forbidding = new Set(forbiddingOf(table).map(({ references }) => shown(references)));
  const referenced = new Map(
    outgoingOf(table).map(({ references }) => [shown(references), references] as const),
  );
  return [...referenced.values()]
    .sort((one, other) => (shown(one) < shown(other) ? -1 : 1))
    .flatMap((references) => {
      const mode = forbidding.has(shown(references)) ? 'ACCESS EXCLUSIVE' : 'SHARE ROW EXCLUSIVE';
      return planned(
        `${shown(references)} gets foreign keys of the partitions`,
        [`LOCK TABLE ${quoteName(references)} IN ${mode} MODE`],
        {
          locks: [`${mode} on ${shown(references)}`],
          waitsFor: `whoever ${mode === 'ACCESS EXCLUSIVE' ? 'uses' : 'writes'} ${shown(references)}`,
        },
      );
    });
}

/** Has each partition keep to the foreign keys from here on; what is in it already is looked at later. */
export function addToLeaves(table: TableDescription, leaves: readonly QualifiedName[]): PlannedStatement[] {
  return outgoingOf(table).flatMap(({ name, definition }) =>
    planned(
      `${name}, of partitions first: before PostgreSQL 18 the whole can have none that is not validated`,
      leaves.map(
        (leaf) =>
          `ALTER TABLE ${quoteName(leaf)} ADD CONSTRAINT ${quoteIdentifier(name)} ${definition} NOT VALID`,
      ),
    ),
  );
}

/** Looks whether the rows of a partition keep to the foreign keys. */
export function planLeafValidation(table: TableDescription, leaf: QualifiedName): Step {
  const keys = outgoingOf(table);
  return {
    title: `look at the foreign keys of ${shown(leaf)}`,
    transaction: true,
    statements: [
      ...keys.flatMap(({ name, references }) =>
        planned(
          `${name} holds for the rows that were copied`,
          [`ALTER TABLE ${quoteName(leaf)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`],
          {
            locks: [`SHARE UPDATE EXCLUSIVE on ${shown(leaf)}`, `ROW SHARE on ${shown(references)}`],
            waitsFor: 'no reader and no writer',
          },
        ),
      ),
      tickOff(table, leaf.name),
    ],
  };
}

/** Puts the foreign keys on the partitioned table, whose partitions have them. */
export function planForeignKeys(table: TableDescription): Step {
  const name = quoteName(table);
  return {
    title: `give ${shown(table)} its foreign keys`,
    transaction: true,
    statements: [
      ...outgoingOf(table).flatMap(({ name: key, definition, references, comment }) =>
        planned(
          `${key}, which takes over those of the partitions`,
          [
            `ALTER TABLE ${name} ADD CONSTRAINT ${quoteIdentifier(key)} ${definition}`,
            ...commentOn(`CONSTRAINT ${quoteIdentifier(key)} ON ${name}`, comment),
          ],
          {
            locks: [`SHARE ROW EXCLUSIVE on ${shown(table)}`, `SHARE ROW EXCLUSIVE on ${shown(references)}`],
            waitsFor: `whoever writes ${shown(table)} or ${shown(references)}`,
          },
        ),
      ),
      enter(table, 'prove'),
    ],
  };
}
