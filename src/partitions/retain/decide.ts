import { quoteName } from '../../db/identifiers.ts';
import type { Obstacle } from './obstacles.ts';
import { type Candidate, frozenConstraint } from './queries.ts';

/** What can be done with a partition on its way out, in this order. */
export type Verb = 'detach' | 'freeze' | 'archive' | 'drop';

/** How far one goes, and how old things are. Times are ISO 8601 in UTC. */
export interface Terms {
  readonly now: string;
  /** Now, the grace period ago. */
  readonly graceAgo: string;
  /** The grace period was said on the command line, and counts instead of what was written down. */
  readonly graceSaid: boolean;
  readonly archives: boolean;
  readonly dropsWithoutArchive: boolean;
  /** Partitions that were brought back go like others. */
  readonly takesRestored: boolean;
}

/** What is to be done next with a partition, or why nothing is. */
export interface Decision {
  readonly next?: Verb | undefined;
  readonly obstacle?: Obstacle | undefined;
  /** Where it is now, when nothing is next. */
  readonly state: State;
}

/** `kept`: brought back, and left alone. `left`: something is in the way. */
export type State = 'attached' | 'detached' | 'archived' | 'dropped' | 'kept' | 'left';

/** Decides from what the catalogue says of a partition. The same again after each step, until nothing is next. */
export function decide(candidate: Candidate, terms: Terms): Decision {
  const { marks, attachedTo } = candidate;
  const table = quoteName(candidate.name);
  if (marks.altered)
    return left(
      'its mark was altered: what the comment says is not what eduschema wrote',
      `look at it; COMMENT ON TABLE ${table} IS NULL makes it an ordinary table again`,
    );
  return attachedTo === null ? decideDetached(candidate, terms) : decideAttached(candidate, terms);
}

function decideAttached({ marks, due, name }: Candidate, { now, takesRestored }: Terms): Decision {
  const { retired, restored } = marks;
  const table = quoteName(name);
  if (retired?.state === 'retired')
    return left(
      'it was attached again by hand',
      `to keep it: ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${frozenConstraint}; COMMENT ON TABLE ${table} IS NULL`,
    );
  if (!due) return { state: 'attached' };
  if (restored && !takesRestored && (restored.until === undefined || restored.until > now))
    return { state: 'kept' };
  return { state: 'attached', next: 'detach' };
}

function decideDetached({ marks: { retired }, refers }: Candidate, terms: Terms): Decision {
  if (!retired) return { state: 'detached' };
  if (retired.state === 'leaving' || refers) return { state: 'detached', next: 'freeze' };
  const { archive, dropAfter, since } = retired;
  if (archive) {
    const over = terms.graceSaid ? archive.archivedAt <= terms.graceAgo : (dropAfter ?? '~') <= terms.now;
    return { state: 'archived', next: over ? 'drop' : undefined };
  }
  if (terms.archives) return { state: 'detached', next: 'archive' };
  const drops = terms.dropsWithoutArchive && since <= terms.graceAgo;
  return { state: 'detached', next: drops ? 'drop' : undefined };
}

function left(problem: string, remedy: string): Decision {
  return { state: 'left', obstacle: { problem, remedy } };
}
