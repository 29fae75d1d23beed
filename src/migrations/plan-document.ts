import type { Sql } from 'postgres';
import type { Database } from '../db/connect.ts';
import { dedupeLog, dedupeRuns, seedJournal } from '../db/own-tables.ts';
import { type SchemaFingerprint, takeFingerprint } from '../db/schema-fingerprint.ts';
import { toolVersion } from '../tool-version.ts';
import { hooksJournal, type Journal, repeatableJournal, statementJournal } from './journal.ts';
import { leaseTable } from './lease-table.ts';
import type { MigratePlanOptions, MigrationPlan } from './plan.ts';
import { planTable } from './plan-runs.ts';
import { describeSteps, type PlannedStep } from './plan-steps.ts';
import type { Prepared } from './prepare.ts';
import { preparationStatements } from './prepare-journal.ts';
import type { MigrationSettings } from './settings.ts';
import type { Unfinished } from './statement-journal.ts';

/** The format of plans that this version writes and reads. */
export const planFormat = 1;

/** What stands in a plan's file, beside its seal: what will run, and what it was made for. */
export interface PlanDocument {
  readonly eduschema: 'plan';
  readonly format: number;
  /** The version of eduschema. */
  readonly tool: string;
  /** ISO 8601 in UTC. */
  readonly madeAt: string;
  readonly database: PlannedDatabase;
  readonly settings: PlannedSettings;
  readonly options: PlannedOptions;
  /** What was recorded, by version and by name, with checksums. */
  readonly recorded: {
    readonly versions: Readonly<Record<string, string | null>>;
    readonly repeatable: Readonly<Record<string, string>>;
  };
  /** What the journal itself needs before the first step. */
  readonly preparation: readonly string[];
  readonly steps: readonly PlannedStep[];
  /** What runs around the steps. */
  readonly hooks: { readonly before: readonly PlannedStep[]; readonly after: readonly PlannedStep[] };
  /** Repeatable migrations whose row goes. */
  readonly forgotten: readonly string[];
  /** Of the schema; see takeFingerprint. */
  readonly fingerprint: string;
  readonly objects: Readonly<Record<string, string>>;
}

export interface PlannedDatabase {
  readonly name: string;
  /** `18.4` */
  readonly server: string;
  /** Who made the plan. Somebody else may carry it out. */
  readonly user: string;
  /** Where names without a schema lead. */
  readonly searchPath: string;
}

export interface PlannedSettings {
  readonly journal: string;
  readonly schema: string | null;
  readonly role: string | null;
}

export interface PlannedOptions {
  readonly to: string | null;
  readonly steps: number | null;
  readonly outOfOrder: boolean;
  readonly singleTransaction: boolean;
}

/** What a plan is made of. */
export interface PlanFacts {
  readonly journal: Journal;
  readonly plan: MigrationPlan;
  readonly unfinished: readonly Unfinished[];
  readonly fingerprint: SchemaFingerprint;
  readonly searchPath: string;
}

/** Describes a plan for its file. */
export function describePlan(
  { facts }: Pick<Database, 'facts'>,
  settings: MigrationSettings,
  options: Pick<MigratePlanOptions, keyof PlannedOptions>,
  { journal, plan, unfinished, fingerprint, searchPath }: PlanFacts,
  now: Date,
): PlanDocument {
  const describe = (steps: readonly Prepared[]) =>
    describeSteps(steps, unfinished, options.singleTransaction ?? false);
  return {
    eduschema: 'plan',
    format: planFormat,
    tool: toolVersion,
    madeAt: now.toISOString(),
    database: { name: facts.database, server: facts.version, user: facts.user, searchPath },
    settings: describeSettings(settings),
    options: {
      to: options.to ?? null,
      steps: options.steps ?? null,
      outOfOrder: options.outOfOrder ?? false,
      singleTransaction: options.singleTransaction ?? false,
    },
    recorded: {
      versions: Object.fromEntries(journal.rows.map(({ version, checksum }) => [version, checksum])),
      repeatable: Object.fromEntries(journal.repeatable.map(({ name, checksum }) => [name, checksum])),
    },
    preparation: plan.steps.length > 0 ? preparationStatements(journal, plan) : [],
    steps: describe(plan.steps),
    hooks: { before: describe(plan.hooks.before), after: describe(plan.hooks.after) },
    forgotten: plan.forgotten,
    fingerprint: fingerprint.sha256,
    objects: Object.fromEntries(fingerprint.objects),
  };
}

/** The settings that decide what migrations do, as a plan's file has them. */
export function describeSettings({ journal, schema, role }: MigrationSettings): PlannedSettings {
  return { journal: `${journal.schema}.${journal.name}`, schema: schema ?? null, role: role ?? null };
}

/** Where names without a schema lead in a migration. */
export async function findSearchPath(sql: Sql, { schema }: MigrationSettings): Promise<string> {
  if (schema !== undefined) return `${schema}, public`;
  const [found] = await sql<[{ path: string }]>`
    SELECT array_to_string(current_schemas(false), ', ') AS path`;
  return found.path;
}

/** The fingerprint of the schema, without what eduschema writes for itself. */
export function fingerprintOf(
  sql: Sql,
  { journal, schema }: Pick<MigrationSettings, 'journal' | 'schema'>,
): Promise<SchemaFingerprint> {
  return takeFingerprint(sql, {
    ignoredTables: [
      journal,
      repeatableJournal(journal),
      statementJournal(journal),
      hooksJournal(journal),
      leaseTable(journal),
      planTable(journal),
      dedupeRuns(journal),
      dedupeLog(journal),
      seedJournal(journal),
    ],
    // Made when they are missing, before anything runs.
    ignoredSchemas: [journal.schema, ...(schema === undefined ? [] : [schema])].filter(
      (name) => name !== 'public',
    ),
  });
}
