import type { QualifiedName } from '../../db/identifiers.ts';
import { quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { findPartitionedTable, listPartitions } from '../catalogue.ts';
import { shown } from '../convert/choices.ts';
import { listDifferences, type PeriodProof, provePeriods, takeSnapshot } from '../convert/proof.ts';
import { sameKey } from './key.ts';
import type { Pair } from './pair.ts';

/** A period in both tables, and the partition that has it. */
export interface PartitionProof extends PeriodProof {
  /** Of a time, or of none, that no period has: the default one. */
  readonly partition: string;
}

/** Two tables, compared in one snapshot. */
export interface SplitProof {
  readonly periods: readonly PartitionProof[];
  /** Changes that were noted and not yet made good in that snapshot; their rows were left out on both sides. */
  readonly noted: number;
}

const shownDifferences = 3;

/**
 * Counts and checksums of each period, in the table that is read and written and in the other, in one snapshot: all rows
 * but those of which a change is noted that the other table does not have yet. Throws `proof-failed`, naming rows.
 */
export async function proveSplit(
  worker: Worker,
  { from, to, changes, key }: Pair,
  { partitioned, column }: { readonly partitioned: QualifiedName; readonly column: string },
): Promise<SplitProof> {
  const { sql: session } = worker.session;
  const partitions = await listPartitions(session, await findPartitionedTable(session, partitioned), 'UTC');
  const [old, now] = partitioned === to ? [from, to] : [to, from];
  const subject = {
    old,
    new: now,
    column,
    bounds: partitions.flatMap((partition) => (partition.from ? [partition.from.value] : [])),
    except: `NOT EXISTS (SELECT FROM ${quoteName(changes)} AS c WHERE ${sameKey(key, 'c', 'r')})`,
  };
  const partitionOf = (period: PeriodProof) =>
    partitions.find((one) => !period.timeless && !one.isDefault && (one.from?.value ?? null) === period.from)
      ?.name.name ??
    partitions.find(({ isDefault }) => isDefault)?.name.name ??
    '';
  return worker.transaction(`compare ${shown(from)} and ${shown(to)}`, async (sql) => {
    await takeSnapshot(sql);
    const [{ noted }] = await sql.unsafe<[{ noted: number }]>(
      `SELECT count(*)::float8 AS noted FROM ${quoteName(changes)}`,
    );
    const periods = (await provePeriods(sql, subject)).map((period) => ({
      ...period,
      partition: partitionOf(period),
    }));
    const wrong = periods.filter(({ equal }) => !equal);
    if (wrong.length === 0) return { periods, noted };
    const rows = [];
    for (const period of wrong.slice(0, shownDifferences))
      for (const { table, row } of await listDifferences(sql, subject, period, shownDifferences))
        rows.push(`  ${nameOf(period)}: only in ${shown(table === 'old' ? old : now)}: ${row}`);
    throw new EduschemaError(
      'proof-failed',
      `${shown(from)} and ${shown(to)} differ in ${wrong.length === 1 ? nameOf(wrong[0] as PeriodProof) : `${wrong.length} periods`}`,
      {
        excerpt: [
          ...wrong.slice(0, 10).map((period) => `  ${nameOf(period)}: ${period.rows.join(' and ')} rows`),
          ...rows,
        ].join('\n'),
        hint: `nothing was lost in ${shown(from)}; eduschema partitions undo ${shown(partitioned === from ? from : { ...from })} takes it back`,
        details: { periods: wrong },
      },
    );
  });
}

const nameOf = ({ from, timeless }: PeriodProof) =>
  timeless ? 'rows without a time' : from === null ? 'before the first period' : `the period from ${from}`;
