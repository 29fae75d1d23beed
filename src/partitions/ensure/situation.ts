import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { findPartitionedTable } from '../catalogue.ts';
import type { PolicySources } from '../effective-policy.ts';
import { type FoundCopy, findCopy } from './copy/copy-state.ts';
import { findLeftCheck, type Leftover, listLeftovers } from './leftovers.ts';
import { type Look, lookAt } from './look.ts';

/** What is wanted of each table. */
export interface EnsureOptions {
  readonly sources: PolicySources;
  readonly longGaps?: boolean | undefined;
  readonly allowLongLock?: boolean | undefined;
}

/** A table in the state that it was found in. */
export interface Situation {
  readonly look: Look;
  readonly leftovers: readonly Leftover[];
  /** The default partition with a CHECK that an earlier run left. */
  readonly leftCheck: QualifiedName | undefined;
  readonly copy: FoundCopy | undefined;
}

/** Finds out what a table lacks, and what an earlier run left of it. */
export async function findSituation(
  sql: Sql,
  name: QualifiedName,
  { sources, longGaps }: EnsureOptions,
): Promise<Situation> {
  const table = await findPartitionedTable(sql, name);
  const look = await lookAt(sql, table, sources, { longGaps });
  const copy = await findCopy(sql, table);
  const ofCopy = (copy?.tables ?? []).map(quoteName);
  const leftovers = (await listLeftovers(sql)).filter(
    ({ marker: { of }, name: left }) =>
      quoteName(of) === quoteName(name) && !ofCopy.includes(quoteName(left)),
  );
  return { look, leftovers, leftCheck: await findLeftCheck(sql, table), copy };
}

/** Whether there is nothing to be done. */
export function isComplete({ look, leftovers, leftCheck, copy }: Situation): boolean {
  return look.missing.length === 0 && leftovers.length === 0 && !leftCheck && !copy;
}
