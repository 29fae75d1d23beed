import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import { writeMark } from '../comment-mark.ts';
import { named, shown } from '../convert/choices.ts';
import { lockViews, putOn, putPolicy, rebind, samePolicies, takeOff } from '../convert/followers.ts';
import { grantTable, revokeAll } from '../convert/grants.ts';
import { putIncoming, takeIncoming } from '../convert/incoming.ts';
import { addKeyUsingIndex } from '../convert/keys.ts';
import type { Memory, TwinMark } from '../convert/memory.ts';
import { twinOf } from '../convert/names.ts';
import { moveIdentity, ownSequences } from '../convert/sequences.ts';
import { commentOn, planned } from '../convert/statements.ts';
import type { Swap } from '../convert/swap.ts';
import type { IndexDefinition, TableDescription } from '../convert/table-description.ts';
import { addIdentity, identitiesOf } from '../convert/twin.ts';
import { withSuffix } from '../partition-name.ts';
import { withoutPolicy } from '../policy.ts';

/** Everything that the way back depends on. */
export interface SwapBack {
  /** The partitioned table, as it is. */
  readonly table: TableDescription;
  /** The old one, its first partition; after a split it stands aside. */
  readonly old: TableDescription;
  readonly memory: Memory;
  /** The index of `old` for each of the table's. */
  readonly pairs: ReadonlyMap<string, string>;
  /** Partitions that have rows, which are moved afterwards, each with its comment. */
  readonly filled: readonly { readonly name: QualifiedName; readonly comment: string | null }[];
}

/**
 * Puts the old table back in the place of the partitioned one, which stands aside until all is done. Partitions with rows
 * become children of the old table, so that whoever reads it reads them as well. Nothing of it reads or writes a row.
 */
export function planSwapBack(back: SwapBack): Swap {
  const { table, old, memory, filled } = back;
  const name = quoteName(table);
  return {
    locks: [
      ...planned('views first, as those who read them do', lockViews(table), {
        locks: table.dependents.views.map((view) => `ACCESS EXCLUSIVE on ${shown(view)}`),
        waitsFor: 'whoever reads the view',
      }),
      ...planned(
        'nobody reads or writes the table until the end of this transaction',
        [`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`],
        {
          locks: [`ACCESS EXCLUSIVE on ${shown(table)} and its partitions`],
          waitsFor: `whoever reads or writes ${shown(table)}`,
        },
      ),
    ],
    work: [
      ...takeIncoming(table),
      ...planned('what can be on one of the two alone', takeOff(table)),
      ...planned(
        'the old table is one of its own again, and so are partitions with rows',
        [...(memory.method === 'attach' ? [old] : []), ...filled.map((partition) => partition.name)].map(
          (partition) => `ALTER TABLE ${name} DETACH PARTITION ${quoteName(partition)}`,
        ),
      ),
      ...planned('identities go back', planIdentities(back)),
      ...planned('the names', renameBack(back)),
      ...planned('unique keys are what they were', restoreKeys(back)),
      ...planned('the column may be null again', dropNotNull(back)),
      ...planned('serial columns go back', ownSequences(table, table)),
      ...planned('rights and policies as they are now', planRights(back)),
      ...planned('publications', planPublications(back)),
      ...planned('triggers, rules, publications', putOn(table)),
      ...putIncoming(table, table.incomingKeys),
      ...planned('what is bound to the table', rebind(table)),
      ...planned(
        'rows of other partitions are read with the table, until they are moved',
        filled.flatMap((partition) => [
          `ALTER TABLE ${quoteName(partition.name)} INHERIT ${name}`,
          ...commentOn(
            `TABLE ${quoteName(partition.name)}`,
            writeMark(partition.comment, 'moving', { to: shown(table) }),
          ),
        ]),
      ),
      ...planned('what is to be remembered', planComments(back)),
    ],
  };
}

function planIdentities({ table, old }: SwapBack): string[] {
  return identitiesOf(table).flatMap((sequence) => [
    ...addIdentity(old, sequence, table),
    ...moveIdentity(table, sequence),
  ]);
}

/** The partitioned table steps aside with its indexes and statistics, the old one takes their names. */
function renameBack({ table, old, memory, pairs }: SwapBack): string[] {
  const rename = (kind: string, from: QualifiedName, to: string) =>
    `ALTER ${kind} ${quoteName(from)} RENAME TO ${quoteIdentifier(to)}`;
  const lost = memory.lost.map((index) => index.name);
  const here = (name: string): QualifiedName => ({ schema: table.schema, name });
  const before = (name: string) => withSuffix(name, memory.aside);
  const statistics = table.statistics.filter((found) =>
    old.statistics.some((own) => own.schema === found.schema && own.name === before(found.name)),
  );
  return [
    ...table.indexes.map((index) => rename('INDEX', here(index.name), asideName(index.name))),
    ...table.statistics.map((found) => rename('STATISTICS', found, twinOf(found.name))),
    rename('TABLE', table, twinOf(table.name)),
    rename('TABLE', old, table.name),
    ...[...pairs]
      .filter(([parent]) => !lost.includes(parent))
      .map(([parent, child]) => rename('INDEX', here(child), parent)),
    ...statistics.map((found) =>
      rename('STATISTICS', { schema: found.schema, name: before(found.name) }, found.name),
    ),
  ];
}

