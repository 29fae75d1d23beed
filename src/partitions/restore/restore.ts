import type { Database } from '../../db/connect.ts';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { renderPlan, type Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { type Worker, withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { checkOfManifest } from '../archive/manifest.ts';
import type { Archive } from '../archive/read-archive.ts';
import { listForeignKeys, readTableFacts, renderKeys, writtenColumns } from '../archive/table-facts.ts';
import { findPartitionedTable, listBounds, type PartitionedTable } from '../catalogue.ts';
import { findDefaultPartition } from '../ensure/default-partition.ts';
import { dropExclusions } from '../ensure/plan-leaf.ts';
import { findSurroundings } from '../ensure/surroundings.ts';
import { parseSpan } from '../period.ts';
import { type Restored, writeMark } from '../retain/marker.ts';
import { type Candidate, readClock } from '../retain/queries.ts';
import { planLike } from './like-sibling.ts';
import { loadArchive, refuseOrphans, setComment } from './load.ts';
import { misfitOf, planJoin } from './plan.ts';
import { type Ends, findByName, findWay, type Way } from './situation.ts';
import { planThaw, thaw } from './thaw.ts';

/** What is to be brought back: an archive, or a table that was retired and is still there. */
export interface RestoreSource {
  readonly archive?: Archive | undefined;
  readonly name: QualifiedName;
  readonly parent: QualifiedName;
  readonly ends: Ends;
}

/** What `restore` is told. */
export interface RestoreOptions {
  /** How long `retain` leaves the partition alone, as `parseSpan` reads it; for ever without it. */
  readonly for?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What became of it. */
export interface RestoreResult {
  readonly partition: string;
  readonly table: string;
  readonly way: Way;
  readonly rows: number | null;
  readonly until: string | null;
  /** The SQL, of a run that was only planned. */
  readonly script?: string | undefined;
}

/**
 * Brings a partition back: its rows are loaded from the archive, or its table is taken that is still there; compared, and
 * attached without being read again. No trigger fires for its rows. A run that was cut off is gone on with, and one that
 * came to the end is not repeated. Throws `partition-occupied`, `rows-orphaned`, `archive-damaged`, `archive-differs`.
 */
export async function restore(
  database: Database,
  source: RestoreSource,
  options: RestoreOptions,
  settings: WorkSettings,
): Promise<RestoreResult> {
  const table = await findPartitionedTable(database.sql, source.parent).catch((error) => {
    throw withoutParent(error, source);
  });
  const restored = await markFor(database, source, options);
  const manifest = source.archive && checkOfManifest(source.archive.manifest);
  const result = (way: Way, script?: string): RestoreResult => ({
    partition: `${source.name.schema}.${source.name.name}`,
    table: `${table.name.schema}.${table.name.name}`,
    way,
    rows: source.archive?.manifest.data.rows ?? null,
    until: restored.until ?? null,
    ...(script === undefined ? {} : { script }),
  });
  const look = () => findWay(database.sql, table, source.name, source.ends, manifest);
  if (options.dryRun) {
    const found = await look();
    return result(found.way, await renderScript(database, table, source, restored, found, settings));
  }
  return withWorker(
    database,
    `partitions of ${table.name.schema}.${table.name.name}`,
    settings,
    async (worker) => {
      const { way, found } = await look();
      if (way === 'load') await load(database, worker, table, source, restored, settings);
      if (way === 'attach' && found) await thaw(worker, table, source, found, restored);
      if (way !== 'there')
        await carryOut(worker, await planSteps(database, table, source, restored), settings);
      return result(way);
    },
  );
}

async function markFor(
  { sql }: Database,
  { archive, parent, ends }: RestoreSource,
  { for: span }: RestoreOptions,
): Promise<Restored> {
  const length = parseSpan(span ?? '0d', 'how long it is kept');
  const { now, after } = await readClock(sql, undefined, length);
  return {
    parent,
    ...ends,
    since: now,
    ...(span === undefined ? {} : { until: after }),
    ...(archive ? { manifest: checkOfManifest(archive.manifest) } : {}),
  };
}

async function load(
  { sql }: Database,
  worker: Worker,
  table: PartitionedTable,
  { archive, name, ends }: RestoreSource & { archive?: Archive | undefined },
  restored: Restored,
  { onProgress }: WorkSettings,
): Promise<void> {
  const { manifest } = archive as Archive;
  const facts = await readTableFacts(sql, table.oid);
  const misfit = misfitOf(manifest.definition, facts);
  if (misfit)
    throw new EduschemaError(
      'archive-differs',
      `the rows do not fit into ${table.name.schema}.${table.name.name}: ${misfit}`,
      {
        hint: 'load them into a table of their own: --into <table>',
      },
    );
  const title = `load ${name.schema}.${name.name}`;
  const made = await planLike(sql, worker.session.facts.versionNumber, table, name, ends);
  onProgress?.({ type: 'started', name: title, index: 0, total: 2 });
  const started = performance.now();
  await worker.transaction(title, async (inside) => {
    await inside.unsafe(made.create);
    await loadArchive(worker.session, inside, archive as Archive, name);
    await refuseOrphans(inside, name, facts.foreignKeys);
    for (const statement of [...renderKeys(name, facts), ...made.rest]) await inside.unsafe(statement);
    await inside.unsafe(dropExclusions(quoteName(name)).sql);
    await setComment(inside, name, writeMark('', { restored }) as string);
  });
  onProgress?.({ type: 'done', name: title, durationMs: Math.round(performance.now() - started) });
}

async function planSteps(
  { sql, facts: { versionNumber } }: Database,
  table: PartitionedTable,
  { name, ends }: RestoreSource,
  restored: Restored,
): Promise<Step[]> {
  const facts = await readTableFacts(sql, table.oid);
  const own = await findByName(sql, name);
  const present = own ? await listForeignKeys(sql, own.oid) : [];
  const fallback = await findDefaultPartition(sql, await listBounds(sql, table, 'UTC'));
  const around = await findSurroundings(sql, versionNumber, table, name.schema);
  return planJoin({
    name,
    parent: table.name,
    column: table.column,
    ends,
    late: fallback ? { ...around, ...fallback } : null,
    foreignKeys: facts.foreignKeys,
    present: present.map((key) => key.name),
    columns: writtenColumns(facts.columns),
    text: own?.marks.text ?? '',
    restored,
  });
}

async function carryOut(worker: Worker, steps: readonly Step[], { onProgress }: WorkSettings): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const started = performance.now();
    onProgress?.({ type: 'started', name: step.title, index: index + 1, total: steps.length + 1 });
    await worker.carryOut(step);
    onProgress?.({ type: 'done', name: step.title, durationMs: Math.round(performance.now() - started) });
  }
}

async function renderScript(
  database: Database,
  table: PartitionedTable,
  source: RestoreSource,
  restored: Restored,
  { way, found }: { readonly way: Way; readonly found: Candidate | undefined },
  { lockTimeout = '2s' }: WorkSettings,
): Promise<string> {
  const { sql } = database;
  const shown = `${source.name.schema}.${source.name.name}`;
  if (way === 'there') return `-- ${shown} is there already: nothing to do\n`;
  const first = {
    load: `first ${shown} is made and ${source.archive?.manifest.data.rows} rows are loaded from ${source.archive?.folder}, compared, and given their keys: in one transaction, which locks nobody out`,
    attach: `first ${shown}, which was not dropped yet, is compared with its archive, and its rows with what they refer to`,
    join: `the rows of ${shown} were loaded by a run that did not come to the end`,
  }[way];
  const steps = await planSteps(database, table, source, restored);
  if (way === 'attach' && found) {
    const facts = { own: await readTableFacts(sql, found.oid), parent: await readTableFacts(sql, table.oid) };
    steps.unshift(planThaw(table, source, found, restored, facts));
  }
  return `-- ${first}\n\n${renderPlan(steps, lockTimeout)}`;
}

function withoutParent(error: unknown, { archive }: RestoreSource): unknown {
  if (!(error instanceof EduschemaError)) return error;
  return new EduschemaError(error.code, error.message, {
    hint: archive ? 'load the archive into a table of its own: --into <table>' : error.hint,
    cause: error,
  });
}
