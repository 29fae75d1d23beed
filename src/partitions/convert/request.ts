import type { QualifiedName } from '../../db/identifiers.ts';
import type { Day, Unit } from '../period.ts';

/** What a user asked for with `partitions convert`. */
export interface ConvertRequest {
  readonly table: QualifiedName;
  /** The column to partition by. */
  readonly by: string;
  readonly method?: 'attach' | 'split' | undefined;
  readonly unit?: Unit | undefined;
  readonly zone?: string | undefined;
  readonly ahead?: string | undefined;
  /** The day on which the first partition ends. */
  readonly from?: Day | undefined;
  readonly widen?: readonly string[] | undefined;
  readonly dropIncoming?: readonly string[] | undefined;
  /** Attach: compare the rows afterwards, period by period. A split always does. */
  readonly verify?: boolean | undefined;
}
