import type { ServerFacts } from '../db/connect.ts';
import type { SchemaDifference } from '../db/schema-differences.ts';
import { EduschemaError } from '../errors.ts';
import { toolVersion } from '../tool-version.ts';
import { findFailure } from './failed-at.ts';
import type { Journal } from './journal.ts';
import { describeSettings, type PlanDocument, type PlannedSettings } from './plan-document.ts';
import type { PlannedStatement, PlannedStep } from './plan-steps.ts';
import type { Prepared } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';
import { canonicalVersion } from './version.ts';

/** Something that is not as it was when the plan was made. */
export interface Difference extends SchemaDifference {
  readonly of: 'setting' | 'migration' | 'journal' | 'schema';
  readonly detail?: string;
}

const majorOf = (version: string) => Number.parseInt(version, 10);

/** Whether the plan was made by this eduschema, for this database, with these settings. */
export function listSettingDifferences(
  { tool, database, settings: planned }: PlanDocument,
  facts: Pick<ServerFacts, 'database' | 'version'>,
  settings: MigrationSettings,
): Difference[] {
  const differ = (name: string, then: string | null, now: string | null): Difference[] =>
    then === now
      ? []
      : [{ of: 'setting', change: 'changed', name, detail: `${then ?? 'none'} then, ${now ?? 'none'} now` }];
  const now = describeSettings(settings);
  const names = Object.keys(now) as (keyof PlannedSettings)[];
  return [
    ...differ('version of eduschema', tool, toolVersion),
    ...differ('database', database.name, facts.database),
    // Another one prints the same definitions in another way.
    ...(majorOf(database.server) === majorOf(facts.version)
      ? []
      : differ('server', `PostgreSQL ${database.server}`, `PostgreSQL ${facts.version}`)),
    ...names.flatMap((name) => differ(name, planned[name], now[name])),
  ];
}

/** What is recorded otherwise than when the plan was made. */
export function listJournalDifferences(
  { versions, repeatable }: PlanDocument['recorded'],
  journal: Journal,
): Difference[] {
  const then = new Map(Object.entries(versions).map(([version, sum]) => [canonicalVersion(version), sum]));
  const rows = new Map(journal.rows.map((row) => [canonicalVersion(row.version), row]));
  const differences: Difference[] = [];
  const add = (change: Difference['change'], name: string, detail: string) =>
    differences.push({ of: 'journal', change, name, detail });
  for (const [key, { version, checksum }] of rows) {
    const before = then.get(key);
    if (before === undefined) add('new', version, 'it was applied since');
    // An adopted row gets its checksum when migrations are run.
    else if (before !== null && before !== checksum) add('changed', version, 'its checksum is another one');
  }
  for (const version of Object.keys(versions))
    if (!rows.has(canonicalVersion(version))) add('gone', version, 'it is no longer applied');
  const sums = new Map(journal.repeatable.map(({ name, checksum }) => [name, checksum]));
  for (const [name, checksum] of sums)
    if (!Object.hasOwn(repeatable, name)) add('new', `repeatable ${name}`, 'it was applied since');
    else if (repeatable[name] !== checksum) add('changed', `repeatable ${name}`, 'it was applied again');
  for (const name of Object.keys(repeatable))
    if (!sums.has(name)) add('gone', `repeatable ${name}`, 'it is no longer applied');
  return differences;
}

/** Steps as they would run now, and described as in a plan's file. */
export interface StepsNow {
  readonly steps: readonly Prepared[];
  readonly described: readonly PlannedStep[];
  /** The plan was begun: what was carried out since is no difference. */
  readonly begun: boolean;
}

/** What would run otherwise than as planned. */
export function listStepDifferences(
  planned: readonly PlannedStep[],
  { steps, described, begun }: StepsNow,
): Difference[] {
  const differences: Difference[] = [];
  const add = (change: Difference['change'], name: string, detail: string) =>
    differences.push({ of: 'migration', change, name, detail });
  for (const [index, step] of described.entries()) {
    const prepared = steps[index] as Prepared;
    const isHook = prepared.unit.type === 'hook';
    const then = planned.find(({ name }) => name === step.name);
    if (!then) add('new', step.name, isHook ? 'it is not in the plan' : `${step.file} is not in the plan`);
    else {
      const what = describeChange(then, step, prepared, begun);
      if (what) add('changed', step.name, what);
    }
  }
  for (const { name, file } of planned)
    if (!described.some((step) => step.name === name)) add('gone', name, `there is no ${file} to carry out`);
  return differences;
}

