import { type Span, type Unit, units } from './period.ts';

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
}

/** What a table without a policy, flags and configuration is given, beside its zone and unit. */
export const defaultAhead: Span = { count: 3, unit: 'month' };

/** Zone of the education schema's months, and of tables that nobody said anything of. */
export const defaultZone = 'Asia/Seoul';

const key = 'eduschema';

/** The policy in a table's comment: a line of JSON, `{"eduschema":{"partitions":{...}}}`, below what people wrote. */
export function readPolicy(comment: string | null): Partial<Policy> {
  const { policy } = divide(comment);
  return policy ?? {};
}

/** The comment with the policy in it, and what people wrote above it. */
export function writePolicy(comment: string | null, policy: Policy): string {
  const { text } = divide(comment);
  const line = JSON.stringify({ [key]: { partitions: policy } });
  return text === '' ? line : `${text}\n${line}`;
}

/** What people wrote, without the policy; null when they wrote nothing. */
export function withoutPolicy(comment: string | null): string | null {
  const { text } = divide(comment);
  return text === '' ? null : text;
}

function divide(comment: string | null): { readonly text: string; readonly policy?: Partial<Policy> } {
  const lines = (comment ?? '').split('\n');
  const at = lines.findIndex((line) => line.startsWith(`{"${key}"`));
  const policy = at < 0 ? undefined : parse(lines[at] as string);
  if (!policy) return { text: comment ?? '' };
  return { text: lines.filter((_, index) => index !== at).join('\n'), policy };
}

/** Undefined for what is no policy: somebody else's line stays what it is. */
function parse(line: string): Partial<Policy> | undefined {
  try {
    const found = JSON.parse(line)?.[key]?.partitions;
    if (typeof found !== 'object' || found === null) return undefined;
    const { zone, unit, ahead, keep, archive } = found as Record<string, unknown>;
    const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
    return Object.fromEntries(
      Object.entries({
        zone: text(zone),
        unit: units.find((known) => known === unit),
        ahead: text(ahead),
        keep: text(keep),
        archive: text(archive),
      }).filter(([, value]) => value !== undefined),
    );
  } catch {
    return undefined;
  }
}
