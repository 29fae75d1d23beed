import { quoteName } from '../db/identifiers.ts';
import { createMeter } from '../db/progress-meter.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import type { Worker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { linkStatement, rangeOf, type SplitPlace } from './queries.ts';
import { idOf } from './source.ts';

/** An owner whose tags cannot be written, and why. */
export interface RefusedOwner {
  readonly id: string;
  readonly reason: string;
}

export interface Linked {
  readonly added: number;
  readonly refused: readonly RefusedOwner[];
}

/** Texts of one transaction: about a second's work. */
const usualBatch = 20_000;

/** A row that goes while its tags are written is no error: the next try does not see it. */
const triesForVanished = 3;

/**
 * Says in the table of links who has which tag, in batches by the owner's id, each a transaction. What is there stays, so
 * that a run that was cut off is gone on with by the next. Where the server refuses a batch it is halved until the owner
 * is found whose tags it is about; the others go on.
 */
export async function linkTags(
  worker: Worker,
  place: SplitPlace,
  settings: WorkSettings,
  batch = usualBatch,
): Promise<Linked> {
  const refused: RefusedOwner[] = [];
  const tell = createTeller(place, settings, await estimateRows(worker, place));
  let added = 0;
  let from: string | null = null;
  for (;;) {
    const to: string | null = place.source.idIsIndexed
      ? await idAfter(worker, place, rangeOf(place, from, null), batch)
      : null;
    added += await linkRange(worker, place, from, to, refused);
    if (to === null) return { added, refused };
    from = to;
    tell(batch);
  }
}

/** The id of the nth text in a range; null when there are fewer. */
async function idAfter(
  { session }: Worker,
  { source }: SplitPlace,
  range: string,
  count: number,
): Promise<string | null> {
  const [found] = await session.sql.unsafe<{ id: string }[]>(
    `SELECT ${idOf(source)}::text AS id FROM ${quoteName(source.table)} AS s
     WHERE ${idOf(source)} IS NOT NULL AND ${range} ORDER BY ${idOf(source)} OFFSET ${count - 1} LIMIT 1`,
  );
  return found?.id ?? null;
}

async function linkRange(
  worker: Worker,
  place: SplitPlace,
  from: string | null,
  to: string | null,
  refused: RefusedOwner[],
): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      return await worker.transaction(
        `say in ${place.target.links.schema}.${place.target.links.name} who has which tag`,
        async (sql) => (await sql.unsafe(linkStatement(place, rangeOf(place, from, to)))).count,
      );
    } catch (error) {
      const state = error instanceof EduschemaError ? String(error.details?.sqlstate) : '';
      if (!/^(22|23|P0001)/.test(state)) throw error;
      if (state === '23503' && tries < triesForVanished) continue;
      return linkHalves(worker, place, from, to, refused, error as EduschemaError);
    }
  }
}

async function linkHalves(
  worker: Worker,
  place: SplitPlace,
  from: string | null,
  to: string | null,
  refused: RefusedOwner[],
  error: EduschemaError,
): Promise<number> {
  const { source } = place;
  const range = rangeOf(place, from, to);
  const [counted] = await worker.session.sql.unsafe<{ ids: number; last: string | null }[]>(
    `SELECT count(*)::float8 AS ids, (array_agg(id::text))[1] AS last
     FROM (SELECT DISTINCT ${idOf(source)} AS id FROM ${quoteName(source.table)} AS s WHERE ${idOf(source)} IS NOT NULL AND ${range}) AS d`,
  );
  const ids = counted?.ids ?? 0;
  if (ids <= 1) {
    if (counted?.last) refused.push({ id: counted.last, reason: String(error.details?.reason) });
    return 0;
  }
  const [middle] = await worker.session.sql.unsafe<{ id: string }[]>(
    `SELECT id::text AS id FROM (SELECT DISTINCT ${idOf(source)} AS id FROM ${quoteName(source.table)} AS s
       WHERE ${idOf(source)} IS NOT NULL AND ${range}) AS d ORDER BY d.id OFFSET ${Math.floor(ids / 2) - 1} LIMIT 1`,
  );
  const half = middle?.id ?? null;
  const added = await linkRange(worker, place, from, half, refused);
  return added + (await linkRange(worker, place, half, to, refused));
}

async function estimateRows({ session }: Worker, { source }: SplitPlace): Promise<number> {
  const [found] = await session.sql.unsafe<{ rows: number }[]>(
    `SELECT greatest(reltuples, 0)::float8 AS rows FROM pg_class WHERE oid = ${source.oid}`,
  );
  return found?.rows ?? 0;
}

/** Tells once a second how many texts are done. */
function createTeller({ target }: SplitPlace, settings: WorkSettings, total: number) {
  const meter = createMeter();
  const started = performance.now();
  let [done, told] = [0, started];
  return (more: number) => {
    done += more;
    const now = performance.now();
    if (now - told < 1000) return;
    told = now;
    const count = {
      command: 'INSERT',
      relation: target.links.name,
      phase: null,
      done,
      total: Math.max(total, done),
      unit: 'rows' as const,
    };
    const seconds = Math.round((now - started) / 100) / 10;
    settings.onProgress?.({ type: 'progress', seconds, ...count, ...meter(count, now), waitingFor: [] });
  };
}
