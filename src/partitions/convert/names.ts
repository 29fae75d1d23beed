import type { QualifiedName } from '../../db/identifiers.ts';
import { withSuffix } from '../partition-name.ts';
import { type Day, periodName, type Unit } from '../period.ts';

/** How names end that eduschema uses while it is at work, and takes away again. */
export const workSuffix = '_eduschema';

/** The CHECK that proves where the first partition ends. Each table has its own. */
export const proofName = 'eduschema_before';

/** The partitioned table, and what is on it, until it takes the place of the table. */
export const twinOf = <T extends string | QualifiedName>(name: T): T =>
  (typeof name === 'string'
    ? withSuffix(name, workSuffix)
    : { schema: name.schema, name: withSuffix(name.name, workSuffix) }) as T;

/** The index with the partition key in it, on the table itself, that is to replace the index `name`. */
export const wideOf = (name: string): string => withSuffix(name, `_wide${workSuffix}`);

/** `_before_2027_01`: how the old table, and what is on it, are told from the table that took their names. */
export const asideSuffix = (end: Day, unit: Unit): string => `_before_${periodName(end, unit)}`;
