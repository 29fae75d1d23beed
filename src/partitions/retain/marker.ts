import { createHash } from 'node:crypto';
import type { QualifiedName } from '../../db/identifiers.ts';

/** What the comment of a partition on its way out says of it. */
export interface Retired {
  /** `leaving`: about to be detached. `retired`: detached, and takes no rows any more. */
  readonly state: 'leaving' | 'retired';
  /** The table that it was a partition of, and its ends as PostgreSQL writes them under UTC. */
  readonly parent: QualifiedName;
  readonly from: string | null;
  readonly to: string | null;
  /** ISO 8601 in UTC, by the server's clock. */
  readonly since: string;
  readonly archive?: ArchiveMark | undefined;
  /** When it may be dropped; without it, not. */
  readonly dropAfter?: string | undefined;
}

/** The archive of a partition, as it was when it was read back. */
export interface ArchiveMark {
  readonly folder: string;
  readonly rows: number;
  /** SHA-256 of the file with the rows, and the check of the manifest. */
  readonly sha256: string;
  readonly manifest: string;
  readonly archivedAt: string;
}

/** What the comment of a partition that was brought back says of it. */
export interface Restored {
  /** Where it belongs: a run that is cut off in the middle is gone on with by its name alone. */
  readonly parent: QualifiedName;
  readonly from: string | null;
  readonly to: string | null;
  readonly since: string;
  /** Until when `retain` leaves it alone; for ever without it. */
  readonly until?: string | undefined;
  /** The check of the manifest that it came from. */
  readonly manifest?: string | undefined;
}

/** What a comment says of a partition: one of these, or nothing. */
export interface Marks {
  readonly retired?: Retired | undefined;
  readonly restored?: Restored | undefined;
  /** There is a mark, but somebody changed it. */
  readonly altered: boolean;
  /** What people wrote beside it. */
  readonly text: string;
}

const begins = ['{"eduschema":{"retired":', '{"eduschema":{"restored":'];

/** Reads the mark in a comment: a line of JSON below what people wrote. */
export function readMarks(comment: string | null): Marks {
  const lines = (comment ?? '').split('\n');
  const at = lines.findIndex((line) => begins.some((begin) => line.startsWith(begin)));
  if (at < 0) return { altered: false, text: comment ?? '' };
  const text = lines.filter((_, index) => index !== at).join('\n');
  const line = lines[at] as string;
  try {
    const { retired, restored } = JSON.parse(line).eduschema;
    const mark = retired ? { retired } : { restored };
    const { check, ...facts } = retired ?? restored;
    const whole = renderMark(retired ? { retired: facts } : { restored: facts });
    return whole === line
      ? { ...(retired ? { retired: facts } : { restored: facts }), altered: false, text }
      : { ...mark, altered: true, text };
  } catch {
    return { altered: true, text };
  }
}

/** The comment with a mark in it, or without any. Null: none. */
export function writeMark(
  text: string,
  mark?: { readonly retired: Retired } | { readonly restored: Restored },
): string | null {
  if (!mark) return text === '' ? null : text;
  return text === '' ? renderMark(mark) : `${text}\n${renderMark(mark)}`;
}

/** With a check, as what it says decides whether a table is dropped. */
function renderMark(mark: { readonly retired: Retired } | { readonly restored: Restored }): string {
  const [[kind, facts] = []] = Object.entries(mark);
  const check = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  return JSON.stringify({ eduschema: { [kind as string]: { ...facts, check } } });
}
