import type {
  DependentMaterializedView,
  ForeignKey,
  IncomingKey,
  IndexDefinition,
} from './table-description.ts';

/** What an old table remembers of what it was (the mark `was` in its comment), so that undo can restore it. */
export interface Memory {
  readonly method: 'attach' | 'split';
  readonly column: string;
  /** What the names of the table, of its indexes and of its statistics end in since then. */
  readonly aside: string;
  /** The column could be null. */
  readonly nullable: boolean;
  /** Unique indexes and keys without the partition key, which were dropped. */
  readonly lost: readonly IndexDefinition[];
  /** Foreign keys of other tables that were dropped. */
  readonly incoming: readonly IncomingKey[];
  /** Publications that did not publish partitions as one table. */
  readonly publications: readonly string[];
  /** Materialized views that are to be made anew, as they read while the table had its name. */
  readonly materializedViews: readonly DependentMaterializedView[];
  /** The file that the rows are in. */
  readonly fileNode: number | null;
  /** Split: its foreign keys, of which those that forbid deletes were dropped. */
  readonly foreignKeys?: readonly ForeignKey[];
}

/** What a partitioned table says of itself (the mark `twin` in its comment) that stands beside the table. */
export interface TwinMark {
  /** The table, qualified and quoted where needed. */
  readonly of: string;
  /** What is under way: a conversion, or what remains of an undo. */
  readonly method: 'attach' | 'split' | 'undo';
  /** What the table was like and what was chosen, as a hash: the twin is made anew when it differs. */
  readonly made: string;
  /** Of an undo: what it has still to bring back. */
  readonly left?: Pick<Memory, 'incoming' | 'materializedViews'>;
}
