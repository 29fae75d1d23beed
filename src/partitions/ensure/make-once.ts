import type { Database } from '../../db/connect.ts';
import { type QualifiedName, quoteName, showName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { askCatalogue, type CatalogueFacts, withWaiting } from './ask.ts';
import { carryOutCopy, discardCopy } from './copy/carry-out-copy.ts';
import type { FoundCopy } from './copy/copy-state.ts';
import { type Copy, copyOf } from './copy/plan-copy.ts';
import { decide, type EnsureFacts, type Refusal } from './decide.ts';
import { planDropCheck, planDropLeftover } from './leftovers.ts';
import { planQuiet, planTables } from './plan-attach.ts';
import { planMove } from './plan-move.ts';
import { type EnsureOptions, findSituation, type Situation } from './situation.ts';

/** A run over one table. */
export interface Run {
  readonly database: Database;
  readonly worker: Worker;
  readonly settings: WorkSettings;
  readonly options: EnsureOptions;
  /** Our own sessions, whose transactions are not waited for. */
  readonly ownPids: readonly number[];
  readonly carryOut: (step: Step) => Promise<void>;
  /** What was attached, by its name as SQL: how many rows waited for it. */
  readonly made: Map<string, number>;
}

/** A look at the table, and what counts for what is missing, where nothing is in the way of it. */
export interface CloseLook {
  readonly situation: Situation;
  readonly facts: CatalogueFacts | undefined;
}

/** Looks at the table in the database's own session. */
export async function lookClosely(
  { sql, facts: { versionNumber } }: Database,
  name: QualifiedName,
  options: EnsureOptions,
): Promise<CloseLook> {
  const situation = await findSituation(sql, name, options);
  const { look, leftovers, leftCheck } = situation;
  // What was left has names, and is taken away first.
  const isClear = leftovers.length === 0 && !leftCheck && look.missing.length > 0;
  return { situation, facts: isClear ? await askCatalogue(sql, versionNumber, look) : undefined };
}

/** What one look at the table came to. */
export interface Outcome {
  readonly refused: readonly Refusal[];
  /** False: look again, as more may be missing. */
  readonly isOver: boolean;
}

const lookAgain: Outcome = { refused: [], isOver: false };

/** Takes away what an earlier run left, or goes on with it; then makes what is missing: first what rows wait for. */
export async function makeOnce(run: Run, { situation, facts }: CloseLook): Promise<Outcome> {
  const { worker, carryOut, options } = run;
  const { look, leftovers, leftCheck, copy } = situation;
  const { sql, facts: server } = worker.session;
  for (const leftover of leftovers) await carryOut(planDropLeftover(leftover));
  if (leftCheck) await carryOut(planDropCheck(leftCheck));
  if (look.missing.length === 0 && !copy) return { refused: [], isOver: true };
  const known = facts ?? (await askCatalogue(sql, server.versionNumber, look));
  const asked = await withWaiting(sql, known);
  if (copy) return goOn(run, asked, copy);
  tellOddities(run.settings, asked);
  const { moved, how, quiet, proof, refused } = decide(asked, options);
  if (moved.length > 0) {
    if (how === 'copy') await carryOutCopy(run, copyOf(asked, moved), undefined);
    else
      for (const step of [...planTables(asked, moved), planMove(asked, moved, rowsOf(asked, moved))])
        await carryOut(step);
    remember(run, asked, moved);
    return lookAgain;
  }
  for (const step of [...planTables(asked, quiet), ...planQuiet(asked, quiet, proof)]) await carryOut(step);
  remember(run, asked, quiet);
  return { refused, isOver: true };
}

async function goOn(run: Run, facts: EnsureFacts, found: FoundCopy): Promise<Outcome> {
  const copy: Copy = {
    ...copyOf(facts, found.state.parts),
    rest: found.state.rest,
    function: found.function,
  };
  const name = showName(copy.from);
  const say = (message: string) => run.settings.onProgress?.({ type: 'log', message });
  if (found.isWhole) {
    say(`going on with the copy of ${name}`);
    await carryOutCopy(run, copy, found);
    remember(run, facts, copy.parts);
  } else {
    say(`tables of the copy of ${name} are gone or have other columns than the table: beginning again`);
    await discardCopy(run, copy, found.tables);
  }
  return lookAgain;
}

type Range = Pick<EnsureFacts['parts'][number], 'name' | 'from'>;

/** How many rows wait for these. */
export function rowsOf(facts: EnsureFacts, parts: readonly Range[]): number {
  return parts.reduce((sum, part) => sum + rowsFor(facts, part), 0);
}

function rowsFor({ parts, waiting }: EnsureFacts, { from }: Range): number {
  return waiting.ranges[parts.findIndex((part) => part.from === from)] ?? 0;
}

function remember({ made }: Run, facts: EnsureFacts, parts: readonly Range[]): void {
  for (const part of parts) made.set(quoteName(part.name), rowsFor(facts, part));
}

function tellOddities({ onProgress }: WorkSettings, { parts, sibling }: EnsureFacts): void {
  const say = (message: string) => onProgress?.({ type: 'log', message });
  for (const { name, taken } of parts)
    if (taken) say(`${showName(name)} has a number behind it, as ${taken} has the name without`);
  if (sibling && sibling.extras.length > 0)
    say(
      `${showName(sibling.name)} has what its parent did not give it, and new partitions will not have: ${sibling.extras.join(', ')}`,
    );
}
