import { type QualifiedName, quoteName } from '../../db/identifiers.ts';

/** What the comment of a partition says until it is attached: whose it is to be, and of what range. */
export interface Marker {
  /** The parent, as SQL. */
  readonly of: string;
  readonly from: string;
  readonly to: string;
}

const start = '{"eduschema":{"partition":';

/** How comments with a marker begin, for LIKE. */
export const markerPattern = `${start}%`;

/** The comment of a table that is made and not attached yet. */
export function writeMarker(parent: QualifiedName, { from, to }: Pick<Marker, 'from' | 'to'>): string {
  return JSON.stringify({ eduschema: { partition: { of: quoteName(parent), from, to } } });
}

/** The marker in a comment; undefined for any other comment. */
export function readMarker(comment: string | null): Marker | undefined {
  if (!comment?.startsWith(start)) return undefined;
  try {
    const { of, from, to } = JSON.parse(comment).eduschema.partition;
    return [of, from, to].every((part) => typeof part === 'string') ? { of, from, to } : undefined;
  } catch {
    return undefined;
  }
}

const replacedStart = '{"eduschema":{"replaced":';

/** How comments of replaced default partitions begin, for LIKE. */
export const replacedPattern = `${replacedStart}%`;

/** The comment of a default partition whose rows are all in others now, and that is to be dropped. */
export function writeReplaced(parent: QualifiedName): string {
  return JSON.stringify({ eduschema: { replaced: { of: quoteName(parent) } } });
}

/** The parent that such a comment names, as SQL; undefined for any other comment. */
export function readReplaced(comment: string): string | undefined {
  if (!comment.startsWith(replacedStart)) return undefined;
  try {
    const { of } = JSON.parse(comment).eduschema.replaced;
    return typeof of === 'string' ? of : undefined;
  } catch {
    return undefined;
  }
}

/** A comment without the lines that eduschema wrote into it. */
export function withoutOurs(comment: string | null): string | null {
  const lines = (comment ?? '').split('\n').filter((line) => !line.startsWith('{"eduschema":'));
  return lines.join('\n').trim() === '' ? null : lines.join('\n');
}
