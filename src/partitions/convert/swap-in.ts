import type { TransactionSql } from 'postgres';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { writeMark } from '../comment-mark.ts';
import { writePolicy } from '../policy.ts';
import { type Choices, shown } from './choices.ts';
import { describeTable } from './describe-table.ts';
import { fingerprintOf } from './fingerprint.ts';
import { incomingOf, outgoingOf } from './incoming.ts';
import { lacksKey } from './keys.ts';
import type { Memory } from './memory.ts';
import { planSwap, type Swap } from './swap.ts';
import type { TableDescription } from './table-description.ts';
import { findVersion } from './table-version.ts';

/** What the old table remembers, for undo. */
export function memoryOf(table: TableDescription, choices: Choices): Memory {
  const { method, column, aside } = choices;
  return {
    method,
    column,
    aside,
    nullable: !table.columns.find(({ name }) => name === column)?.notNull,
    lost:
      method === 'attach'
        ? table.indexes.filter((index) => lacksKey(index, column)).map(({ oid: _oid, ...index }) => index)
        : [],
    incoming: incomingOf(table, choices).lost,
    publications: table.publications.filter(({ viaRoot }) => !viaRoot).map(({ name }) => name),
    materializedViews: table.dependents.materializedViews,
    fileNode: table.fileNode,
    ...(method === 'split' ? { foreignKeys: outgoingOf(table) } : {}),
  };
}

/** The swap, with what both tables say of themselves afterwards. */
export function planMarkedSwap(table: TableDescription, choices: Choices): Swap {
  return planSwap(table, choices, {
    partitioned: writePolicy(table.comment, choices.policy),
    old: writeMark(table.comment, 'was', memoryOf(table, choices)),
  });
}

/** What a swap came to. */
export interface SwapResult {
  /** False when somebody had changed the table since its twin was made: nothing was done. */
  readonly swapped: boolean;
  /** Milliseconds from the moment that the table was locked to the last statement. */
  readonly lockedMs: number;
}

/**
 * Swaps the twin in, when the table under the lock is what it was when the twin was made, and looks at what came of it
 * before anybody else can see it. `prove` throws to take all of it back.
 */
export async function swapIn(
  worker: Worker,
  { table, choices }: { readonly table: TableDescription; readonly choices: Choices },
  prove: (sql: TransactionSql, before: ReadonlySet<number>) => Promise<void>,
): Promise<SwapResult> {
  const title = `put the twin in the place of ${shown(table)}`;
  const { locks, work } = planMarkedSwap(table, choices);
  const { versionNumber } = worker.session.facts;
  // One snapshot, so that nothing comes between what the table is and who last changed it.
  const early = await worker.session.sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (sql) => ({
    found: await describeTable(sql, table, versionNumber),
    version: await findVersion(sql, table.oid),
  }));
  const isSame = early.found && fingerprintOf(early.found, choices) === fingerprintOf(table, choices);
  if (!isSame || early.found?.oid !== table.oid) return { swapped: false, lockedMs: 0 };
  return worker.transaction(title, async (sql) => {
    await sql.unsafe(`SET LOCAL search_path = ''; SET LOCAL plan_cache_mode = force_generic_plan`);
    await worker.together(sql, title, locks);
    const lockedAt = performance.now();
    if ((await findVersion(sql, table.oid)) !== early.version) return { swapped: false, lockedMs: 0 };
    const indexes = await listIndexOids(sql, table.oid);
    await worker.together(sql, title, work);
    await prove(sql, indexes);
    return { swapped: true, lockedMs: performance.now() - lockedAt };
  });
}

async function listIndexOids(sql: TransactionSql, table: number): Promise<ReadonlySet<number>> {
  const rows = await sql.unsafe<{ oid: number }[]>(
    `SELECT indexrelid::int8::float8 AS oid FROM pg_catalog.pg_index WHERE indrelid = ${table}`,
  );
  return new Set(rows.map(({ oid }) => oid));
}

/**
 * Proves that the old table became a partition as it was: the same file, none of its rows read, each index of the
 * partitioned table has one of those that were there, each foreign key is the one that was there. Throws `proof-failed`.
 */
export async function proveAttached(
  sql: TransactionSql,
  table: TableDescription,
  before: ReadonlySet<number>,
): Promise<void> {
  const [facts] = await sql.unsafe<
    [
      {
        fileNode: number;
        attached: boolean;
        unmatched: number;
        indexes: number[] | string;
        keys: number;
        triggers: number;
      },
    ]
  >(
    `SELECT pg_catalog.pg_relation_filenode(o.oid)::int8::float8 AS "fileNode", h.inhparent IS NOT NULL AS attached,
       (SELECT count(*)::int FROM pg_catalog.pg_index x WHERE x.indrelid = h.inhparent AND (NOT x.indisvalid OR NOT EXISTS (
          SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_index y ON y.indexrelid = i.inhrelid
          WHERE i.inhparent = x.indexrelid AND y.indrelid = o.oid))) AS unmatched,
       (SELECT coalesce(json_agg(x.indexrelid::int8), '[]')::text FROM pg_catalog.pg_index x WHERE x.indrelid = o.oid) AS indexes,
       (SELECT count(*)::int FROM pg_catalog.pg_constraint k WHERE k.conrelid = o.oid AND k.contype = 'f' AND k.convalidated
          AND k.conparentid <> 0) AS keys,
       (SELECT count(*)::int FROM pg_catalog.pg_trigger t WHERE t.tgrelid = h.inhparent AND NOT t.tgisinternal) AS triggers
     FROM (SELECT ${table.oid}::oid AS oid) o LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = o.oid`,
  );
  const indexes: number[] = JSON.parse(String(facts.indexes));
  const wrong = [
    facts.attached ? '' : 'it is no partition',
    facts.fileNode === table.fileNode
      ? ''
      : `its rows are in the file ${facts.fileNode}, and were in ${table.fileNode}`,
    facts.unmatched === 0 ? '' : `${facts.unmatched} indexes of the partitioned table have none of it`,
    indexes.every((oid) => before.has(oid)) ? '' : 'an index was built anew',
    facts.keys === outgoingOf(table).length
      ? ''
      : `${facts.keys} of its ${outgoingOf(table).length} foreign keys were taken over`,
    facts.triggers === table.triggers.length
      ? ''
      : `${facts.triggers} of its ${table.triggers.length} triggers are there`,
  ].filter(Boolean);
  if (wrong.length === 0) return;
  throw new EduschemaError(
    'proof-failed',
    `${shown(table)} did not become a partition as it was: ${wrong.join('; ')}`,
    {
      hint: 'all of it was taken back; please report this',
    },
  );
}
