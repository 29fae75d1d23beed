import type { Bound } from '../catalogue.ts';
import type { State, Verb } from './decide.ts';
import type { Obstacle } from './obstacles.ts';

/** A partition on its way out, for a report. */
export interface RetainRow {
  /** `public.download_logs`, and the same of the partition. */
  readonly table: string;
  readonly partition: string;
  /** Its ends in the zone of the policy; null for MINVALUE. */
  readonly from: string | null;
  readonly to: string | null;
  /** Counted when it is archived, else an estimate; null when there is none. */
  readonly rows: number | null;
  readonly bytes: number;
  readonly state: State;
  /** What comes next; null when nothing does today. */
  readonly next: Verb | null;
  /** What this run did. */
  readonly did: readonly Verb[];
  readonly archive: string | null;
  /** ISO 8601 in UTC; null when it is not dropped by time. */
  readonly dropAfter: string | null;
  readonly obstacle: Obstacle | null;
}

/** The ends of a partition in the zone of its policy. */
export function localEnds(from: Bound | null, to: Bound | null): Pick<RetainRow, 'from' | 'to'> {
  return { from: from?.local ?? null, to: to?.local ?? null };
}
