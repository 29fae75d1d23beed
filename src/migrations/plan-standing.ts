import { listSchemaDifferences, type SchemaDifference } from '../db/schema-differences.ts';
import type { SchemaFingerprint } from '../db/schema-fingerprint.ts';
import type { Journal } from './journal.ts';
import type { Difference } from './plan-differences.ts';
import type { PlanDocument } from './plan-document.ts';
import type { PlanRun } from './plan-runs.ts';
import type { PlannedStep } from './plan-steps.ts';
import { canonicalVersion } from './version.ts';

/** How far a plan was carried out, by the journal. */
export interface Standing {
  /** How many steps, from the first one on, are recorded as the plan has them. */
  readonly done: number;
  /** The journal without what they recorded: as it was when the plan was made, if nobody else wrote to it. */
  readonly before: Journal;
}

/** Finds out how far a plan was carried out. `begun`: it was, so that the rows which it forgets are gone already. */
export function standingOf(plan: PlanDocument, journal: Journal, begun: boolean): Standing {
  const { steps, recorded, forgotten } = plan;
  const versions = new Set(Object.keys(recorded.versions).map(canonicalVersion));
  const checksums = new Map([
    ...journal.rows.flatMap(({ version, checksum }) =>
      versions.has(canonicalVersion(version)) ? [] : [[keyOf(version), checksum] as const],
    ),
    ...journal.repeatable.flatMap(({ name, checksum }) =>
      recorded.repeatable[name] === checksum ? [] : [[name, checksum] as const],
    ),
  ]);
  const isRecorded = (step: PlannedStep) => checksums.get(keyOfStep(step)) === step.checksum;
  const open = steps.findIndex((step) => !isRecorded(step));
  const done = open < 0 ? steps.length : open;
  const keys = new Set(steps.slice(0, done).map(keyOfStep));
  const row = (name: string) => {
    const checksum = recorded.repeatable[name];
    return checksum === undefined ? [] : [{ name, checksum, appliedAt: '' }];
  };
  const known = new Set(journal.repeatable.map(({ name }) => name));
  return {
    done,
    before: {
      ...journal,
      rows: journal.rows.filter(({ version }) => !keys.has(keyOf(version))),
      repeatable: [
        ...journal.repeatable.flatMap((entry) => (keys.has(entry.name) ? row(entry.name) : [entry])),
        ...(begun ? forgotten.filter((name) => !known.has(name)).flatMap(row) : []),
      ],
    },
  };
}

/** Versions and names of repeatable migrations in one map: a name has no number and a colon in front. */
const keyOf = (version: string) => `version:${canonicalVersion(version)}`;

const keyOfStep = ({ version, description }: PlannedStep) =>
  version === null ? description : keyOf(version);

/** What the journal says against going on with a plan that was begun, or was not. */
export function listRunDifferences(
  { steps }: PlanDocument,
  done: number,
  run: PlanRun | undefined,
): Difference[] {
  const name = (list: readonly PlannedStep[], change: Difference['change'], detail: string) =>
    list.map((step): Difference => ({ of: 'journal', change, name: step.name, detail }));
  if (done === steps.length) return [];
  if (!run) return name(steps.slice(0, done), 'new', 'it was applied since, and not by this plan');
  if (done < run.done) return name(steps.slice(done, run.done), 'gone', 'it was rolled back since');
  return run.state === 'stopped'
    ? name(steps.slice(run.done, done), 'new', 'it was applied since, and not by this plan')
    : [];
}

/** The schema beside what it is expected to be. */
export interface SchemaVerdict {
  readonly differences: readonly SchemaDifference[];
  /** The steps and hooks that these are laid to: the last run ended in the middle of them, or before it could note the schema. */
  readonly laidTo: readonly PlannedStep[];
}

/**
 * Compares the schema with the plan's, or with what the last run of the plan noted. Where that run was killed, what it
 * did since its last note cannot be told from what others did; then the differences are laid to its steps.
 * `nextIsOpen`: the next step runs outside a transaction, and was or may have been begun.
 */
export function judgeSchema(
  { steps, hooks, objects, fingerprint }: PlanDocument,
  run: PlanRun | undefined,
  { done, nextIsOpen }: { readonly done: number; readonly nextIsOpen: boolean },
  now: SchemaFingerprint,
): SchemaVerdict {
  const fits = now.sha256 === (run ?? { fingerprint }).fingerprint;
  if (fits || (done === 0 && now.sha256 === fingerprint)) return { differences: [], laidTo: [] };
  const expected = new Map(Object.entries({ ...objects, ...run?.changes }).flatMap(asObject));
  const begun = run ? steps.slice(run.done, nextIsOpen ? done + 1 : done) : [];
  const killed = run?.state === 'begun' ? [...hooks.before, ...begun] : begun;
  const laidTo = run?.state === 'begun' || run?.state === 'running' ? killed : [];
  return { differences: listSchemaDifferences(expected, now.objects), laidTo };
}

const asObject = ([name, hash]: [string, string | null]): [string, string][] =>
  hash === null ? [] : [[name, hash]];
