import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import { withSuffix } from '../partition-name.ts';
import { boundLiteral, type Choices, named, shown } from './choices.ts';
import { lockViews, putOn, putPolicy, rebind, takeOff } from './followers.ts';
import { incomingOf, outgoingOf, putIncoming, takeIncoming } from './incoming.ts';
import { addKeyUsingIndex, lacksKey, widenIndex } from './keys.ts';
import { proofName, twinOf, wideOf } from './names.ts';
import { moveIdentity, ownSequences } from './sequences.ts';
import { commentOn, planned } from './statements.ts';
import type { TableDescription } from './table-description.ts';
import { identitiesOf } from './twin.ts';

/** A swap in its two parts, of one transaction: between them the table is looked at again. */
export interface Swap {
  readonly locks: readonly PlannedStatement[];
  readonly work: readonly PlannedStatement[];
}

/** What the two tables say of themselves afterwards. */
export interface SwapComments {
  /** Of the partitioned table: what people wrote, and the policy. */
  readonly partitioned: string;
  /** Of the old table: what is to be known to undo it. */
  readonly old: string;
}

/** What the old table, or something on it, is called afterwards. */
export function asideOf(name: QualifiedName, { aside }: Choices): QualifiedName {
  return { schema: name.schema, name: withSuffix(name.name, aside) };
}

/**
 * Puts the twin in the place of the table: names, sequences, triggers, rules, policies, publications, foreign keys of
 * others, views, functions. The old table becomes the first partition (attach), or stands aside (split). Nothing of it
 * reads or writes a row.
 */
export function planSwap(table: TableDescription, choices: Choices, comments: SwapComments): Swap {
  const old = asideOf(table, choices);
  const { followed } = incomingOf(table, choices);
  return {
    locks: [
      ...planned('views first, as those who read them do', lockViews(table), {
        locks: table.dependents.views.map((view) => `ACCESS EXCLUSIVE on ${shown(view)}`),
        waitsFor: 'whoever reads the view',
      }),
      ...planned(
        'nobody reads or writes the table until the end of this transaction',
        [`LOCK TABLE ${quoteName(table)} IN ACCESS EXCLUSIVE MODE`],
        {
          locks: [`ACCESS EXCLUSIVE on ${shown(table)}`],
          waitsFor: `whoever reads or writes ${shown(table)}`,
        },
      ),
    ],
    work: [
      ...takeIncoming(table),
      ...planned('what can be on one of the two alone', takeOff(table)),
      ...(choices.method === 'attach' ? planKeys(table, choices) : []),
      ...planned(
        'identities go over, with where their sequences are',
        identitiesOf(table).flatMap((sequence) => moveIdentity(table, sequence)),
      ),
      ...planned('the names', renameAll(table, choices)),
      ...planned('serial columns go over', ownSequences(table, table)),
      ...(choices.method === 'attach' ? planAttach(table, choices) : []),
      ...planned('publications show the partitions as one table', showAsOne(table)),
      ...planned('triggers, rules, publications', putOn(table)),
      ...planned(
        'policies',
        table.policies.flatMap((policy) => putPolicy(table, policy)),
      ),
      ...putIncoming(table, followed),
      ...planned('what is bound to the table', rebind(table)),
      ...planned('what is to be remembered', [
        ...commentOn(`TABLE ${quoteName(table)}`, comments.partitioned),
        ...commentOn(`TABLE ${quoteName(old)}`, comments.old),
      ]),
    ],
  };
}

/** Keys with the partition key in them, of indexes that are there. */
function planKeys(table: TableDescription, choices: Choices): PlannedStatement[] {
  const name = quoteName(table);
  const column = table.columns.find((found) => found.name === choices.column);
  const lost = table.indexes.filter((index) => lacksKey(index, choices.column));
  return [
    ...planned(
      `the partition key is never null: ${proofName} proves it, nothing is read`,
      column?.notNull
        ? []
        : [`ALTER TABLE ${name} ALTER COLUMN ${quoteIdentifier(choices.column)} SET NOT NULL`],
    ),
    ...lost.flatMap((index) => {
      const wide = wideOf(index.name);
      const after = withSuffix(index.name, choices.aside);
      const drop = index.constraint
        ? `ALTER TABLE ${name} DROP CONSTRAINT ${quoteIdentifier(index.name)}`
        : `DROP INDEX ${named(table, index.name)}`;
      const take = index.constraint
        ? addKeyUsingIndex(widenIndex(index, choices.column), wide, after, table)
        : `ALTER INDEX ${named(table, wide)} RENAME TO ${quoteIdentifier(after)}`;
      const identify = `ALTER TABLE ${name} REPLICA IDENTITY USING INDEX ${quoteIdentifier(after)}`;
      return planned(`${index.name} becomes unique together with ${choices.column}`, [
        drop,
        take,
        ...(index.identifies ? [identify] : []),
      ]);
    }),
  ];
}

/** The old table steps aside with its indexes and statistics, the twin takes their names. */
function renameAll(table: TableDescription, choices: Choices): string[] {
  const rename = (kind: string, from: QualifiedName, to: string) =>
    `ALTER ${kind} ${quoteName(from)} RENAME TO ${quoteIdentifier(to)}`;
  const indexes = table.indexes.map((index) => ({ schema: table.schema, name: index.name, index }));
  // For the others there is another in their place, under its name already.
  const kept = indexes.filter(({ index }) => choices.method === 'split' || !lacksKey(index, choices.column));
  return [
    ...kept.map((index) => rename('INDEX', index, asideOf(index, choices).name)),
    ...table.statistics.map((found) => rename('STATISTICS', found, asideOf(found, choices).name)),
    rename('TABLE', table, asideOf(table, choices).name),
    rename('TABLE', twinOf<QualifiedName>(table), table.name),
    ...indexes.map((index) => rename('INDEX', twinOf<QualifiedName>(index), index.name)),
    ...table.statistics.map((found) => rename('STATISTICS', twinOf<QualifiedName>(found), found.name)),
  ];
}

function planAttach(table: TableDescription, choices: Choices): PlannedStatement[] {
  const old = asideOf(table, choices);
  const referenced = outgoingOf(table).map(({ references }) => references);
  return [
    ...planned(
      `the old table becomes the first partition: ${proofName} proves that its rows fit, nothing is read`,
      [
        `ALTER TABLE ${quoteName(table)} ATTACH PARTITION ${quoteName(old)} FOR VALUES FROM ${boundLiteral(null)} TO ${boundLiteral(choices.endLiteral)}`,
      ],
      {
        // Taking a foreign key over drops triggers of the table that it references: seen on 15 and 18.
        locks: referenced.map((other) => `ACCESS EXCLUSIVE on ${shown(other)}`),
        waitsFor: referenced.length === 0 ? undefined : `whoever uses ${referenced.map(shown).join(', ')}`,
      },
    ),
    ...planned('the bound says the same from now on', [
      `ALTER TABLE ${quoteName(old)} DROP CONSTRAINT ${proofName}`,
    ]),
  ];
}

/** Subscribers know the table by its name, and none of its partitions. */
function showAsOne({ publications }: TableDescription): string[] {
  return publications
    .filter(({ viaRoot }) => !viaRoot)
    .map(({ name }) => `ALTER PUBLICATION ${quoteIdentifier(name)} SET (publish_via_partition_root = true)`);
}
