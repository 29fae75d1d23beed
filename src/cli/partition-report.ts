import { type QualifiedName, showName } from '../db/identifiers.ts';

/** A table's name in a cell. */
export function showTable(name: QualifiedName): string {
  return showName(name);
}

/** A bound in a cell: midnight goes without saying. */
export function showMidnight(local: string | null): string {
  return local?.replace(/ 00:00:00$/, '') ?? '';
}
