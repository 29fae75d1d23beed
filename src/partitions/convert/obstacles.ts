import { type Choices, shown } from './choices.ts';
import { incomingOf, isSame } from './incoming.ts';
import { lacksKey } from './keys.ts';
import type { RowFacts } from './row-facts.ts';
import type { Owned, TableDescription } from './table-description.ts';

/** A reason why a table cannot be converted as it is. */
export interface Obstacle {
  readonly what: string;
  /** What to do about it. */
  readonly remedy: string;
}

type Chosen = Pick<Choices, 'column' | 'widen' | 'dropIncoming' | 'end'>;

/** Everything that stands in the way of partitioning the table, all at once and before anything is changed. */
export function listObstacles(table: TableDescription, chosen: Chosen): Obstacle[] {
  return [
    ...ofItsKind(table),
    ...ofKeys(table, chosen),
    ...ofConstraints(table),
    ...ofIncoming(table, chosen),
    ...ofFollowers(table, chosen),
    ...listRightObstacles(table),
  ];
}

function ofItsKind(table: TableDescription): Obstacle[] {
  const name = shown(table);
  const reasons: [boolean, string, string][] = [
    [table.persistence === 'u', `${name} is unlogged`, `ALTER TABLE ${name} SET LOGGED`],
    [table.persistence === 't', `${name} is a temporary table`, 'convert a permanent one'],
    [table.isPartition, `${name} is a partition itself`, 'convert the table that it belongs to'],
    [
      table.parents > 0 && !table.isPartition,
      `${name} inherits from another table`,
      `ALTER TABLE ${name} NO INHERIT ...`,
    ],
    [
      table.children > 0,
      `${table.children} tables inherit from ${name}`,
      'move their rows into it, and drop them',
    ],
    [table.typed, `${name} is a table of a type (CREATE TABLE ... OF)`, `ALTER TABLE ${name} NOT OF`],
    [
      table.extension !== null,
      `${name} belongs to the extension ${table.extension}`,
      'leave it to the extension',
    ],
    [
      table.securityLabels > 0,
      `${name} has security labels, which do not follow`,
      'take them off, and put them on again afterwards',
    ],
    [
      table.isSubscribed,
      `a subscription writes to ${name}, and would leave the new table out`,
      'convert it when the subscription is gone',
    ],
  ];
  return reasons.flatMap(([found, what, remedy]) => (found ? [{ what, remedy }] : []));
}

function ofKeys({ indexes }: TableDescription, { column, widen }: Chosen): Obstacle[] {
  const unique = indexes.filter(
    (index) => lacksKey(index, column) && index.constraint?.type !== 'p' && index.constraint?.type !== 'x',
  );
  const nameOf = (keys: readonly (string | null)[]) => keys.map((key) => key ?? '...').join(', ');
  // What remains of a key when the partition key is in it may be there twice then.
  const seen = new Map<string, string>();
  const twice = indexes.flatMap((index) => {
    if (!index.unique) return [];
    const definition = JSON.stringify([
      lacksKey(index, column) ? [...index.keys, column] : index.keys,
      index.partial,
      index.includes,
    ]);
    const other = seen.get(definition);
    seen.set(definition, index.name);
    return other === undefined || index.keys.includes(null) ? [] : [{ index: index.name, other }];
  });
  return [
    ...unique
      .filter(({ name }) => !widen.includes(name))
      .map(({ name, keys }) => ({
        what: `${name} is unique over (${nameOf(keys)}), and partitions cannot keep that: without ${column} a key is unique in each of them alone`,
        remedy: `--widen ${name} makes it unique over (${nameOf(keys)}, ${column}); or drop it`,
      })),
    ...twice.map(({ index, other }) => ({
      what: `${index} and ${other} would be the same unique index`,
      remedy: 'drop one of them',
    })),
    ...indexes
      .filter(({ constraint }) => constraint?.type === 'x' || constraint?.temporal)
      .map(({ name }) => ({ what: `${name} excludes overlaps, which partitions cannot`, remedy: 'drop it' })),
    ...indexes
      .filter(({ valid }) => !valid)
      .map(({ name }) => ({
        what: `the index ${name} is invalid`,
        remedy: `REINDEX INDEX CONCURRENTLY ${name}, or DROP INDEX CONCURRENTLY ${name}`,
      })),
  ];
}

function ofConstraints({ checks, foreignKeys, ...table }: TableDescription): Obstacle[] {
  const name = shown(table);
  return [
    ...[...checks, ...foreignKeys].flatMap((constraint) => {
      if (!constraint.enforced)
        return [
          { what: `the constraint ${constraint.name} is not enforced`, remedy: 'enforce it, or drop it' },
        ];
      if (constraint.validated) return [];
      return [
        {
          what: `the constraint ${constraint.name} is not validated`,
          remedy: `ALTER TABLE ${name} VALIDATE CONSTRAINT ${constraint.name}`,
        },
      ];
    }),
    ...checks
      .filter(({ inheritable }) => !inheritable)
      .map((check) => ({
        what: `the constraint ${check.name} is NO INHERIT: partitions would be without it`,
        remedy: 'replace it by one without NO INHERIT',
      })),
  ];
}

