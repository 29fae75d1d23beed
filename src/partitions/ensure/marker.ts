import type { QualifiedName } from '../../db/identifiers.ts';

/** What the comment of a table says that eduschema made and that is no partition, or not yet. */
export interface Marker {
  readonly of: QualifiedName;
  /** `made`: to be attached, empty until then. `copy`: part of a copy. `replaced`: its rows are all elsewhere. */
  readonly state: 'made' | 'copy' | 'replaced';
}

const start = '{"eduschema":{"partition":';

/** How comments with a marker begin, for LIKE. */
export const markerPattern = `${start}%`;

/** The comment of such a table. */
export function writeMarker({ of: { schema, name }, state }: Marker): string {
  return JSON.stringify({ eduschema: { partition: { of: { schema, name }, state } } });
}

/** The marker in a comment; undefined for any other comment. */
export function readMarker(comment: string | null): Marker | undefined {
  if (!comment?.startsWith(start)) return undefined;
  try {
    const { of, state } = JSON.parse(comment).eduschema.partition;
    const known = ['made', 'copy', 'replaced'].includes(state);
    return known && typeof of.schema === 'string' && typeof of.name === 'string' ? { of, state } : undefined;
  } catch {
    return undefined;
  }
}

/** A comment without the lines that eduschema wrote into it. */
export function withoutOurs(comment: string | null): string | null {
  const lines = (comment ?? '').split('\n').filter((line) => !line.startsWith('{"eduschema":'));
  return lines.join('\n').trim() === '' ? null : lines.join('\n');
}
