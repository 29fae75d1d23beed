import type { Sql } from 'postgres';
import { EduschemaError } from '../../errors.ts';
import { checkZone, type TimeType } from '../catalogue.ts';
import { type Day, parseSpan, showSpan, startOfPeriod, type Unit } from '../period.ts';
import { defaultAhead, defaultZone, type Policy } from '../policy.ts';
import { type Choices, shown } from './choices.ts';
import { dayOf, firstEnd, literalOf, secondsUntil, todayIn } from './first-end.ts';
import { asideSuffix } from './names.ts';
import type { ConvertRequest } from './request.ts';
import type { ConversionState } from './state.ts';
import type { TableDescription } from './table-description.ts';

/** Seconds before its end at which a first partition is given a later one, so that nobody's rows are refused. */
export const nearSeconds = 3600;

const timeTypes: Readonly<Record<string, TimeType>> = {
  date: 'date',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
};

/** The type of the column to partition by. Throws `usage` or `table-unsuitable` when it is none. */
export function findType(table: TableDescription, by: string): TimeType {
  const column = table.columns.find(({ name }) => name === by);
  const known = table.columns.filter(({ type }) => typeOf(type)).map(({ name }) => name);
  const hint =
    known.length > 0
      ? `columns with a time: ${known.join(', ')}`
      : 'the table has no date, timestamp or timestamptz column';
  if (!column) throw new EduschemaError('usage', `${shown(table)} has no column ${by}`, { hint });
  const type = typeOf(column.type);
  if (!type)
    throw new EduschemaError(
      'table-unsuitable',
      `${by} of ${shown(table)} is ${column.type}, which is no time`,
      {
        hint,
      },
    );
  if (column.generated !== '')
    throw new EduschemaError(
      'table-unsuitable',
      `${by} of ${shown(table)} is generated, which no partition key can be`,
      {
        hint,
      },
    );
  return type;
}

/** The type without its precision, `timestamp(3) with time zone`. */
const typeOf = (type: string) => timeTypes[type.replace(/\(\d\)/, '')];

/** The policy of flags and defaults. Throws `usage` for a zone or a length that is none. */
export async function choosePolicy(sql: Sql, { unit, zone, ahead }: ConvertRequest): Promise<Policy> {
  const policy = {
    zone: zone ?? defaultZone,
    unit: unit ?? 'month',
    ahead: showSpan(ahead === undefined ? defaultAhead : parseSpan(ahead, '--ahead')),
  };
  await checkZone(sql, policy.zone);
  return policy;
}

/** The day asked for, else the one of an earlier run that is far enough away, else the first that is. */
export async function chooseEnd(
  sql: Sql,
  { from }: ConvertRequest,
  { unit, zone }: Policy,
  { proof }: ConversionState,
  type: TimeType,
): Promise<Day> {
  if (from !== undefined) {
    checkDay(from, unit);
    if ((await secondsUntil(sql, from, zone)) < nearSeconds)
      throw new EduschemaError('usage', `--from ${from} is past, or begins within the hour`, {
        hint: 'the first partition takes what is written now: name a later day',
      });
    return from;
  }
  const before = proof?.end ? await dayOf(sql, proof.end, type, zone) : undefined;
  if (
    before &&
    startOfPeriod(before, unit) === before &&
    (await secondsUntil(sql, before, zone)) > nearSeconds
  )
    return before;
  return firstEnd(await todayIn(sql, zone), unit);
}

/** Throws `usage` unless a period begins on the day. */
export function checkDay(from: string, unit: Unit): void {
  const isDay = /^\d{4}-\d\d-\d\d$/.test(from) && !Number.isNaN(Date.parse(from));
  if (!isDay)
    throw new EduschemaError('usage', `--from ${from} is no day`, { hint: 'write it as 2027-01-01' });
  const start = startOfPeriod(from, unit);
  if (start !== from)
    throw new EduschemaError('usage', `no ${unit} begins on ${from}`, {
      hint: `the ${unit} begins on ${start}`,
    });
}

/** What was asked for, with an end. */
export async function chooseAll(
  sql: Sql,
  request: ConvertRequest,
  { type, policy, end }: Pick<Choices, 'type' | 'policy' | 'end'>,
): Promise<Choices> {
  return {
    method: request.method ?? 'attach',
    column: request.by,
    type,
    policy,
    end,
    endLiteral: await literalOf(sql, type, policy.zone, end),
    aside: asideSuffix(end, policy.unit),
    widen: [...(request.widen ?? [])].sort(),
    dropIncoming: [...(request.dropIncoming ?? [])].sort(),
  };
}