/** Repeatable migrations whose row would go, or would not go, otherwise than as planned. */
export function listForgottenDifferences(planned: readonly string[], now: readonly string[]): Difference[] {
  const entry = (change: Difference['change'], name: string, detail: string): Difference => ({
    of: 'migration',
    change,
    name: `repeatable ${name}`,
    detail,
  });
  return [
    ...now.filter((name) => !planned.includes(name)).map((name) => entry('gone', name, 'its file is gone')),
    ...planned.filter((name) => !now.includes(name)).map((name) => entry('new', name, 'it has a file again')),
  ];
}

function describeChange(
  then: PlannedStep,
  now: PlannedStep,
  prepared: Prepared,
  begun: boolean,
): string | undefined {
  if (then.kind !== now.kind) return `it is ${now.kind === 'code' ? 'code' : 'SQL'} now`;
  if (then.transaction !== now.transaction)
    return `its transaction: ${then.transaction} then, ${now.transaction} now`;
  const [before, after] = [then.statements ?? [], now.statements ?? []];
  const count = Math.max(before.length, after.length);
  for (let index = 0; index < count; index++) {
    const [old, own] = [before[index], after[index]];
    if (own && old && isSame(old, own)) continue;
    const what = !old
      ? 'is new'
      : !own
        ? 'is gone'
        : old.sql === own.sql
          ? 'has other data'
          : 'is another one';
    return `statement ${index + 1}${own ? placeOf(prepared, index) : ''} ${what}`;
  }
  if (then.checksum !== now.checksum)
    return then.kind === 'code'
      ? `${now.file} was edited`
      : `${now.file} was edited outside of these statements`;
  if (!begun && then.carriedOut.join() !== now.carriedOut.join())
    return `of its statements ${now.carriedOut.join(', ') || 'none'} were carried out, and ${then.carriedOut.join(', ') || 'none'} when it was planned`;
  return undefined;
}

const isSame = (a: PlannedStatement, b: PlannedStatement) =>
  a.sql === b.sql && a.data?.bytes === b.data?.bytes && a.data?.sha256 === b.data?.sha256;

function placeOf(prepared: Prepared, index: number): string {
  if (prepared.kind !== 'sql') return '';
  const statement = prepared.section.statements[index];
  const found = findFailure(
    { file: prepared.unit.file.file, text: prepared.text },
    undefined,
    statement,
    undefined,
  );
  return found ? ` at line ${found.line} of ${found.file}` : '';
}

/** How many differences are shown. */
export const shownDifferences = 10;
const keptDifferences = 200;

/** The error that refuses a plan: it says what is not as it was. */
export function planDiffers(
  shown: string,
  differences: readonly Difference[],
  { server }: { readonly server?: string | undefined } = {},
): EduschemaError {
  const lines = differences.slice(0, shownDifferences).map(describeDifference);
  const more = differences.length - shownDifferences;
  const count = differences.length === 1 ? 'one thing is' : `${differences.length} things are`;
  return new EduschemaError('plan-differs', `${count} not as when ${shown} was made: nothing was run`, {
    excerpt: [
      ...lines.map((line) => `  ${line}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
      ...(server ? ['', server] : []),
    ].join('\n'),
    hint: `find out why, then make a new plan: eduschema migrate --plan ${shown}`,
    details: { count: differences.length, differences: differences.slice(0, keptDifferences) },
  });
}

/** `changed  column public.materials.title`. */
export function describeDifference({ change, name, detail }: Omit<Difference, 'of'>): string {
  return `${change.padEnd(8)} ${name}${detail === undefined ? '' : `: ${detail}`}`;
}
