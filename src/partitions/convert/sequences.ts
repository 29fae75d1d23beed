import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import { twinOf } from './names.ts';
import type { OwnedSequence, TableDescription } from './table-description.ts';

/**
 * The sequence that was made for the identity of the table that takes over goes on where the one of `from` is, and takes
 * its name. An identity's sequence cannot be given to another table. ALTER SEQUENCE changes nothing, but keeps
 * everybody from taking a number in between.
 */
export function moveIdentity(from: QualifiedName, sequence: OwnedSequence): string[] {
  const own = twinOf<QualifiedName>(sequence);
  const name = quoteName(sequence);
  return [
    `ALTER SEQUENCE ${name} ${sequence.cycle ? 'CYCLE' : 'NO CYCLE'}`,
    `SELECT pg_catalog.setval('${quoteName(own).replaceAll("'", "''")}', last_value, is_called) FROM ${name}`,
    `ALTER TABLE ${quoteName(from)} ALTER COLUMN ${quoteIdentifier(sequence.column)} DROP IDENTITY`,
    `ALTER SEQUENCE ${quoteName(own)} RENAME TO ${quoteIdentifier(sequence.name)}`,
  ];
}

/** Gives the sequences of serial columns to `owner`. */
export function ownSequences({ sequences }: TableDescription, owner: QualifiedName): string[] {
  return sequences
    .filter(({ isIdentity }) => !isIdentity)
    .map(
      (sequence) =>
        `ALTER SEQUENCE ${quoteName(sequence)} OWNED BY ${quoteName(owner)}.${quoteIdentifier(sequence.column)}`,
    );
}
