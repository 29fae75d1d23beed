import type { Step } from '../../db/plan.ts';
import type { Worker } from '../../db/worker.ts';
import { checkOfManifest } from '../archive/manifest.ts';
import { placeOf } from '../archive/place.ts';
import { verifyArchive } from '../archive/read-archive.ts';
import { listForeignKeys } from '../archive/table-facts.ts';
import type { Bound, PartitionedTable } from '../catalogue.ts';
import { archivePartition } from './archive-partition.ts';
import type { Verb } from './decide.ts';
import { dropPartition } from './drop-partition.ts';
import type { Retired } from './marker.ts';
import { findObstacle, type Obstacle, type Surroundings } from './obstacles.ts';
import { planDetach, planFreeze, planMark, planRelease } from './plan.ts';
import type { Candidate } from './queries.ts';

/** What all partitions of a run have in common. */
export interface RetireContext {
  readonly worker: Worker;
  readonly table: PartitionedTable;
  readonly surroundings: Surroundings;
  /** Folder for archives; without it nothing is archived. */
  readonly root: string | undefined;
  /** The time, and the end of the grace period that begins now. */
  readonly now: string;
  readonly dropAfter: string;
  /** Runs a part of the work, and tells of it. */
  readonly during: <T>(title: string, work: () => Promise<T>) => Promise<T>;
  readonly say: (message: string) => void;
}

/** The ends of a partition, while it is attached. */
export interface Ends {
  readonly from: Bound | null;
  readonly to: Bound | null;
}

/** Carries out one verb on one partition. Returns what is in the way, when that shows before anything is done. */
export async function retire(
  context: RetireContext,
  candidate: Candidate,
  ends: Ends,
  verb: Verb,
): Promise<Obstacle | undefined> {
  switch (verb) {
    case 'detach':
      return detach(context, candidate, ends);
    case 'freeze':
      await carryOut(context, [planFreeze(candidate, candidate.marks.retired as Retired)]);
      return release(context, candidate);
    case 'archive':
      return archive(context, candidate);
    case 'drop':
      return dropPartition(context, candidate);
  }
}

async function detach(
  context: RetireContext,
  candidate: Candidate,
  ends: Ends,
): Promise<Obstacle | undefined> {
  const { worker, table, surroundings, now } = context;
  const obstacle = await findObstacle(worker.session.sql, candidate, surroundings);
  if (obstacle) return obstacle;
  const steps = planDetach(
    candidate,
    {
      parent: table.name,
      default: surroundings.default,
      foreignKeys: await listForeignKeys(worker.session.sql, candidate.oid),
      referring: surroundings.references.map((reference) => reference.table),
    },
    { parent: table.name, from: ends.from?.value ?? null, to: ends.to?.value ?? null, since: now },
  );
  await carryOut(context, steps);
  return release(context, candidate);
}

async function release(context: RetireContext, { oid, name }: Candidate): Promise<undefined> {
  await carryOut(context, planRelease(name, await listForeignKeys(context.worker.session.sql, oid)));
}

async function carryOut({ worker, during }: RetireContext, steps: readonly Step[]): Promise<void> {
  for (const step of steps) await during(step.title, () => worker.carryOut(step));
}

async function archive(context: RetireContext, candidate: Candidate): Promise<undefined> {
  const { worker, root, now, dropAfter } = context;
  const { retired } = candidate.marks as { retired: Retired };
  const { session } = worker;
  const shown = nameOf(candidate);
  await release(context, candidate);
  const place = await placeOf(root as string, session.facts.database, candidate.name);
  const written = await context.during(`archive ${shown}`, () =>
    worker.transaction(`archive ${shown}`, (sql) =>
      archivePartition(session, sql, candidate, place, {
        table: context.table,
        from: retired.from,
        to: retired.to,
        now,
      }),
    ),
  );
  await context.during(`read the archive of ${shown} back`, () => verifyArchive(written));
  const { folder, manifest } = written;
  const mark = {
    folder,
    rows: manifest.data.rows,
    sha256: manifest.file.sha256,
    manifest: checkOfManifest(manifest),
    archivedAt: now,
  };
  await carryOut(context, [planMark(candidate, { ...retired, archive: mark, dropAfter })]);
}

const nameOf = ({ name }: Candidate) => `${name.schema}.${name.name}`;
