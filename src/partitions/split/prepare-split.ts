import type { Sql } from 'postgres';
import { quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import { underUtc } from '../catalogue.ts';
import { type Choices, shown } from '../convert/choices.ts';
import { checkDay, chooseAll } from '../convert/choose.ts';
import { todayIn } from '../convert/first-end.ts';
import { outgoingOf } from '../convert/incoming.ts';
import { listObstacles, listRowObstacles, type Obstacle } from '../convert/obstacles.ts';
import {
  isIndexed,
  ofMaterializedViews,
  ofNames,
  ofTwin,
  type Prepared,
  unsuitable,
} from '../convert/prepare.ts';
import { findRowFacts, type RowFacts } from '../convert/row-facts.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { listTakenNames } from '../convert/taken-names.ts';
import { type Day, startOfPeriod } from '../period.ts';
import { madeOf } from './bare.ts';
import { daysOf, lastDay, listDays, listSplitPartitions } from './periods.ts';
import { findRemains } from './remains.ts';
import { readState } from './run-state.ts';

/** What the old table and its indexes are called afterwards, behind their names. */
export const asideSuffix = '_before_split';

type Asked = Pick<Prepared, 'request' | 'table' | 'state'> & Pick<Choices, 'type' | 'policy'>;

/**
 * Looks at a table whose rows are to be copied into a partition a period. The rows are asked for their oldest and newest
 * time, unless partitions were made already. Throws `table-unsuitable` with everything that stands in the way.
 */
export async function prepareSplit(
  sql: Sql,
  { request, table, type, policy, state }: Asked,
  looksAtRows: boolean,
): Promise<Prepared> {
  const today = await todayIn(sql, policy.zone);
  const { from } = request;
  if (from !== undefined) checkDay(from, policy.unit);
  const asked = await chooseAll(sql, request, {
    type,
    policy,
    end: from ?? startOfPeriod(today, policy.unit),
  });
  const choices: Choices = { ...asked, aside: asideSuffix, keepsBefore: from !== undefined };
  const isMade =
    state.twin?.mark?.made === madeOf(table, choices) && (await readState(sql, table)) !== undefined;
  const obstacles = [
    ...ofTwin(table, state, choices),
    ...ofNames(table, choices),
    ...listObstacles(table, choices),
    ...ofCopying(table),
    ...(await ofRowSecurity(sql, table)),
    ...(await ofReferenced(sql, table)),
    ...(await ofMaterializedViews(sql, table)),
    ...(await findRemains(sql, table)).taken.map((name) => ({
      what: `${shown({ schema: table.schema, name })} exists already, and the conversion needs its name`,
      remedy: 'rename it',
    })),
  ];
  if (isMade || obstacles.length > 0) {
    obstacles.push(...(await listTakenNames(sql, table, choices, [])));
    if (obstacles.length > 0) throw unsuitable(table, obstacles);
    return { request, table, choices, partitions: [], state };
  }
  const facts = await underUtc(sql, (inside) =>
    findRowFacts(inside, table, {
      column: choices.column,
      end: 'infinity',
      indexed: isIndexed(table, choices.column),
    }),
  );
  const [{ size }] = await sql<[{ size: string }]>`
    SELECT pg_size_pretty(pg_total_relation_size(${table.oid}::oid)) AS size`;
  const days = await chooseDays(sql, facts, choices, today);
  const chosen: Choices = from === undefined && days ? { ...choices, end: days[0] as Day } : choices;
  const partitions = days ? await listSplitPartitions(sql, table, chosen, days) : [];
  const inTheWay = [
    ...(days ? [] : [tooMany(facts, choices)]),
    ...(await listTakenNames(sql, table, chosen, partitions)),
    ...(looksAtRows ? [...listRowObstacles(facts, choices), ...ofEarliest(facts, choices)] : []),
  ];
  if (inTheWay.length > 0) throw unsuitable(table, inTheWay);
  return { request, table, choices: chosen, partitions, state, size };
}

async function chooseDays(
  sql: Sql,
  facts: RowFacts,
  choices: Choices,
  today: Day,
): Promise<Day[] | undefined> {
  const found = await daysOf(sql, facts, { ...choices, zone: choices.policy.zone });
  if (found === 'beyond') return undefined;
  const { oldest, newest } = found === 'none' ? { oldest: today, newest: today } : found;
  const first = choices.keepsBefore ? choices.end : oldest < today ? oldest : today;
  return listDays(first, lastDay(today, newest, choices), choices);
}

function ofCopying(table: TableDescription): Obstacle[] {
  const name = shown(table);
  const everything = table.publications.filter(({ listed }) => !listed);
  return [
    ...(table.indexes.some(({ constraint }) => constraint?.type === 'p')
      ? []
      : [
          {
            what: `${name} has no primary key, and a row that changes while it is copied could not be found again`,
            remedy: 'add a primary key, or use --method attach',
          },
        ]),
    ...everything.map((publication) => ({
      what: `the publication ${publication.name} publishes every table that comes, and its subscribers would be sent the copy`,
      remedy: `list its tables one by one, or use --method attach`,
    })),
  ];
}

/** Rows that a policy hides from the copy would be missing afterwards. */
async function ofRowSecurity(sql: Sql, table: TableDescription): Promise<Obstacle[]> {
  if (!table.forcesRowSecurity) return [];
  const [role] = await sql`
    SELECT rolname AS name FROM pg_roles WHERE rolname = current_user AND NOT rolsuper AND NOT rolbypassrls`;
  if (!role) return [];
  return [
    {
      what: `row level security is forced on ${shown(table)}, and hides rows from ${role.name} as well`,
      remedy: 'use a role with BYPASSRLS',
    },
  ];
}

/** The swap locks what foreign keys reference before it gives the partitions theirs; who may not would learn it last. */
async function ofReferenced(sql: Sql, table: TableDescription): Promise<Obstacle[]> {
  const found: Obstacle[] = [];
  const locking = `UPDATE, DELETE, TRUNCATE${table.server >= 170000 ? ', MAINTAIN' : ''}`;
  for (const references of new Set(outgoingOf(table).map((key) => quoteName(key.references)))) {
    const [facts] = await sql<[{ user: string; mayLock: boolean; mayReference: boolean }]>`
      SELECT current_user AS user, has_table_privilege(${references}, ${locking}) AS "mayLock",
             has_table_privilege(${references}, 'REFERENCES') AS "mayReference"`;
    const lacks = [...(facts.mayReference ? [] : ['REFERENCES']), ...(facts.mayLock ? [] : ['UPDATE'])];
    if (lacks.length > 0)
      found.push({
        what: `${facts.user} lacks ${lacks.join(' and ')} on ${references.replaceAll('"', '')}, which is referenced and is to be locked for the swap`,
        remedy: `GRANT ${lacks.join(', ')} ON ${references} TO ${quoteIdentifier(facts.user)}; or use its owner (--role)`,
      });
  }
  return found;
}

function ofEarliest({ earliest }: RowFacts, { column, keepsBefore }: Choices): Obstacle[] {
  if (earliest === 0 || keepsBefore) return [];
  return [
    {
      what: `${earliest === 1 ? '1 row has' : `${earliest} rows have`} ${column} = -infinity, which is in no period`,
      remedy: 'give them a time; or --from <day> keeps everything before that day in one partition',
    },
  ];
}

function tooMany({ oldest, newest }: RowFacts, { column, policy }: Choices): Obstacle {
  return {
    what: `${column} goes from ${oldest} to ${newest} (UTC): that would be more than 1,000 partitions of a ${policy.unit}`,
    remedy:
      'a longer --unit; or --from <day>, which keeps everything before that day in one partition; or correct these rows',
  };
}
