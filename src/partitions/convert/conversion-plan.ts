import type { Sql } from 'postgres';
import { renderPlan, type Step } from '../../db/plan.ts';
import { writeMark } from '../comment-mark.ts';
import { twinMark } from './attach.ts';
import {
  indexesToWiden,
  planAnalyze,
  planDropWide,
  planProof,
  planValidation,
  planWideIndex,
} from './attach-steps.ts';
import { shown } from './choices.ts';
import { fingerprintOf } from './fingerprint.ts';
import { incomingOf, validateIncoming } from './incoming.ts';
import { describeViews, type MaterializedView, planViews } from './materialized.ts';
import { wideOf } from './names.ts';
import { listNotices } from './notices.ts';
import type { Prepared } from './prepare.ts';
import { planMarkedSwap } from './swap-in.ts';
import { planDropTwin, planPartitions, planTwin, planTwinKeys } from './twin.ts';

/** The steps of an attachment that remain, as they will be carried out unless somebody changes the table meanwhile. */
export function planAttachment(
  { table, choices, partitions, state }: Prepared,
  views: readonly MaterializedView[],
): Step[] {
  const hasTwin = state.twin?.mark?.made === fingerprintOf(table, choices);
  const comment = writeMark(null, 'twin', twinMark(table, choices));
  const isThere = (name: string) => state.wide.some((index) => index.name === name && index.valid);
  const { locks, work } = planMarkedSwap(table, choices);
  return [
    ...(state.twin && !hasTwin ? [planDropTwin(table)] : []),
    ...(hasTwin ? [] : [planTwin(table, choices, comment, state.proof !== undefined)]),
    ...planTwinKeys(table, hasTwin ? state.twin?.foreignKeys : []),
    ...state.wide.filter(({ valid }) => !valid).map(({ name }) => planDropWide(table, name)),
    ...indexesToWiden(table, choices)
      .filter(({ name }) => !isThere(wideOf(name)))
      .map((index) => planWideIndex(table, index, choices)),
    ...(state.proof ? [] : [planProof(table, choices, false)]),
    ...(state.proof?.validated ? [] : [planValidation(table)]),
    ...planPartitions(table, partitions),
    {
      title: `put the twin in the place of ${shown(table)}`,
      transaction: true,
      statements: [...locks, ...work],
    },
    ...incomingOf(table, choices).followed.map((key) => ({
      title: `look at ${key.name} of ${shown(key.table)}`,
      transaction: false,
      statements: [validateIncoming(key)],
    })),
    ...planViews(views),
    planAnalyze(table),
  ];
}

/** The plan as SQL that psql runs, below what changes for those who use the table. */
export async function renderConversion(sql: Sql, prepared: Prepared, lockTimeout: string): Promise<string> {
  const { table, choices } = prepared;
  const views = await describeViews(sql, table);
  const notices = listNotices(table, choices).map((notice) => `-- ${notice}`);
  return [...notices, '', renderPlan(planAttachment(prepared, views), lockTimeout)].join('\n');
}
