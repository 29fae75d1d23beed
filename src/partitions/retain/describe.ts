import type { Verb } from './decide.ts';
import type { Outlook } from './outlook.ts';

const words: Readonly<Record<Verb, string>> = {
  detach: 'is detached',
  freeze: 'is detached',
  archive: 'is archived',
  drop: 'is DROPPED',
};

/** What a run is going to do, as a question for a person; empty when it does nothing. */
export function describeDepartures(outlooks: readonly Outlook[]): string {
  const lines = outlooks.flatMap(({ root, terms, rows }) =>
    rows.flatMap(({ partition, from, to, next, archive }) => {
      if (!next) return [];
      const range = from || to ? ` (${from ?? 'the beginning'} to ${to ?? 'the end'})` : '';
      const detaches = next === 'detach' || next === 'freeze';
      const then =
        next === 'drop'
          ? archive === null
            ? ' WITHOUT AN ARCHIVE'
            : `; its rows are in ${archive}`
          : root && detaches
            ? ` and archived in ${root}`
            : root
              ? ` in ${root}`
              : terms.dropsWithoutArchive
                ? ', to be dropped WITHOUT AN ARCHIVE when the grace period is over'
                : ' and stays as a table of its own';
      return [`  ${partition}${range} ${words[next]}${then}`];
    }),
  );
  if (lines.length === 0) return '';
  return `${lines.join('\n')}\n${lines.length === 1 ? 'One partition goes' : `${lines.length} partitions go`} this way.`;
}
