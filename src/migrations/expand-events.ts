import type { SqlParts } from '../sql/split.ts';
import { isMarker } from './markers.ts';

/** What is to be looked at when a text is expanded. */
export type Event = {
  readonly at: number;
  readonly kind: 'command' | 'variable' | 'placeholder' | 'marker';
  readonly end: number;
};

/** All of a text's, in its order. */
export function eventsOf(text: string, parts: SqlParts): Event[] {
  const events: Event[] = [
    ...parts.metaCommands.map(({ start, end }) => ({ at: start, end, kind: 'command' as const })),
    ...parts.colons.map((at) => ({ at, end: at, kind: 'variable' as const })),
    ...parts.placeholders.map((at) => ({ at, end: at, kind: 'placeholder' as const })),
    ...parts.commentLines
      .filter(({ start, end }) => isMarker(text.slice(start, end)))
      .map(({ start, end }) => ({ at: start, end, kind: 'marker' as const })),
  ];
  return events.sort((a, b) => a.at - b.at);
}
