import type { QualifiedName } from '../../db/identifiers.ts';
import type { PartitionedTable } from '../catalogue.ts';

/** What can be wrong with a partitioned table. A word is never renamed: scripts look for it. */
export type FindingCode =
  | 'policy-invalid'
  | 'zone-wrong'
  | 'runway-short'
  | 'gap'
  | 'bound-off-zone'
  | 'rows-in-default'
  | 'detach-pending'
  | 'index-invalid'
  | 'index-missing'
  | 'statistics-missing'
  | 'statistics-stale'
  | 'foreign-key-lost'
  | 'ensure-unfinished'
  | 'conversion-unfinished';

/** Something that a DBA should do something about. */
export interface Finding {
  readonly code: FindingCode;
  readonly table: QualifiedName;
  /** Null for what is of the table as a whole. */
  readonly partition: QualifiedName | null;
  readonly message: string;
  /** What to type. */
  readonly hint: string;
}

/** A finding without the table that it is of. */
export type Found = Omit<Finding, 'table'>;

/** A bound in a sentence: midnight goes without saying. */
export function showLocal(local: string): string {
  return local.replace(/ 00:00:00$/, '');
}

/** What becomes of rows that no partition has the range of. */
export function fateOf(hasDefault: boolean): string {
  return hasDefault ? 'go to the default partition' : 'are refused';
}

/** Whether a column has a zone, so that its partitions can be off it. */
export function hasZone({ type }: Pick<PartitionedTable, 'type'>): boolean {
  return type === 'timestamptz';
}
