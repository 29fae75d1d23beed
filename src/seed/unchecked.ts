import type { TransactionSql } from 'postgres';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { targetOf } from './column.ts';
import type { TargetTable } from './find-table.ts';
import type { SeedPart, SeedRun } from './journal.ts';
import type { Leaf } from './leaves.ts';
import type { Pair } from './plan-parts.ts';
import type { Table } from './table.ts';

/** The run that is loaded, its tables, and the runs before it. */
export interface Whole {
  readonly run: SeedRun;
  readonly pairs: readonly Pair[];
  readonly earlier: readonly SeedRun[];
}

/** A foreign key of a partition. */
interface Reference {
  readonly column: string;
  readonly parent: number;
  readonly key: string;
  /** Of how many columns it is. */
  readonly width: number;
}

/**
 * Runs `load`, which fills partitions of a table, without the server's look at each row's foreign keys, where all of
 * these hold: the role may switch that off; each key refers to a table of the seed, whose seeded rows are all there, as
 * one count shows, and stay, as this transaction wrote or locks them; and nothing else wants to know of the rows. What
 * is written can then refer to nothing but those: a key writer refuses all others. Otherwise the server looks.
 */
export async function withoutLooks(
  sql: TransactionSql,
  { table, target, leaves }: { table: Table; target: TargetTable; leaves: readonly Leaf[] },
  whole: Whole,
  load: () => Promise<void>,
): Promise<void> {
  const proven =
    (await maySwitchOff(sql)) &&
    !(await hasOtherTriggers(sql, leaves)) &&
    (await refersToSeededRows(sql, table, target, whole));
  if (!proven) return load();
  await sql.unsafe('SET LOCAL session_replication_role = replica');
  await load();
  await sql.unsafe('SET LOCAL session_replication_role = origin');
}

async function maySwitchOff(sql: TransactionSql): Promise<boolean> {
  const [role] = await sql<{ may: boolean; version: number; setting: string }[]>`
    SELECT rolsuper AS may, current_setting('server_version_num')::int AS version,
           current_setting('session_replication_role') AS setting
    FROM pg_roles WHERE rolname = current_user`;
  // Whoever has set it means it.
  if (role?.setting !== 'origin') return false;
  if (role.may || role.version < 150_000) return role.may;
  const [granted] = await sql<
    { may: boolean }[]
  >`SELECT has_parameter_privilege('session_replication_role', 'SET') AS may`;
  return granted?.may ?? false;
}

/** Whether anything beside foreign keys runs for the inserted rows: it would be passed over as well. */
async function hasOtherTriggers(sql: TransactionSql, leaves: readonly Leaf[]): Promise<boolean> {
  const found = await sql.unsafe(
    `SELECT FROM pg_trigger t LEFT JOIN pg_constraint f ON f.oid = t.tgconstraint
     WHERE t.tgrelid IN (SELECT name::regclass FROM jsonb_array_elements_text($1::text::jsonb) AS name) AND t.tgtype & 4 <> 0 AND t.tgenabled <> 'D'
       AND NOT (t.tgisinternal AND f.contype = 'f' AND t.tgenabled = 'O') LIMIT 1`,
    [JSON.stringify(leaves.map(({ name }) => quoteName(name)))],
  );
  return found.length > 0;
}

async function refersToSeededRows(
  sql: TransactionSql,
  table: Table,
  target: TargetTable,
  { run, pairs, earlier }: Whole,
): Promise<boolean> {
  const references = await sql.unsafe<Reference[]>(
    `SELECT DISTINCT a.attname AS column, f.confrelid::int8::float8 AS parent, k.attname AS key, cardinality(f.conkey) AS width
     FROM pg_constraint f
     JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
     JOIN pg_attribute k ON k.attrelid = f.confrelid AND k.attnum = f.confkey[1]
     WHERE f.contype = 'f' AND f.conrelid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))`,
    [quoteName(target.name)],
  );
  for (const { column, parent, key, width } of references) {
    const refersTo = targetOf(table.columns[column]);
    const known = pairs.find(({ made }) => made === refersTo);
    if (width !== 1 || refersTo?.kind !== 'table' || refersTo.key !== key || known?.target.oid !== parent)
      return false;
    const before = partsOf(earlier, refersTo.name);
    // To lock those of earlier runs is work for each; that must be less than a look for each new row.
    if (before.reduce((sum, { numbers }) => sum + numbers, 0) > table.rows) return false;
    for (const part of before) if (!(await areThere(sql, part, key, 'FOR KEY SHARE'))) return false;
    for (const part of partsOf([run], refersTo.name)) if (!(await areThere(sql, part, key, ''))) return false;
  }
  return true;
}

const partsOf = (runs: readonly SeedRun[], table: string) =>
  runs.flatMap(({ parts }) => parts.filter((part) => part.table === table && part.numbers > 0));

/** Whether all rows of a part are there. Those that others can see need a lock, which keeps them. */
async function areThere(
  sql: TransactionSql,
  part: SeedPart,
  key: string,
  lock: 'FOR KEY SHARE' | '',
): Promise<boolean> {
  const first = BigInt(part.firstKey ?? '0');
  const [found] = await sql.unsafe<{ rows: string }[]>(
    `SELECT count(*)::text AS rows
     FROM (SELECT FROM ${quoteName(part)}
           WHERE ${quoteIdentifier(key)} BETWEEN ${first} AND ${first + BigInt(part.numbers) - 1n} ${lock}) AS seeded`,
  );
  return found?.rows === String(part.numbers);
}
