import type { Sql } from 'postgres';
import { describeLeftover, type Leftover, listHalfDone } from '../db/leftovers.ts';
import { describeOwned, listOwnedByOthers } from '../db/owners.ts';
import { EduschemaError } from '../errors.ts';
import { isTransactional, type Prepared } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';

/** Sees what a run leaves unfinished in a database, or owned by another role than it was to be. */
export interface LeftoverWatch {
  /** Whether it is worth a look after this migration, rather than at the end of the run. */
  mayLeave(prepared: Prepared): boolean;
  /** Tells of each thing that was left since the last look. */
  tell(name: string): Promise<void>;
  /** The error, with what its migration left. */
  addTo(error: unknown): Promise<unknown>;
}

/** What can leave a catalogue other than one expects, as words of a migration. */
const unfinished = /\bnot\s+valid\b|\bonly\b/i;
const ownership =
  /\bowner\s+to\b|\bowned\b|\bauthorization\b|\b(?:set|reset|local|session)\s+role\b|\bdiscard\s+all\b/i;

/** What was there before is not the run's. */
export async function watchLeftovers(
  sql: Sql,
  { role, onProgress }: Pick<MigrationSettings, 'role' | 'onProgress'>,
): Promise<LeftoverWatch> {
  const listOwned = async () => (role === undefined ? [] : listOwnedByOthers(sql, role));
  const known = new Set([...(await listHalfDone(sql)).map(({ id }) => id), ...(await listOwned())]);
  const isNew = (id: string) => !known.has(id);
  const listNew = async (): Promise<Leftover[]> => {
    const found = (await listHalfDone(sql)).filter(({ id }) => isNew(id));
    const owned = (await listOwned()).filter(isNew);
    for (const id of [...found.map((leftover) => leftover.id), ...owned]) known.add(id);
    return [...found, ...(await describeOwned(sql, owned, role ?? ''))];
  };
  return {
    mayLeave: (prepared) =>
      prepared.kind === 'module' ||
      !isTransactional(prepared) ||
      unfinished.test(prepared.text) ||
      (role !== undefined && ownership.test(prepared.text)),
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
  return kind === 'constraint not valid' || kind === 'owned by another'
    ? ''
    : '; the next run begins by repairing it';
}
