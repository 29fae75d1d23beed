import type { QualifiedName } from '../db/identifiers.ts';

/** What `dedupe` is asked for; what is undefined is chosen by the table. */
export interface DedupeRequest {
  readonly table: QualifiedName;
  /** Columns by which rows are duplicates of each other. */
  readonly key?: readonly string[] | undefined;
  /** `oldest`, `newest`, `most-referenced`, or an expression as ORDER BY takes it: the first row stays. */
  readonly keep?: string | undefined;
  /** `exact`, `normalized`, or folds with commas between. */
  readonly match?: string | undefined;
  /** Counters to be summed, `column` or, of a table that refers to it, `table.column`. */
  readonly sum?: readonly string[] | undefined;
  /** Columns that the survivor takes from its duplicates where it has nothing; true for all. */
  readonly fill?: readonly string[] | true | undefined;
  /** Columns that refer to the table without a foreign key, `table.column`. */
  readonly references?: readonly string[] | undefined;
  /** Columns that look as if they did, and do not. */
  readonly ignoreReferences?: readonly string[] | undefined;
  /** The text of a file with clusters that somebody has looked through. */
  readonly clusters?: string | undefined;
}

/** The key of the education schema's materials, as the guide has it. */
export const materialsKey: readonly string[] = ['title', 'file_name'];

/** Counters that are summed without being asked for. */
export const usualCounters: readonly string[] = ['download_count', 'view_count'];
