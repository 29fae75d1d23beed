import type { Sql } from 'postgres';
import { describeLeftover, type Leftover, listLeftovers } from '../db/leftovers.ts';
import { EduschemaError } from '../errors.ts';
import { isTransactional, type Prepared } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';

/** Sees what a run leaves unfinished in a database. */
export interface LeftoverWatch {
  /** Whether it is worth a look after this migration, rather than at the end of the run. */
  mayLeave(prepared: Prepared): boolean;
  /** Tells of each thing that was left since the last look. */
  tell(name: string): Promise<void>;
  /** The error, with what its migration left. */
  addTo(error: unknown): Promise<unknown>;
}

/** What was there before is not the run's. */
export async function watchLeftovers(
  sql: Sql,
  { onProgress }: Pick<MigrationSettings, 'onProgress'>,
): Promise<LeftoverWatch> {
  const known = new Set((await listLeftovers(sql)).map(({ id }) => id));
  const listNew = async (): Promise<Leftover[]> => {
    const found = (await listLeftovers(sql)).filter(({ id }) => !known.has(id));
    for (const { id } of found) known.add(id);
    return found;
  };
  return {
    mayLeave: (prepared) =>
      prepared.kind === 'module' ||
      !isTransactional(prepared) ||
      /\bnot\s+valid\b|\bonly\b/i.test(prepared.text),
    async tell(name) {
      for (const leftover of await listNew()) onProgress?.({ type: 'left', name, leftover });
    },
    async addTo(error) {
      if (!(error instanceof EduschemaError)) return error;
      const left = await listNew().catch(() => []);
      if (left.length === 0) return error;
      const lines = left.map((leftover) => `left behind: ${describeLeftover(leftover)}${futureOf(leftover)}`);
      return new EduschemaError(error.code, error.message, {
        excerpt: [error.excerpt, ...lines].filter(Boolean).join('\n'),
        hint: error.hint,
        cause: error.cause,
        details: { ...error.details, leftovers: left },
      });
    },
  };
}

function futureOf({ kind }: Leftover): string {
  return kind === 'constraint not valid' ? '' : '; the next run begins by repairing it';
}
