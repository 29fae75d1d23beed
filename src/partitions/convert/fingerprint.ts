import { createHash } from 'node:crypto';
import type { Choices } from './choices.ts';
import type { TableDescription } from './table-description.ts';

/** Differs when anything that follows a table does, or what was chosen, but not with its rows or where they are. */
export function fingerprintOf(
  { oid: _oid, fileNode: _fileNode, indexes, mine: _mine, ...table }: TableDescription,
  { method, column, widen, dropIncoming }: Pick<Choices, 'method' | 'column' | 'widen' | 'dropIncoming'>,
): string {
  const followed = {
    ...table,
    indexes: indexes.map(({ oid: _index, ...index }) => index),
    chosen: { method, column, widen, dropIncoming },
  };
  return createHash('sha256').update(JSON.stringify(followed)).digest('hex').slice(0, 16);
}
