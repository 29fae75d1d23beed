import type { Database } from '../db/connect.ts';
import { type QualifiedName, quoteIdentifier, quoteName, showName } from '../db/identifiers.ts';
import { definitionAsWritten, listIndexes } from '../db/index-state.ts';
import { type Worker, withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import type { Choices } from './choices.ts';
import { type DedupePlan, type DedupeResult, type DedupeSettings, dedupe } from './dedupe.ts';
import { readRuns, updateRun } from './journal.ts';
import { keyParts } from './match.ts';
import type { DedupeRequest } from './request.ts';
import type { TableFacts } from './table-facts.ts';

/** The unique index that keeps duplicates out. */
export interface Enforced {
  /** With its schema, for a person. */
  readonly index: string;
  /** False when it was there already. */
  readonly made: boolean;
}

/** Duplicates can come while the last ones are merged: how often both are tried. */
const rounds = 3;

/**
 * Merges duplicates, then makes a unique index over the key, concurrently. Duplicates that came meanwhile are merged as
 * well. Throws `duplicates-left` when more of them come than go, and `table-unsuitable` for a partitioned table.
 */
export async function dedupeAndEnforce(
  database: Database,
  request: DedupeRequest,
  settings: DedupeSettings,
  approve?: (plan: DedupePlan) => Promise<void>,
): Promise<DedupeResult & { readonly enforced: Enforced }> {
  let result: DedupeResult | undefined;
  for (let round = 1; round <= rounds; round++) {
    const next: DedupeResult = await dedupe(database, request, settings, async (plan) => {
      refusePartitioned(plan.scope.tables[0] as TableFacts);
      await approve?.(plan);
    });
    if (result) next.tally.addAll(result.tally);
    result = { ...next, run: next.run ?? result?.run };
    const root = result.scope.tables[0] as TableFacts;
    refusePartitioned(root);
    const enforced = await enforce(database, root, result.choices, result.run, settings);
    if (enforced) return { ...result, enforced };
  }
  throw new EduschemaError(
    'duplicates-left',
    `duplicates come into ${showName(request.table)} as fast as they are merged: there is no unique index yet`,
    { hint: 'what was merged stays; find out who writes them, and run the command again' },
  );
}

function refusePartitioned({ kind, name }: TableFacts): void {
  if (kind !== 'p') return;
  throw new EduschemaError(
    'table-unsuitable',
    `${showName(name)} is partitioned, and a unique index on it must have the partition key in it`,
    { hint: 'go without --enforce' },
  );
}

/** Makes the index; undefined when the server has found duplicates. */
async function enforce(
  database: Database,
  table: TableFacts,
  choices: Choices,
  run: number | undefined,
  settings: DedupeSettings,
): Promise<Enforced | undefined> {
  const index: QualifiedName = { schema: table.name.schema, name: indexName(table.name.name, choices.key) };
  const shown = showName(index);
  return withWorker(database, `duplicates of ${showName(table.name)}`, settings, async (worker) => {
    const { sql } = worker.session;
    const name = quoteName(table.name);
    const definition = `(${keyParts(table, choices.key, choices.match, '')
      .map((part) => `(${part})`)
      .join(', ')})`;
    const found = (await listIndexes(sql, name)).find((one) => one.index === index.name);
    if (found?.valid) {
      const wanted = await definitionAsWritten(sql, {
        kind: 'create-index',
        index: index.name,
        ifNotExists: false,
        table: name,
        unique: true,
        definition,
      });
      if (wanted === found.definition) return { index: shown, made: false };
      throw new EduschemaError(
        'index-invalid',
        `there is an index ${shown}, which is made of something else`,
        {
          hint: `rename it: ALTER INDEX ${shown} RENAME TO ...`,
        },
      );
    }
    if (found) await drop(worker, index);
    await recordIndex(worker, settings, table, index, run);
    try {
      await worker.alone(
        `make ${shown}`,
        `CREATE UNIQUE INDEX CONCURRENTLY ${quoteIdentifier(index.name)} ON ${name} ${definition}`,
      );
    } catch (error) {
      if (!(error instanceof EduschemaError) || error.details?.sqlstate !== '23505') throw error;
      await drop(worker, index);
      return undefined;
    }
    return { index: shown, made: true };
  });
}

/**
 * Before it is made, so that an undo drops it even when nobody could say any more that it was; without a run of its own
 * with the last one that stands, whose rows it would keep out.
 */
async function recordIndex(
  worker: Worker,
  { journal }: DedupeSettings,
  table: TableFacts,
  index: QualifiedName,
  run: number | undefined,
): Promise<void> {
  const runs = await readRuns(worker.session.sql, journal, table.name);
  const last = runs.filter(({ state }) => state !== 'undone').at(-1);
  const owner = run ?? (last?.enforced ? undefined : last?.run);
  if (owner === undefined) return;
  await worker.transaction(`record ${showName(index)}`, (sql) =>
    updateRun(sql, journal, owner, { enforced: index.name }),
  );
}

async function drop(worker: Worker, index: QualifiedName): Promise<void> {
  await worker.alone(
    `drop ${showName(index)}, which is not whole`,
    `DROP INDEX CONCURRENTLY IF EXISTS ${quoteName(index)}`,
  );
}

/** As PostgreSQL would call it, cut in whole characters to what an identifier may have. */
export function indexName(table: string, key: readonly string[]): string {
  const suffix = '_no_duplicates';
  let name = [table, ...key].join('_');
  while (Buffer.byteLength(name + suffix) > 63) name = [...name].slice(0, -1).join('');
  return name + suffix;
}
