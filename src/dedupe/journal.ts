import type { Sql, TransactionSql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { dedupeLog, dedupeRuns } from '../db/own-tables.ts';
import { toolVersion } from '../tool-version.ts';
import type { Scope } from './scope.ts';
import { nameOf } from './table-facts.ts';

/** A run as it is recorded. `stopped`: another run came in its place before it was done. */
export interface DedupeRun {
  readonly run: number;
  readonly table: QualifiedName;
  readonly state: 'running' | 'done' | 'stopped' | 'undoing' | 'undone';
  /** What was asked for, as text that is the same for the same. */
  readonly request: string;
  readonly targets: Targets;
  /** Batches that are done. */
  readonly batches: number;
  /** Duplicates that are gone. */
  readonly removed: number;
  /** The unique index that this run has made. */
  readonly enforced: string | null;
}

/** The tables and references that the log speaks of by their numbers. */
export interface Targets {
  readonly tables: readonly { readonly name: QualifiedName; readonly key: readonly string[] | null }[];
  readonly references: readonly {
    readonly child: number;
    readonly parent: number;
    readonly columns: readonly string[];
    readonly referred: readonly string[];
  }[];
  readonly sums: readonly (readonly [number, readonly string[]])[];
}

/** What a run writes down of the scope. */
export function targetsOf(
  { tables, references }: Scope,
  sums: ReadonlyMap<number, readonly string[]>,
): Targets {
  return {
    tables: tables.map((table) => ({ name: table.name, key: nameOf(table) ?? null })),
    references: references.map(({ child, parent, columns, referred }) => ({
      child,
      parent,
      columns,
      referred,
    })),
    sums: [...sums],
  };
}

/**
 * SQL that makes both tables where they are missing: without a sequence, which a plan of migrations would see, and without
 * the rights that default privileges give, as the log has rows that policies hide.
 */
export function createJournal(journal: QualifiedName): string {
  const runs = quoteName(dedupeRuns(journal));
  const log = quoteName(dedupeLog(journal));
  return `
    CREATE TABLE IF NOT EXISTS ${runs} (
      run          bigint PRIMARY KEY,
      table_schema text NOT NULL,
      table_name   text NOT NULL,
      state        text NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'undoing', 'undone')),
      request      text NOT NULL,
      targets      jsonb NOT NULL,
      batches      integer NOT NULL DEFAULT 0,
      removed      bigint NOT NULL DEFAULT 0,
      enforced     text,
      started_at   timestamptz NOT NULL DEFAULT current_timestamp,
      ended_at     timestamptz,
      run_by       text NOT NULL DEFAULT session_user,
      tool_version text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS ${log} (
      run        bigint NOT NULL REFERENCES ${runs},
      batch      integer NOT NULL,
      step       integer NOT NULL,
      op         text NOT NULL CHECK (op IN ('moved', 'removed', 'changed')),
      target     integer NOT NULL,
      keys       text[] NOT NULL,
      old_values jsonb NOT NULL,
      new_values jsonb,
      note       text,
      problem    text
    );
    CREATE INDEX IF NOT EXISTS ${indexNameOf(journal)} ON ${log} (run, batch, step);
    DO $body$ DECLARE given record; BEGIN
      FOR given IN
        SELECT c.oid::regclass AS thing, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
        WHERE c.oid IN (${quoteLiteral(runs)}::regclass, ${quoteLiteral(log)}::regclass) AND a.grantee <> c.relowner
      LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', given.thing, given.grantee);
      END LOOP;
    END $body$`;
}

const indexNameOf = (journal: QualifiedName) => quoteIdentifier(`${dedupeLog(journal).name}_steps`);

const columns = `run::float8 AS run, jsonb_build_object('schema', table_schema, 'name', table_name) AS "table", state, request,
  targets, batches, removed::float8 AS removed, enforced`;

/** The runs on a table, or on all, in their order. Empty when there never was one. */
export async function readRuns(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
  table?: QualifiedName,
): Promise<DedupeRun[]> {
  const runs = quoteName(dedupeRuns(journal));
  if (!(await hasJournal(sql, journal))) return [];
  const where = table
    ? `WHERE table_schema = ${quoteLiteral(table.schema)} AND table_name = ${quoteLiteral(table.name)}`
    : '';
  return sql.unsafe<DedupeRun[]>(`SELECT ${columns} FROM ${runs} ${where} ORDER BY run`);
}

async function hasJournal(sql: Pick<Sql, 'unsafe'>, journal: QualifiedName): Promise<boolean> {
  const name = quoteLiteral(quoteName(dedupeRuns(journal)));
  const [found] = await sql.unsafe(`SELECT to_regclass(${name}) IS NOT NULL AS there`);
  return found?.there === true;
}

/** Takes up the unfinished run that asked for the same, or begins another; makes the journal where there is none. */
export async function beginRun(
  sql: TransactionSql,
  journal: QualifiedName,
  { table, request, targets }: Pick<DedupeRun, 'table' | 'request' | 'targets'>,
): Promise<DedupeRun> {
  const runs = quoteName(dedupeRuns(journal));
  const wanted = JSON.stringify(targets);
  if (!(await hasJournal(sql, journal))) await sql.unsafe(createJournal(journal));
  await sql.unsafe(`LOCK TABLE ${runs} IN SHARE ROW EXCLUSIVE MODE`);
  const unfinished = (await readRuns(sql, journal, table)).filter(({ state }) => state === 'running');
  const same = unfinished.find((run) => run.request === request && isSame(run.targets, targets));
  for (const { run } of unfinished)
    if (run !== same?.run)
      await sql.unsafe(
        `UPDATE ${runs} SET state = 'stopped', ended_at = now() WHERE run = $1::text::bigint`,
        [String(run)],
      );
  if (same) return same;
  const [begun] = await sql.unsafe<DedupeRun[]>(
    `INSERT INTO ${runs} (run, table_schema, table_name, state, request, targets, tool_version)
     SELECT coalesce(max(run), 0) + 1, $1, $2, 'running', $3, $4::text::jsonb, $5 FROM ${runs} RETURNING ${columns}`,
    [table.schema, table.name, request, wanted, toolVersion],
  );
  return begun as DedupeRun;
}

/** SQL for the keys of the rows that an unfinished run which asked for the same has merged; undefined without one. */
export async function removedBefore(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
  table: QualifiedName,
  request: string,
): Promise<string | undefined> {
  const runs = await readRuns(sql, journal, table);
  const same = runs.find((run) => run.state === 'running' && run.request === request);
  return (
    same &&
    `SELECT keys FROM ${quoteName(dedupeLog(journal))} WHERE run = ${same.run} AND op = 'removed' AND target = 0`
  );
}

/** Ends runs that were cut off when all that they were asked for was done. */
export async function endRuns(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
  table: QualifiedName,
  request: string,
): Promise<void> {
  if (!(await hasJournal(sql, journal))) return;
  await sql.unsafe(
    `UPDATE ${quoteName(dedupeRuns(journal))} SET state = 'done', ended_at = now()
     WHERE state = 'running' AND table_schema = $1 AND table_name = $2 AND request = $3`,
    [table.schema, table.name, request],
  );
}

/** Writes what a run has come to. */
export async function updateRun(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
  run: number,
  change: { readonly [Column in 'state' | 'batches' | 'removed' | 'enforced']?: string | number | null },
): Promise<void> {
  const set = Object.entries(change).map(([column, value]) =>
    value === null ? `${column} = NULL` : `${column} = ${quoteLiteral(String(value))}`,
  );
  const ended = 'state' in change ? ['ended_at = now()'] : [];
  await sql.unsafe(
    `UPDATE ${quoteName(dedupeRuns(journal))} SET ${[...set, ...ended].join(', ')} WHERE run = ${run}`,
  );
}

/** jsonb has its own order of keys. */
function isSame(a: Targets, b: Targets): boolean {
  const sorted = (value: unknown): unknown =>
    value && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([x], [y]) => (x < y ? -1 : 1))
            .map(([k, v]) => [k, sorted(v)]),
        )
      : Array.isArray(value)
        ? value.map(sorted)
        : value;
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}
