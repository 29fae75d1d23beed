import { type Choices, shown } from './choices.ts';
import { incomingOf } from './incoming.ts';
import { lacksKey } from './keys.ts';
import type { TableDescription } from './table-description.ts';

/** What changes for those who use the table: to be read before anything is done. */
export function listNotices(table: TableDescription, choices: Choices): string[] {
  const { column, method, end } = choices;
  const name = shown(table);
  const lost = table.indexes.filter((index) => lacksKey(index, column));
  const nullable = !table.columns.find((found) => found.name === column)?.notNull;
  const { lost: incoming } = incomingOf(table, choices);
  const rowTriggers = table.triggers.filter(({ forEachRow }) => forEachRow);
  return [
    ...lost.flatMap((index) => {
      const keys = index.keys.map((key) => key ?? '...').join(', ');
      const what = index.constraint?.type === 'p' ? 'the primary key' : `unique ${index.name}`;
      return [
        `${what} (${keys}) becomes (${keys}, ${column}): ON CONFLICT (${keys}) fails from then on, ON CONFLICT (${keys}, ${column}) is what it is called`,
      ];
    }),
    ...(nullable ? [`${column} becomes NOT NULL`] : []),
    ...(method === 'attach'
      ? [
          `from the CHECK to the swap ${name} refuses rows with ${column} from ${end} on; afterwards they have partitions`,
        ]
      : []),
    ...incoming.map((key) => `${key.name} of ${shown(key.table)} is dropped`),
    ...rowTriggers
      .filter(({ asksForName }) => asksForName)
      .map(
        (trigger) => `trigger ${trigger.name} asks for the table's name, and will be told the partition's`,
      ),
    ...rowTriggers
      .filter(({ before, assigns }) => before && assigns.includes(column.toLowerCase()))
      .map(
        (trigger) =>
          `trigger ${trigger.name} sets ${column} before a row is stored: where that puts it into another partition, the INSERT fails`,
      ),
    ...table.publications
      .filter(({ viaRoot }) => !viaRoot)
      .map((publication) => `publication ${publication.name} gets publish_via_partition_root = true`),
    `COPY ${name} TO fails on partitioned tables: COPY (SELECT * FROM ${name}) TO does the same`,
  ];
}
