import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import type { SchemaFingerprint } from '../db/schema-fingerprint.ts';
import { toolVersion } from '../tool-version.ts';
import { fenceOf, type Lease } from './lease.ts';

/** How far the last run of a plan came, and what the schema was then. */
export interface PlanRun {
  /**
   * `running`: nobody has heard how it ended; `begun`: nor whether the hooks before it have run. `stopped`: it failed or
   * was interrupted, and said so.
   */
  readonly state: 'begun' | 'running' | 'stopped' | 'finished';
  /** Steps that were done when the schema was noted. */
  readonly done: number;
  readonly fingerprint: string;
  /** What differed by then from the plan's own objects; null for what was gone. */
  readonly changes: Readonly<Record<string, string | null>>;
  /** ISO 8601 in UTC. */
  readonly begunAt: string;
}

/** The journal of plans stands beside the journal. */
export function planTable({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_plans` };
}

/** The last run of the plan with this SHA-256; undefined when there was none. */
export async function findPlanRun(
  sql: Sql,
  journal: QualifiedName,
  sha256: string,
): Promise<PlanRun | undefined> {
  if (!(await exists(sql, journal))) return undefined;
  const [row] = await sql.unsafe<(Omit<PlanRun, 'changes'> & { changes: string })[]>(`
    SELECT state, done, fingerprint, changes::text AS changes,
           to_char(begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "begunAt"
    FROM ${quoteName(planTable(journal))} WHERE plan = ${quoteLiteral(sha256)}`);
  return row && { ...row, changes: JSON.parse(row.changes) };
}

async function exists(sql: Sql, journal: QualifiedName): Promise<boolean> {
  const [found] = await sql<[{ there: boolean }]>`
    SELECT pg_catalog.to_regclass(${quoteName(planTable(journal))}) IS NOT NULL AS there`;
  return found.there;
}

/** Writes how far a plan has come: one row a plan, kept as history. */
export interface PlanLog {
  /** A run begins, with the schema as it is. Creates the table where it is missing. */
  begin(state: PlanRun['state'], done: number, fingerprint: SchemaFingerprint): Promise<void>;
  note(state: PlanRun['state'], done: number, fingerprint: SchemaFingerprint): Promise<void>;
}

/** A plan whose runs are written down. */
export interface LoggedPlan {
  readonly sha256: string;
  readonly steps: number;
  readonly objects: Readonly<Record<string, string>>;
}

/** Opens the log of a plan's runs, which the session that holds the turn writes. */
export function openPlanLog(
  sql: Sql,
  { journal, lease }: { readonly journal: QualifiedName; readonly lease: Lease | undefined },
  { sha256, steps, objects }: LoggedPlan,
): PlanLog {
  const table = quoteName(planTable(journal));
  // As with the journal of statements: the log is written in order, after the commit of the migration that it is about.
  const write = async (statements: readonly string[]) => {
    const all = [
      'BEGIN',
      'SET LOCAL synchronous_commit = off',
      ...statements,
      ...fenceOf({ lease }),
      'COMMIT',
    ];
    await sql.unsafe(all.join('; ')).catch(async (error) => {
      await sql.unsafe('ROLLBACK').catch(() => {});
      throw error;
    });
  };
  const note = (
    state: PlanRun['state'],
    done: number,
    { sha256: fingerprint, objects: now }: SchemaFingerprint,
  ) => {
    const changes = quoteLiteral(JSON.stringify(listChanges(objects, now)));
    const row = `${quoteLiteral(sha256)}, '${state}', ${done}, ${steps}, ${quoteLiteral(fingerprint)}, ${changes}, ${quoteLiteral(toolVersion)}`;
    return `INSERT INTO ${table} (plan, state, done, steps, fingerprint, changes, tool_version) VALUES (${row})
ON CONFLICT (plan) DO UPDATE SET state = EXCLUDED.state, done = EXCLUDED.done, fingerprint = EXCLUDED.fingerprint,
  changes = EXCLUDED.changes, noted_at = clock_timestamp(), run_by = EXCLUDED.run_by, tool_version = EXCLUDED.tool_version`;
  };
  return {
    async begin(state, done, fingerprint) {
      const missing = (await exists(sql, journal)) ? [] : createTable(journal);
      await write([...missing, note(state, done, fingerprint)]);
    },
    note: (state, done, fingerprint) => write([note(state, done, fingerprint)]),
  };
}

function createTable(journal: QualifiedName): string[] {
  const table = quoteName(planTable(journal));
  return [
    ...(journal.schema === 'public'
      ? []
      : [`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(journal.schema)}`]),
    `CREATE TABLE ${table} (
  plan text PRIMARY KEY,
  state text NOT NULL,
  done integer NOT NULL,
  steps integer NOT NULL,
  fingerprint text NOT NULL,
  changes jsonb NOT NULL,
  begun_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  noted_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  run_by text NOT NULL DEFAULT session_user,
  tool_version text NOT NULL
)`,
    `COMMENT ON TABLE ${table} IS 'Plans of migrations that were carried out, written by eduschema'`,
  ];
}

/** What differs between two schemas: the hash that it has now, by kind and name; null for what is gone. */
export function listChanges(
  before: Readonly<Record<string, string>>,
  now: ReadonlyMap<string, string>,
): Record<string, string | null> {
  const changed = [...now].filter(([name, hash]) => before[name] !== hash);
  const gone = Object.keys(before).filter((name) => !now.has(name));
  return Object.fromEntries([...changed, ...gone.map((name) => [name, null] as const)]);
}
