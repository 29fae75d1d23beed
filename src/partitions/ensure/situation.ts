import type { Sql } from 'postgres';
import { askTogether } from '../../db/ask-together.ts';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { knownTable, tableQuestion } from '../catalogue.ts';
import type { PolicySources } from '../effective-policy.ts';
import { copyQuestion, type FoundCopy, readCopy } from './copy/copy-state.ts';
import type { Allowance } from './decide.ts';
import { type Leftover, leftCheckQuestion, leftoversQuestion } from './leftovers.ts';
import { type Look, lookAt } from './look.ts';

/** What is wanted of each table. */
export interface EnsureOptions extends Allowance {
  readonly sources: PolicySources;
  readonly longGaps?: boolean | undefined;
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
  const [rows, left, leftCheck, ofFunction] = await askTogether(
    sql,
    [],
    [tableQuestion(name), leftoversQuestion, leftCheckQuestion(name), copyQuestion(name)],
  );
  const table = await knownTable(sql, name, rows);
  const look = await lookAt(sql, table, sources, { longGaps });
  const copy = await readCopy(sql, table, ofFunction);
  const ofCopy = (copy?.tables ?? []).map(quoteName);
  const leftovers = left.filter(
    ({ marker: { of }, name: left }) =>
      quoteName(of) === quoteName(name) && !ofCopy.includes(quoteName(left)),
  );
  return { look, leftovers, leftCheck, copy };
}

/** Whether there is nothing to be done. */
export function isComplete({ look, leftovers, leftCheck, copy }: Situation): boolean {
  return look.missing.length === 0 && leftovers.length === 0 && !leftCheck && !copy;
}
