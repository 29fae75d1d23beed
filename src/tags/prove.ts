import { inTransaction } from '../db/in-transaction.ts';
import type { Worker } from '../db/worker.ts';
import { comparison, type SplitPlace } from './queries.ts';

/** What the texts say against what the tables say, in one snapshot. */
export interface TagProof {
  /** Pairs of an owner and a tag that the texts have and the tables do not. */
  readonly missing: number;
  /** Those that the tables have and the texts do not: they were there before, or came since. */
  readonly more: number;
  readonly same: number;
  readonly examples: readonly string[];
}

/** Compares both ways, leaving out the owners and tags that were refused. Changes nothing. */
export async function proveTags(
  worker: Worker,
  place: SplitPlace,
  refusedIds: readonly string[],
): Promise<TagProof> {
  return inTransaction(worker.session, 'ISOLATION LEVEL REPEATABLE READ', async (sql) => {
    const [found] = await sql.unsafe<(Omit<TagProof, 'examples'> & { examples: string[] | null })[]>(
      comparison(place, refusedIds),
    );
    return { missing: 0, more: 0, same: 0, ...found, examples: found?.examples ?? [] };
  });
}
