import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import type { TimeType } from '../catalogue.ts';
import type { Day } from '../period.ts';
import type { Policy } from '../policy.ts';

/** A partition that is to be made. */
export interface PlannedPartition {
  readonly name: QualifiedName;
  /** `FOR VALUES FROM (...) TO (...)` or `DEFAULT`. */
  readonly bound: string;
}

/** What a conversion was asked for, and what follows from it: everything that plans need beside the description. */
export interface Choices {
  readonly method: 'attach' | 'split';
  /** The column to partition by, and its type. */
  readonly column: string;
  readonly type: TimeType;
  readonly policy: Policy;
  /** Where the first partition ends and the periods begin, as a day in the policy's zone and as a literal. */
  readonly end: Day;
  readonly endLiteral: string;
  /** Split: what is before the end stays in one partition. Without it the periods begin with the oldest row. */
  readonly keepsBefore?: boolean;
  /** What the names of the old table and of its indexes end in afterwards. */
  readonly aside: string;
  /** Unique constraints and indexes that may be unique together with the column alone. The primary key always is. */
  readonly widen: readonly string[];
  /** Foreign keys of other tables that may be dropped. */
  readonly dropIncoming: readonly string[];
}

/** `('2026-12-01 00:00:00+09')`, or MINVALUE for what is not there. */
export function boundLiteral(literal: string | null): string {
  return literal === null ? '(MINVALUE)' : `('${literal}')`;
}

/** `public.t` for a person: quoted only where SQL needs it. */
export function shown({ schema, name }: QualifiedName): string {
  const plain = (text: string) =>
    /^[a-z_][a-z0-9_]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
  return `${plain(schema)}.${plain(name)}`;
}

/** `"public"."t"`, with the name changed. */
export const named = ({ schema }: QualifiedName, name: string): string => quoteName({ schema, name });
