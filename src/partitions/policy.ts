import { EduschemaError } from '../errors.ts';
import { parseSpan, type Span, type Unit, units } from './period.ts';

/** How a table is partitioned, how far ahead, and what becomes of old partitions. Spans are as `parseSpan` reads them. */
export interface Policy {
  /** Where a period begins: a zone of the server's, as `Asia/Seoul`. */
  readonly zone: string;
  readonly unit: Unit;
  /** How far ahead of today partitions are made. */
  readonly ahead: string;
  /** How long rows are kept; for ever without it. */
  readonly keep?: string | undefined;
  /** Folder for what is retired. */
  readonly archive?: string | undefined;
  /** How long a retired table stays beside its archive before it is dropped; 7d without it. */
  readonly grace?: string | undefined;
}

/** What a table without a policy, flags and configuration is given, beside its zone and unit. */
export const defaultAhead: Span = { count: 3, unit: 'month' };

/** Zone of the education schema's months, and of tables that nobody said anything of. */
export const defaultZone = 'Asia/Seoul';

const key = 'eduschema';

/**
 * The policy in a table's comment: a line of JSON, `{"eduschema":{"partitions":{...}}}`, below what people wrote. Throws
 * `config-invalid`, naming `table`, when somebody wrote a policy that is none; a line of somebody else's is none of ours.
 */
export function readPolicy(comment: string | null, table: string): Partial<Policy> {
  const { line, policy = {} } = divide(comment);
  if (line === undefined) return {};
  const what = `the policy in the comment of ${table}, ${line}`;
  if (policy === 'broken') throw invalid(what, 'it is no JSON that eduschema writes');
  return checkPolicy(policy, what);
}

/** The policy in a comment with `given` in it, which may put right what is wrong there. Throws as `readPolicy` does. */
export function changePolicy(comment: string | null, given: Partial<Policy>, table: string): Partial<Policy> {
  const { line, policy = {} } = divide(comment);
  const known = policy === 'broken' ? {} : policy;
  return checkPolicy({ ...known, ...given }, `the policy in the comment of ${table}, ${line}`);
}

/** The comment with the policy in it, and what people wrote above it; without an empty policy. */
export function writePolicy(comment: string | null, policy: Partial<Policy>): string {
  const { text } = divide(comment);
  const given = Object.fromEntries(keys.flatMap((name) => (policy[name] ? [[name, policy[name]]] : [])));
  const line = Object.keys(given).length > 0 ? JSON.stringify({ [key]: { partitions: given } }) : '';
  return [text, line].filter(Boolean).join('\n');
}

interface Divided {
  readonly text: string;
  readonly line?: string;
  readonly policy?: Readonly<Record<string, unknown>> | 'broken';
}

/** What people wrote, without the policy; null when they wrote nothing. */
export function withoutPolicy(comment: string | null): string | null {
  const { text } = divide(comment);
  return text === '' ? null : text;
}

function divide(comment: string | null): Divided {
  const lines = (comment ?? '').split('\n');
  for (const [at, line] of lines.entries()) {
    const policy = parse(line) ?? (line.startsWith(`{"${key}":{"partitions":`) && 'broken');
    if (policy) return { text: lines.filter((_, index) => index !== at).join('\n'), line, policy };
  }
  return { text: comment ?? '' };
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith(`{"${key}"`)) return undefined;
  try {
    const found = JSON.parse(line)?.[key]?.partitions;
    return typeof found === 'object' && found !== null ? found : undefined;
  } catch {
    return undefined;
  }
}

const keys: readonly (keyof Policy)[] = ['zone', 'unit', 'ahead', 'keep', 'archive', 'grace'];
const spans: readonly (keyof Policy)[] = ['ahead', 'keep', 'grace'];

/**
 * The policy among `values`, without what is undefined. Throws `config-invalid`, naming `what` holds it, when a unit is
 * none, a span is no length of time, or a value is no text.
 */
export function checkPolicy(values: Readonly<Record<string, unknown>>, what: string): Partial<Policy> {
  const given = keys.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]] as const]));
  for (const [name, value] of given) {
    if (typeof value !== 'string' || value === '') throw invalid(what, `${name} is no text`);
    if (name === 'unit' && !units.some((known) => known === value))
      throw invalid(what, `the unit "${value}" is not one of ${units.join(', ')}`);
    if (spans.includes(name)) checkSpan(value, name, what);
  }
  return Object.fromEntries(given);
}

function checkSpan(value: string, name: string, what: string): void {
  try {
    parseSpan(value, name);
  } catch (error) {
    throw invalid(what, (error as Error).message, 'write it as 3mo, 90d, 2w, 1q or 5y');
  }
}

function invalid(what: string, why: string, hint?: string): EduschemaError {
  return new EduschemaError('config-invalid', `${what}: ${why}`, { hint });
}
