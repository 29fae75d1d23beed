import type { Sql } from 'postgres';
import { quoteName, showName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { type BoundedPartition, listBounds, type PartitionedTable } from '../catalogue.ts';
import { type EffectivePolicy, findPolicy, type PolicySources } from '../effective-policy.ts';
import { readClock } from '../ensure/look.ts';
import type { Span } from '../period.ts';
import { judgeDefault } from './default-rows.ts';
import type { Finding, Found } from './finding.ts';
import { judgeForeignKeys } from './foreign-keys.ts';
import { judgeIndexes } from './indexes.ts';
import { judgeGaps, judgeRunway } from './ranges.ts';
import { judgeStatistics } from './statistics.ts';
import { judgeLeftovers } from './unfinished.ts';
import { judgeZone } from './zone.ts';

/** What a table is checked by. */
export interface CheckOptions {
  readonly sources: PolicySources;
  /** How far ahead of today partitions are to reach; without it two thirds of the policy's `ahead`. */
  readonly runway?: Span | undefined;
}

/** What a look at a table came to. */
export interface CheckedTable {
  readonly partitions: number;
  readonly findings: readonly Finding[];
}

/** Looks at all of a table, in a dozen queries whatever it has of partitions. A policy that is none is a finding too. */
export async function checkTable(
  sql: Sql,
  versionNumber: number,
  table: PartitionedTable,
  { sources, runway }: CheckOptions,
): Promise<CheckedTable> {
  const known = await findKnown(sql, table, sources);
  const ofTable = ({ code, partition, message, hint }: Found): Finding => ({
    code,
    table: table.name,
    partition,
    message,
    hint,
  });
  if ('code' in known) return { partitions: 0, findings: [ofTable(known)] };
  const { partitions, policy } = known;
  const wanted = { ...policy, ...(await readClock(sql, policy.zone)), table, runway };
  const found = [
    ...judgeRunway(partitions, wanted),
    ...judgeGaps(partitions, wanted),
    ...(await judgeZone(sql, table, partitions, policy)),
    ...(await judgeDefault(sql, table, partitions, policy.zone)),
    ...judgePending(table, partitions),
    ...(await judgeIndexes(sql, table, partitions)),
    ...(await judgeStatistics(sql, versionNumber, table, partitions)),
    ...(await judgeForeignKeys(sql, table)),
    ...(await judgeLeftovers(sql, table)),
  ];
  return { partitions: partitions.length, findings: found.map(ofTable) };
}

interface Known {
  readonly policy: EffectivePolicy;
  readonly partitions: readonly BoundedPartition[];
}

async function findKnown(sql: Sql, table: PartitionedTable, sources: PolicySources): Promise<Known | Found> {
  try {
    const partitions = await listBounds(sql, table, findPolicy(table, sources).zone);
    return { partitions, policy: findPolicy(table, sources, partitions) };
  } catch (error) {
    // What flags say was looked at before.
    if (!(error instanceof EduschemaError) || !['config-invalid', 'usage'].includes(error.code)) throw error;
    return {
      code: 'policy-invalid',
      partition: null,
      message: error.message,
      hint:
        error.hint ??
        `write what is wrong anew: eduschema partitions policy ${showName(table.name)} --<option> <value>`,
    };
  }
}

function judgePending(table: PartitionedTable, partitions: readonly BoundedPartition[]): Found[] {
  return partitions
    .filter(({ detachPending }) => detachPending)
    .map(({ name }) => ({
      code: 'detach-pending',
      partition: name,
      message: 'a concurrent detach of it began and did not end: its rows are not read through the table',
      hint: `ALTER TABLE ${quoteName(table.name)} DETACH PARTITION ${quoteName(name)} FINALIZE`,
    }));
}
