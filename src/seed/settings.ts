import { type QualifiedName, quoteIdentifier } from '../db/identifiers.ts';
import type { WorkSettings } from '../db/work-settings.ts';

/** Where seeds are, and how to go about them. */
export interface SeedSettings extends WorkSettings {
  readonly directory: string;
  readonly shownDirectory: string;
  /** The journal of migrations; that of seeds stands beside it. */
  readonly journal: QualifiedName;
  readonly schema?: string | undefined;
}

/** SQL that sets the search path to the schema that was named; empty when none was. */
export function searchPathOf({ schema }: Pick<SeedSettings, 'schema'>, how: 'LOCAL' | 'SESSION'): string {
  return schema === undefined ? '' : `SET ${how} search_path TO ${quoteIdentifier(schema)}`;
}
