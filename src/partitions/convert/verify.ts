import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { boundsOf, findPartitionedTable, listBounds, type PartitionedTable } from '../catalogue.ts';
import { findPolicy } from '../effective-policy.ts';
import { type Day, listPeriods, type Unit } from '../period.ts';
import { daysOf } from '../split/periods.ts';
import { shown } from './choices.ts';
import type { ConvertedPartition, PartitionedFacts } from './converted.ts';
import { type PeriodProof, provePeriods, takeSnapshot } from './proof.ts';
import type { Steps } from './steps.ts';

/** The rows of an old table and the same read through the table that it is a partition of. */
export interface Verified {
  /** The old table. */
  readonly partition: QualifiedName;
  readonly periods: readonly VerifiedPeriod[];
}

export interface VerifiedPeriod extends PeriodProof {
  /** Its first day, in the zone of the policy; null before the oldest row's. */
  readonly day: Day | null;
}

/**
 * Counts and checksums of each period, read from the table that was attached, and through the partitioned one, in one
 * snapshot. Reads all rows twice and keeps nobody waiting. Throws `table-unsuitable` when nothing was attached, and
 * `proof-failed`.
 */
export async function verifyAttached(
  worker: Worker,
  name: QualifiedName,
  { converted: [first] }: PartitionedFacts,
  steps: Steps,
): Promise<Verified> {
  const { sql } = worker.session;
  if (first?.memory.method !== 'attach')
    throw new EduschemaError('table-unsuitable', `no partition of ${shown(name)} was a table once`, {
      hint: 'there is nothing to compare it with: leave --verify out',
    });
  const title = `compare ${shown(first.name)} with ${shown(name)}`;
  return steps.run(title, async () => {
    const table = await findPartitionedTable(sql, name);
    const { zone, unit = 'month' } = findPolicy(table, {});
    const days = await listDays(sql, table, first, { zone, unit });
    const bounds = await boundsOf(sql, table, zone, days);
    const partition = (await listBounds(sql, table, zone)).find(({ oid }) => oid === first.oid);
    const key = `r.${quoteIdentifier(table.column)}`;
    const end = partition?.to ? `${key} < ${quoteLiteral(partition.to.value)}` : undefined;
    // Not of the old table: a row behind its end would be one that nobody finds.
    const subject = { old: first.name, new: name, column: table.column, bounds, exceptNew: end };
    const periods = await worker.transaction(title, async (inside) => {
      await takeSnapshot(inside);
      return provePeriods(inside, subject);
    });
    const dated = periods.map((period) => ({
      ...period,
      day: days[bounds.indexOf(period.from ?? '')] ?? null,
    }));
    const wrong = dated.filter(({ equal }) => !equal);
    if (wrong.length > 0) throw differ(name, first, wrong);
    return { partition: first.name, periods: dated };
  });
}

const mostPeriods = 1000;

/** The first days of the periods that the old table has rows of; of years when they are too many. */
async function listDays(
  sql: Sql,
  { column, type }: PartitionedTable,
  { name }: ConvertedPartition,
  { zone, unit }: { readonly zone: string; readonly unit: Unit },
): Promise<Day[]> {
  const key = quoteIdentifier(column);
  const [ends] = await sql.unsafe<[{ oldest: string | null; newest: string | null }]>(
    `SELECT min(${key})::text AS oldest, max(${key})::text AS newest FROM ${quoteName(name)} WHERE ${key} > '-infinity' AND ${key} < 'infinity'`,
  );
  const found = await daysOf(sql, ends, { type, zone });
  if (found === 'none' || found === 'beyond') return [];
  const days = listPeriods(found.oldest, found.newest, unit);
  return days.length <= mostPeriods ? days : listPeriods(found.oldest, found.newest, 'year');
}

function differ(
  name: QualifiedName,
  first: ConvertedPartition,
  wrong: readonly VerifiedPeriod[],
): EduschemaError {
  const lines = wrong.slice(0, 10).map(({ day, rows }) => `  ${day ?? 'before'}: ${rows.join(' and ')} rows`);
  return new EduschemaError(
    'proof-failed',
    `${shown(first.name)} has other rows than are read through ${shown(name)}`,
    {
      excerpt: lines.join('\n'),
      hint: `nothing was lost in ${shown(first.name)}; eduschema partitions undo ${shown(name)} takes the conversion back`,
      details: { periods: wrong },
    },
  );
}
