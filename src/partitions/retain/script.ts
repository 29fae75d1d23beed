import { join } from 'node:path';
import type { Sql } from 'postgres';
import { renderPlan } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { listForeignKeys } from '../archive/table-facts.ts';
import type { Retired } from './marker.ts';
import type { Departure, Outlook } from './outlook.ts';
import { rowOf } from './outlook.ts';
import { planDetach, planDrop, planFreeze, planRelease } from './plan.ts';

/**
 * What a run would do to one table, as SQL that psql runs, with what cannot be SQL in comments. A table is dropped in it
 * only when its archive was read back by an earlier run.
 */
export async function renderScript(
  sql: Sql,
  outlook: Outlook,
  { lockTimeout }: WorkSettings,
): Promise<string> {
  const parts: string[] = [];
  for (const departure of outlook.departures) {
    const steps = await planNext(sql, outlook, departure);
    const comments = [headline(outlook, departure), ...notesOn(outlook, departure)];
    parts.push(
      `${comments.map((line) => `-- ${line}`).join('\n')}\n\n${renderPlan(steps, lockTimeout ?? '2s')}`,
    );
  }
  return parts.map((part) => `${part.trimEnd()}\n\n`).join('');
}

async function planNext(sql: Sql, { table, surroundings, terms }: Outlook, departure: Departure) {
  const { candidate, decision, from, to } = departure;
  const foreignKeys = await listForeignKeys(sql, candidate.oid);
  switch (decision.next) {
    case 'detach': {
      const mark = {
        parent: table.name,
        from: from?.value ?? null,
        to: to?.value ?? null,
        since: terms.now,
      };
      const referring = surroundings.references.map((reference) => reference.table);
      return [
        ...planDetach(
          candidate,
          { parent: table.name, default: surroundings.default, foreignKeys, referring },
          mark,
        ),
        ...planRelease(candidate.name, foreignKeys),
      ];
    }
    case 'freeze':
      return [
        planFreeze(candidate, candidate.marks.retired as Retired),
        ...planRelease(candidate.name, foreignKeys),
      ];
    case 'drop':
      return [planDrop(candidate)];
    default:
      return [];
  }
}

function headline({ table }: Outlook, departure: Departure): string {
  const { partition, from, to, rows, bytes, state, next, dropAfter } = rowOf(table, departure);
  const size = `${rows === null ? 'rows not counted yet' : `about ${rows} rows`}, ${bytes} bytes`;
  const what = next ?? (dropAfter ? `${state}, to be dropped after ${dropAfter}` : state);
  return `${partition}: ${from ?? 'the beginning'} to ${to ?? 'the end'}, ${size}: ${what}`;
}

function notesOn({ root, dropAfter, surroundings }: Outlook, { candidate, decision }: Departure): string[] {
  const { next, obstacle } = decision;
  const { schema, name } = candidate.name;
  if (obstacle) return [`${obstacle.problem}: nothing is done; ${obstacle.remedy}`];
  const published = next === 'detach' && surroundings.publications.length > 0;
  return [
    ...(published
      ? [
          `published by ${surroundings.publications.join(', ')}: subscribers keep theirs, retire it there as well`,
        ]
      : []),
    ...(next && next !== 'drop' && root
      ? [
          `then archived: COPY ... TO STDOUT, compressed, in ${join(root, '...', `${schema}.${name}`)}, read back and compared`,
          `locks SHARE on ${schema}.${name} meanwhile, which nobody uses any more; dropped by a run after ${dropAfter}`,
        ]
      : []),
    ...(next && next !== 'drop' && !root
      ? ['not archived, as no folder is named, and not dropped: it stays as a table']
      : []),
  ];
}
