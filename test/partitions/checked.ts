import type { Sql } from 'postgres';
import { expect } from 'vitest';
import type { Finding } from '../../src/partitions/check/finding.ts';
import { eduschema, type Outcome } from '../helpers/eduschema.ts';

interface Place {
  readonly url: string;
}

/** Runs `partitions check` and returns what it found, which its exit code must say as well. */
export async function findings({ url }: Place, options = ''): Promise<Finding[]> {
  const outcome = await eduschema(`partitions check --json ${options}`, { env: { DATABASE_URL: url } });
  const found = outcome.json().rows as unknown as Finding[];
  expect(outcome.exitCode, outcome.stdout).toBe(found.length > 0 ? 1 : 0);
  expect(outcome.json()).toMatchObject({ ok: found.length === 0, summary: { findings: found.length } });
  return found;
}

/** The same as words: `gap`, `index-missing logs_2026_12`. */
export async function codes(place: Place, options = ''): Promise<string[]> {
  const found = await findings(place, options);
  return found.map(({ code, partition }) => (partition ? `${code} ${partition.name}` : code)).sort();
}

/** Types what hints say that is SQL, statement by statement. */
export async function typeHints(sql: Sql, found: readonly Finding[]): Promise<void> {
  for (const { hint } of found) for (const statement of hint.split('; ')) await sql.unsafe(statement);
}

/** Types what a hint says that is a command line. */
export function typeCommand({ url }: Place, { hint }: Finding): Promise<Outcome> {
  const [, line = ''] = /eduschema (.*?)(?:;|$)/.exec(hint) ?? [];
  return eduschema(`${line} ${/convert|undo/.test(line) ? '--yes' : ''}`, { env: { DATABASE_URL: url } });
}
