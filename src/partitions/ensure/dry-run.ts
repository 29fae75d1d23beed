import type { Session } from '../../db/connect.ts';
import { showName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { askFacts } from './ask.ts';
import { copyOf } from './copy/plan-copy.ts';
import { planCopy } from './copy/plan-script.ts';
import { decide, type Refusal } from './decide.ts';
import { planDropCheck, planDropLeftover } from './leftovers.ts';
import { rowsOf } from './make-once.ts';
import { planQuiet, planTables } from './plan-attach.ts';
import { planMove } from './plan-move.ts';
import type { EnsureOptions, Situation } from './situation.ts';

/** What would be done for a table, and what would be refused. A copy that is whole is gone on with. */
export async function planEnsure(
  { sql, facts: { versionNumber } }: Pick<Session, 'sql' | 'facts'>,
  { look, leftovers, leftCheck, copy }: Situation,
  { allowLongLock = false }: EnsureOptions,
): Promise<{ readonly steps: readonly Step[]; readonly refused: readonly Refusal[] }> {
  const clear = [...leftovers.map(planDropLeftover), ...(leftCheck ? [planDropCheck(leftCheck)] : [])];
  if (look.missing.length === 0 && !copy) return { steps: clear, refused: [] };
  const facts = await askFacts(sql, versionNumber, look);
  if (copy) {
    const begun = { ...copyOf(facts, copy.state.parts), rest: copy.state.rest, function: copy.function };
    const rest = facts.parts.filter(({ from }) => !copy.state.parts.some((part) => part.from === from));
    const quiet = [...planTables(facts, rest), ...planQuiet(facts, rest, 'scan')];
    return { steps: [...clear, ...planCopy(begun, copy), ...quiet], refused: [] };
  }
  const { moved, how, quiet, proof, refused } = decide(facts, { allowLongLock });
  const move =
    moved.length === 0
      ? []
      : how === 'copy'
        ? planCopy(copyOf(facts, moved))
        : [...planTables(facts, moved), planMove(facts, moved, rowsOf(facts, moved))];
  const attach = [...planTables(facts, quiet), ...planQuiet(facts, quiet, proof)];
  return { steps: [...clear, ...move, ...attach], refused };
}

/** Says as comments what the script does not do. */
export function describeRefused(
  name: { readonly schema: string; readonly name: string },
  refused: readonly Refusal[],
): string {
  return refused
    .map(
      ({ parts, why }) =>
        `-- not made: ${parts.map((part) => part.day).join(', ')} of ${showName(name)}: ${why}\n`,
    )
    .join('');
}