function ofIncoming(table: TableDescription, { column, dropIncoming }: Chosen): Obstacle[] {
  const { followed, lost } = incomingOf(table, { column });
  const named = (key: { readonly name: string }) => dropIncoming.includes(key.name);
  return [
    ...lost
      .filter((key) => !named(key))
      .map((key) => ({
        what: `${key.name} of ${shown(key.table)} references (${key.keys.join(', ')}), which will not be unique by itself any more`,
        remedy: `--drop-incoming-fk ${key.name} drops it; undo brings it back`,
      })),
    ...followed
      .filter((key) => isSame(key.table, table))
      .map((key) => ({
        what: `${key.name} references the table itself, which would be read for it at the swap`,
        remedy: `drop it, and add it again afterwards`,
      })),
    ...table.incomingKeys
      .filter(({ validated }) => !validated)
      .map((key) => ({
        what: `${key.name} of ${shown(key.table)} is not validated`,
        remedy: `ALTER TABLE ${shown(key.table)} VALIDATE CONSTRAINT ${key.name}`,
      })),
    ...followed
      .filter((key) => key.tableKind === 'p' && table.server < 180000)
      .map((key) => ({
        what: `${key.name} belongs to the partitioned table ${shown(key.table)}: before PostgreSQL 18 it cannot be made without reading all of it`,
        remedy: 'drop it, and add it again afterwards',
      })),
  ];
}

function ofFollowers(
  { triggers, publications, dependents, indexes }: TableDescription,
  { column }: Chosen,
): Obstacle[] {
  const widened = indexes.some((index) => lacksKey(index, column));
  return [
    ...triggers
      .filter(({ forEachRow, seesTables }) => forEachRow && seesTables)
      .map(({ name }) => ({
        what: `the trigger ${name} is FOR EACH ROW with a transition table, which partitions cannot have`,
        remedy: 'make it FOR EACH STATEMENT',
      })),
    ...publications
      .filter(({ viaRoot, hasPartitioned }) => !viaRoot && hasPartitioned)
      .map(({ name }) => ({
        what: `the publication ${name} publishes partitions by their own names, and has other partitioned tables: subscribers would not find these of ours`,
        remedy: `ALTER PUBLICATION ${name} SET (publish_via_partition_root = true), when its subscribers are ready for it`,
      })),
    ...publications
      .filter(({ columns }) => widened && columns !== null && !columns.includes(column))
      .map(({ name }) => ({
        what: `the publication ${name} leaves ${column} out, which will be part of the replica identity`,
        remedy: `add ${column} to its columns`,
      })),
    ...dependents.others.map((other) => ({
      what: `${other} is bound to the table, and cannot be bound to another`,
      remedy: 'drop it, and create it again afterwards',
    })),
  ];
}

/** What the session may not change, and would have to. */
export function listRightObstacles({
  publications,
  dependents,
  incomingKeys,
  statistics,
}: TableDescription): Obstacle[] {
  const things: [string, Owned][] = [
    ...statistics.map((found): [string, Owned] => [`the statistics object ${shown(found)}`, found]),
    ...dependents.views.map((view): [string, Owned] => [`the view ${shown(view)}`, view]),
    ...dependents.materializedViews.map((view): [string, Owned] => [
      `the materialized view ${shown(view)}`,
      view,
    ]),
    ...dependents.functions.map((found): [string, Owned] => [`the function ${found.identity}`, found]),
    ...dependents.policies.map((policy): [string, Owned] => [
      `the policy ${policy.name} of ${shown(policy.table)}`,
      policy,
    ]),
    ...dependents.rules.map((rule): [string, Owned] => [
      `the rule ${rule.name} of ${shown(rule.table)}`,
      rule,
    ]),
    ...incomingKeys.map((key): [string, Owned] => [
      `the table ${shown(key.table)}, whose ${key.name} references it,`,
      key,
    ]),
    ...publications
      .filter(({ listed, viaRoot }) => listed || !viaRoot)
      .map((publication): [string, Owned] => [`the publication ${publication.name}`, publication]),
  ];
  return things
    .filter(([, { mine }]) => !mine)
    .map(([what, { owner }]) => ({
      what: `${what} belongs to ${owner}`,
      remedy: `use a role that may act as ${owner}`,
    }));
}

/** What stands in the way among the rows. `shownEnd` is the end of the first partition for a person. */
export function listRowObstacles(
  { nulls, infinite, beyond, newest }: RowFacts,
  { column, end }: Chosen,
): Obstacle[] {
  const rows = (count: number) => (count === 1 ? '1 row has' : `${count} rows have`);
  return [
    ...(nulls > 0
      ? [{ what: `${rows(nulls)} no ${column}`, remedy: `give them one: UPDATE ... WHERE ${column} IS NULL` }]
      : []),
    ...(infinite > 0
      ? [
          {
            what: `${rows(infinite)} ${column} = infinity, which is in no period`,
            remedy: 'give them a time',
          },
        ]
      : []),
    ...(beyond > 0
      ? [
          {
            what: `${rows(beyond)} ${column} from ${end} on, where the first partition is to end (the latest: ${newest} UTC)`,
            remedy: '--from <day> sets a later end; or correct them',
          },
        ]
      : []),
  ];
}
