import type { Sql } from 'postgres';
import type { Question } from '../../db/ask-together.ts';
import { quoteLiteral, showName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { boundsIn, isMidnightOfStart, listOddBounds } from '../alignment.ts';
import {
  askInZone,
  type BoundedPartition,
  boundsOf,
  boundsQuestion,
  type PartitionedTable,
} from '../catalogue.ts';
import { type EffectivePolicy, findPolicy, type PolicySources } from '../effective-policy.ts';
import { listMissing, type Missing, type Period } from '../missing.ts';
import { addSpan, type Day, type Unit } from '../period.ts';
import { listStretches } from '../stretches.ts';

/** What a table has, and what it lacks, by the server's clock. */
export interface Look {
  readonly table: PartitionedTable;
  readonly policy: EffectivePolicy & { readonly unit: Unit };
  readonly partitions: readonly BoundedPartition[];
  /** In the order of time. */
  readonly missing: readonly Missing[];
  /** Of these, between partitions that are there. */
  readonly gaps: readonly Missing[];
  readonly today: Day;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The most that one run makes for a table: more are a mistake, and slow every query down. */
const mostAtOnce = 1000;

/**
 * Looks at the partitions of a table. Throws `table-unsuitable` when nobody said how long its partitions are to be and
 * they do not show it, and `usage` for a zone that the server does not know or more than a thousand partitions.
 */
export async function lookAt(
  sql: Sql,
  table: PartitionedTable,
  sources: PolicySources,
  { longGaps }: { readonly longGaps?: boolean | undefined } = {},
): Promise<Look> {
  const { zone } = findPolicy(table, sources);
  const [partitions, clock] = await askInZone(sql, zone, [boundsQuestion(table, zone), clockQuestion(zone)]);
  const policy = findPolicy(table, sources, partitions);
  const { unit } = policy;
  if (!unit) throw noUnit(table);
  const wanted = { ...policy, unit, today: clock.today, longGaps };
  // What is retired is not made again, beside a month that was brought back.
  const oldest = policy.keep ? addSpan(clock.today, policy.keep, -1) : undefined;
  const isKept = (day: Day) => oldest === undefined || addSpan(day, { count: 1, unit }) > oldest;
  const stretches = listStretches(partitions, wanted).map((stretch) => ({
    ...stretch,
    days: stretch.days.filter(isKept),
  }));
  const count = stretches.reduce((sum, { days }) => sum + days.length, 0);
  if (count > mostAtOnce) throw tooMany(table, count);
  const periods = await periodsOf(
    sql,
    table,
    zone,
    unit,
    stretches.flatMap(({ days }) => days),
  );
  const inGaps = new Set(stretches.flatMap(({ days, isGap }) => (isGap ? days : [])));
  const missing = listMissing(partitions, periods);
  const gaps = missing.filter(({ day }) => inGaps.has(day));
  return { table, policy: { ...policy, unit }, partitions, missing, gaps, ...clock };
}

type Clock = Pick<Look, 'today' | 'now'>;

/** The server's clock: the day that it is in the zone. */
export async function readClock(sql: Sql, zone: string): Promise<Clock> {
  const [clock] = await askInZone(sql, zone, [clockQuestion(zone)]);
  return clock;
}

function clockQuestion(zone: string): Question<Clock> {
  return {
    sql: `SELECT to_char(now() AT TIME ZONE ${quoteLiteral(zone)}, 'YYYY-MM-DD') AS today, extract(epoch FROM now())::float8 * 1000 AS now`,
    read: ([clock]: [Clock]) => clock,
  };
}

/** The periods that begin on these days. A day that is there twice counts once. */
async function periodsOf(
  sql: Sql,
  table: PartitionedTable,
  zone: string,
  unit: Unit,
  days: readonly Day[],
): Promise<Period[]> {
  const starts = [...new Set(days)].sort();
  const nextOf = (day: Day) => addSpan(day, { count: 1, unit });
  const all = [...new Set(starts.flatMap((day) => [day, nextOf(day)]))];
  const literals = await boundsOf(sql, table, zone, all);
  const known = new Map(all.map((day, index) => [day, literals[index] as string]));
  const literalOf = (day: Day) => known.get(day) as string;
  return starts.map((day) => ({ day, from: literalOf(day), to: literalOf(nextOf(day)) }));
}

/**
 * Throws `table-unsuitable` when most bounds of a table begin no period in its zone: its partitions were made for
 * another, and whatever were made now would shift them for good.
 */
export async function checkZoneFits(
  sql: Sql,
  {
    table,
    policy,
    partitions,
  }: Pick<Look, 'table' | 'partitions'> & { readonly policy: Pick<Look['policy'], 'zone' | 'unit'> },
): Promise<void> {
  const bounds = boundsIn(partitions);
  const odd = await listOddBounds(sql, table, partitions, policy);
  if (odd.length * 2 <= bounds.length) return;
  const inUtc = bounds.filter(({ value }) => isMidnightOfStart(`${value.replace(/\+00$/, '')}`, policy.unit));
  const name = showName(table.name);
  const fits = inUtc.length * 2 > bounds.length && table.type === 'timestamptz';
  const hint = fits
    ? `they are those of UTC: eduschema partitions policy ${name} --zone UTC`
    : `say where and for how long they are: eduschema partitions policy ${name} --zone <zone> --unit <unit>`;
  throw new EduschemaError(
    'table-unsuitable',
    `the partitions of ${name} do not begin with a ${policy.unit} in ${policy.zone}: ${odd.length} of ${bounds.length} bounds are others, as ${odd[0]?.local}`,
    { hint },
  );
}

function noUnit({ name }: PartitionedTable): EduschemaError {
  return new EduschemaError(
    'table-unsuitable',
    `the partitions of ${showName(name)} are none of a day, a week, a month, a quarter or a year long`,
    { hint: `say how long new ones are to be: eduschema partitions policy ${showName(name)} --unit month` },
  );
}

function tooMany({ name }: PartitionedTable, count: number): EduschemaError {
  return new EduschemaError('usage', `${showName(name)} would get ${count} partitions, which is a mistake`, {
    hint: `at most ${mostAtOnce} are made in a run: make less ahead (--ahead), or longer ones (--unit)`,
  });
}
