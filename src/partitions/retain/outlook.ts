import type { Sql } from 'postgres';
import { type Bound, listPartitions, type PartitionedTable, underUtc } from '../catalogue.ts';
import { parseSpan, type Span } from '../period.ts';
import { defaultZone, readPolicy } from '../policy.ts';
import { type Decision, decide, type Terms } from './decide.ts';
import { findObstacle, readSurroundings, type Surroundings } from './obstacles.ts';
import { type Candidate, listCandidates, listRetired, readClock, showBounds } from './queries.ts';
import { localEnds, type RetainRow } from './row.ts';

/** What `retain` is told on the command line. Spans are as `parseSpan` reads them. */
export interface RetainOptions {
  readonly keep?: string | undefined;
  readonly grace?: string | undefined;
  readonly zone?: string | undefined;
  /** Folder for archives, absolute. */
  readonly archive?: string | undefined;
  readonly dropWithoutArchive?: boolean | undefined;
  /** Partitions that were brought back go as well. */
  readonly restored?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  /** The time that stands for now, ISO 8601. */
  readonly asOf?: string | undefined;
}

/** How long a retired table stays when nobody says. */
export const defaultGrace: Span = { count: 7, unit: 'day' };

/** What is to be done for one table, as it stands now. */
export interface Outlook {
  readonly table: PartitionedTable;
  readonly root: string | undefined;
  readonly terms: Terms;
  /** The end of a grace period that begins now. */
  readonly dropAfter: string;
  readonly surroundings: Surroundings;
  readonly departures: readonly Departure[];
  readonly rows: readonly RetainRow[];
}

/** A partition that is due, on its way out, or was brought back. */
export interface Departure {
  readonly candidate: Candidate;
  readonly from: Bound | null;
  readonly to: Bound | null;
  readonly decision: Decision;
}

/** Looks at what is due, and what is on its way out, of one table. Reads alone. */
export async function lookAt(sql: Sql, table: PartitionedTable, options: RetainOptions): Promise<Outlook> {
  const policy = readPolicy(table.comment);
  const zone = options.zone ?? policy.zone ?? defaultZone;
  const keep = parseSpan(options.keep ?? policy.keep ?? '', 'how long rows are kept');
  const graceText = options.grace ?? policy.grace;
  const grace = graceText === undefined ? defaultGrace : parseSpan(graceText, 'the grace period');
  const root = options.archive ?? policy.archive;
  const clock = await readClock(sql, options.asOf, grace);
  const terms: Terms = {
    now: clock.now,
    graceAgo: clock.before,
    graceSaid: options.grace !== undefined,
    archives: root !== undefined,
    dropsWithoutArchive: options.dropWithoutArchive === true,
    takesRestored: options.restored === true,
  };
  const partitions = await listPartitions(sql, table, zone);
  const surroundings = await readSurroundings(sql, table.oid);
  const age = { keep, zone, asOf: options.asOf };
  const attached = await underUtc(sql, (inside) => listCandidates(inside, table, age));
  const departures: Departure[] = [];
  for (const candidate of attached) {
    const ends = partitions.find(({ oid }) => oid === candidate.oid);
    const decision = decide(candidate, terms);
    if (decision.state === 'attached' && !decision.next) continue;
    const obstacle =
      decision.obstacle ?? (decision.next && (await findObstacle(sql, candidate, surroundings)));
    departures.push({
      candidate,
      from: ends?.from ?? null,
      to: ends?.to ?? null,
      decision: obstacle ? { state: 'left', obstacle } : decision,
    });
  }
  for (const candidate of await listRetired(sql, table.name)) {
    const { from = null, to = null } = candidate.marks.retired ?? {};
    const ends = await showBounds(sql, table, zone, { from, to });
    departures.push({ candidate, ...ends, decision: decide(candidate, terms) });
  }
  return {
    table,
    root,
    terms,
    dropAfter: clock.after,
    surroundings,
    departures,
    rows: departures.map((departure) => rowOf(table, departure)),
  };
}

/** A partition as a row of the report. */
export function rowOf(table: PartitionedTable, { candidate, from, to, decision }: Departure): RetainRow {
  const { archive, dropAfter } = candidate.marks.retired ?? {};
  return {
    table: `${table.name.schema}.${table.name.name}`,
    partition: `${candidate.name.schema}.${candidate.name.name}`,
    ...localEnds(from, to),
    rows: archive?.rows ?? candidate.rows,
    bytes: candidate.bytes,
    state: decision.state,
    next: decision.next ?? null,
    did: [],
    archive: archive?.folder ?? null,
    dropAfter: dropAfter ?? null,
    obstacle: decision.obstacle ?? null,
  };
}