/** Where the indexes of the partitioned table go: what is to be restored is built under the name of a twin's. */
const asideName = (name: string) => withSuffix(name, '_undone_eduschema');

/** The keys that were dropped, of indexes that are there, in the place of those with the partition key in them. */
function restoreKeys({ table, memory, pairs }: SwapBack): string[] {
  const name = quoteName(table);
  return memory.lost.flatMap((index) => {
    const wide = pairs.get(index.name);
    const own = quoteIdentifier(index.name);
    return [
      ...(wide ? [dropIndex(table, index, wide)] : []),
      index.constraint
        ? addKeyUsingIndex(index, twinOf(index.name), index.name, table)
        : `ALTER INDEX ${named(table, twinOf(index.name))} RENAME TO ${own}`,
      ...(index.identifies ? [`ALTER TABLE ${name} REPLICA IDENTITY USING INDEX ${own}`] : []),
      ...(index.clustered ? [`ALTER TABLE ${name} CLUSTER ON ${own}`] : []),
      ...commentOn(`INDEX ${named(table, index.name)}`, index.comment),
      ...commentOn(`CONSTRAINT ${own} ON ${name}`, index.constraint?.comment ?? null),
    ];
  });
}

function dropIndex(table: QualifiedName, { constraint }: IndexDefinition, name: string): string {
  return constraint
    ? `ALTER TABLE ${quoteName(table)} DROP CONSTRAINT ${quoteIdentifier(name)}`
    : `DROP INDEX ${named(table, name)}`;
}

function dropNotNull({ table, memory }: SwapBack): string[] {
  if (!memory.nullable || memory.method === 'split') return [];
  return [`ALTER TABLE ${quoteName(table)} ALTER COLUMN ${quoteIdentifier(memory.column)} DROP NOT NULL`];
}

/** The old table kept its own; what was changed on the partitioned one since then counts. */
function planRights({ table, old }: SwapBack): string[] {
  const name = quoteName(table);
  const rightsOf = ({ grants, columns }: TableDescription) =>
    JSON.stringify([grants, columns.map((column) => [column.name, column.grants])]);
  const flag = (is: boolean, was: boolean, yes: string, no: string) =>
    is === was ? [] : [`ALTER TABLE ${name} ${is ? yes : no} ROW LEVEL SECURITY`];
  return [
    ...(table.owner === old.owner ? [] : [`ALTER TABLE ${name} OWNER TO ${quoteIdentifier(table.owner)}`]),
    ...(rightsOf(table) === rightsOf(old)
      ? []
      : [...revokeAll(table, old), ...grantTable(table, { ...table, hasPlainRights: false })]),
    ...(samePolicies(table.policies, old.policies)
      ? []
      : [
          ...old.policies.map((policy) => `DROP POLICY ${quoteIdentifier(policy.name)} ON ${name}`),
          ...table.policies.flatMap((policy) => putPolicy(table, policy)),
        ]),
    ...flag(table.rowSecurity, old.rowSecurity, 'ENABLE', 'DISABLE'),
    ...flag(table.forcesRowSecurity, old.forcesRowSecurity, 'FORCE', 'NO FORCE'),
  ];
}

/** As they were, unless another partitioned table has come to need it. */
function planPublications({ table, memory }: SwapBack): string[] {
  return table.publications
    .filter(({ name, hasPartitioned }) => memory.publications.includes(name) && !hasPartitioned)
    .map(({ name }) => `ALTER PUBLICATION ${quoteIdentifier(name)} SET (publish_via_partition_root = false)`);
}

function planComments({ table, memory }: SwapBack): string[] {
  const text = withoutPolicy(table.comment);
  const mark: TwinMark = {
    of: shown(table),
    method: 'undo',
    made: '',
    left: { incoming: memory.incoming, materializedViews: table.dependents.materializedViews },
  };
  return [
    `COMMENT ON TABLE ${quoteName(table)} IS ${text === null ? 'NULL' : quoteLiteral(text)}`,
    ...commentOn(`TABLE ${quoteName(twinOf<QualifiedName>(table))}`, writeMark(null, 'twin', mark)),
  ];
}
