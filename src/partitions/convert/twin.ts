import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { withSuffix } from '../partition-name.ts';
import { type Choices, type PlannedPartition, shown } from './choices.ts';
import { grantSequence, grantTable, revokeDefaults } from './grants.ts';
import { outgoingOf } from './incoming.ts';
import { addKeyConstraint, createIndex, widenIndex } from './keys.ts';
import { proofName, twinOf } from './names.ts';
import { commentOn, optionText, planned, withOptions } from './statements.ts';
import type {
  IndexDescription,
  OwnedSequence,
  StatisticsDescription,
  TableDescription,
} from './table-description.ts';

/**
 * Makes the partitioned twin of a table, beside it and under a name of its own: columns, defaults, identities, keys with
 * the partition key in them, indexes, checks, statistics, rights. `comment` tells what it is. Triggers, rules, policies and
 * publications come when it takes the table's place.
 */
export function planTwin(table: TableDescription, choices: Choices, comment: string, hasProof = false): Step {
  const twin = twinOf(table);
  const name = quoteName(twin);
  return {
    title: `make ${shown(twin)}, the partitioned twin of ${shown(table)}`,
    transaction: true,
    statements: [
      ...planned(
        'partitioned, with the columns, defaults, checks and comments of the table',
        [
          `CREATE TABLE ${name} (LIKE ${quoteName(table)} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS EXCLUDING IDENTITY) PARTITION BY RANGE (${quoteIdentifier(choices.column)})${table.tablespace === null ? '' : ` TABLESPACE ${quoteIdentifier(table.tablespace)}`}`,
        ],
        { locks: [`ACCESS SHARE on ${shown(table)}`] },
      ),
      ...planned(
        'the end is of the table alone',
        hasProof ? [`ALTER TABLE ${name} DROP CONSTRAINT ${proofName}`] : [],
      ),
      ...planned('what it is, should the work be cut off', commentOn(`TABLE ${name}`, comment)),
      ...planned('the owner', [`ALTER TABLE ${name} OWNER TO ${quoteIdentifier(table.owner)}`]),
      ...planned('the partition key is never null', planNotNull(table, choices)),
      ...planned(
        'identities',
        identitiesOf(table).flatMap((sequence) => addIdentity(twin, sequence, table)),
      ),
      ...planned(
        'keys and indexes',
        inOrder(table.indexes).flatMap((index) => planIndex(twin, index, choices)),
      ),
      ...planned('statistics', [
        ...planColumnSettings(twin, table),
        ...table.statistics.flatMap((statistics) => planStatistics(twin, statistics)),
      ]),
      ...planned('rights', [
        ...grantTable(twin, table),
        ...(table.rowSecurity ? [`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`] : []),
        ...(table.forcesRowSecurity ? [`ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`] : []),
      ]),
      ...planned('the replica identity', planIdentifier(twin, table)),
    ],
  };
}

/** The foreign keys of the twin that it has not: apart, as they keep those waiting who write what they reference. */
export function planTwinKeys(table: TableDescription, there: readonly string[] = []): Step[] {
  const name = quoteName(twinOf<QualifiedName>(table));
  const missing = outgoingOf(table).filter((key) => !there.includes(key.name));
  return missing.map(({ name: key, definition, references, comment }) => ({
    title: `${shown(twinOf(table))} references ${shown(references)}`,
    transaction: true,
    statements: planned(
      'nothing is in it, so nothing is read',
      [
        `ALTER TABLE ${name} ADD CONSTRAINT ${quoteIdentifier(key)} ${definition}`,
        ...commentOn(`CONSTRAINT ${quoteIdentifier(key)} ON ${name}`, comment),
      ],
      {
        locks: [`SHARE ROW EXCLUSIVE on ${shown(references)}`],
        waitsFor: `whoever writes ${shown(references)}`,
      },
    ),
  }));
}

/** The sequences of identity columns. */
export const identitiesOf = ({ sequences }: TableDescription): readonly OwnedSequence[] =>
  sequences.filter(({ isIdentity }) => isIdentity);

/** NOT NULL for the twin's key; where such constraints have names (18), by the one that the table's will have. */
function planNotNull(table: TableDescription, { column }: Choices): string[] {
  if (table.columns.find(({ name }) => name === column)?.notNull) return [];
  const alter = `ALTER TABLE ${quoteName(twinOf<QualifiedName>(table))}`;
  if (table.server < 180000) return [`${alter} ALTER COLUMN ${quoteIdentifier(column)} SET NOT NULL`];
  const name = quoteIdentifier(withSuffix(table.name, `_${column}_not_null`));
  return [`${alter} ADD CONSTRAINT ${name} NOT NULL ${quoteIdentifier(column)}`];
}

/** Makes a column of `target` an identity as described, with a sequence under a name of its own. */
export function addIdentity(
  target: QualifiedName,
  sequence: OwnedSequence,
  table: TableDescription,
): string[] {
  const { column, start, increment, min, max, cache, cycle, comment } = sequence;
  const kind = table.columns.find(({ name }) => name === column)?.identity === 'a' ? 'ALWAYS' : 'BY DEFAULT';
  const own = twinOf<QualifiedName>(sequence);
  const options = `SEQUENCE NAME ${quoteName(own)} INCREMENT BY ${increment} MINVALUE ${min} MAXVALUE ${max} START WITH ${start} CACHE ${cache}${cycle ? ' CYCLE' : ''}`;
  return [
    `ALTER TABLE ${quoteName(target)} ALTER COLUMN ${quoteIdentifier(column)} ADD GENERATED ${kind} AS IDENTITY (${options})`,
    ...grantSequence(own, sequence, table),
    ...commentOn(`SEQUENCE ${quoteName(own)}`, comment),
  ];
}

/**
 * Constraints first: at ATTACH the server takes the first index of the partition that fits, and the one of a constraint
 * fits an index without one as well.
 */
export function inOrder(indexes: readonly IndexDescription[]): IndexDescription[] {
  return [
    ...indexes.filter(({ constraint }) => constraint),
    ...indexes.filter(({ constraint }) => !constraint),
  ];
}

/** Makes an index or a key of the twin, with the partition key in it; where partitions have one that fits, it is taken. */
export function planIndex(twin: QualifiedName, index: IndexDescription, { column }: Choices): string[] {
  const wide = widenIndex(index, column);
  const name = twinOf(index.name);
  const constraint = index.constraint;
  return [
    constraint ? addKeyConstraint(wide, name, twin) : createIndex(wide, name, twin),
    ...commentOn(`INDEX ${quoteName({ schema: twin.schema, name })}`, index.comment),
    ...commentOn(`CONSTRAINT ${quoteIdentifier(name)} ON ${quoteName(twin)}`, constraint?.comment ?? null),
  ];
}

/** Targets and options for the statistics of columns, which nothing inherits. */
export function planColumnSettings(
  target: QualifiedName,
  { columns }: TableDescription,
  kind: 'TABLE' | 'MATERIALIZED VIEW' = 'TABLE',
): string[] {
  return columns.flatMap(({ name, statisticsTarget, options }) => {
    const alter = `ALTER ${kind} ${quoteName(target)} ALTER COLUMN ${quoteIdentifier(name)}`;
    return [
      ...(statisticsTarget === null ? [] : [`${alter} SET STATISTICS ${statisticsTarget}`]),
      ...(options.length === 0 ? [] : [`${alter} SET (${options.map(optionText).join(', ')})`]),
    ];
  });
}

/** Makes extended statistics as described for another relation, under a name for the time being. */
export function planStatistics(twin: QualifiedName, statistics: StatisticsDescription): string[] {
  const { kinds, columns, target, comment } = statistics;
  const name = quoteName(twinOf<QualifiedName>(statistics));
  // Without a list, a single expression has statistics of its own kind.
  const list = kinds.length === 0 ? '' : ` (${kinds.join(', ')})`;
  return [
    `CREATE STATISTICS ${name}${list} ON ${columns} FROM ${quoteName(twin)}`,
    ...(target === null ? [] : [`ALTER STATISTICS ${name} SET STATISTICS ${target}`]),
    ...commentOn(`STATISTICS ${name}`, comment),
  ];
}

/** The replica identity of the twin, whose indexes are there. */
export function planIdentifier(
  twin: QualifiedName,
  { replicaIdentity, indexes }: TableDescription,
): string[] {
  const alter = `ALTER TABLE ${quoteName(twin)} REPLICA IDENTITY`;
  const index = indexes.find(({ identifies }) => identifies);
  if (replicaIdentity === 'f') return [`${alter} FULL`];
  if (replicaIdentity === 'n') return [`${alter} NOTHING`];
  return index ? [`${alter} USING INDEX ${quoteIdentifier(twinOf(index.name))}`] : [];
}

/**
 * Makes partitions of the twin, which nobody sees yet: with the storage parameters, statistics targets and replica
 * identity of the table, and without rights of their own, so that nobody goes round the policies of the partitioned table.
 */
export function planPartitions(table: TableDescription, partitions: readonly PlannedPartition[]): Step[] {
  const twin = twinOf<QualifiedName>(table);
  const referenced = outgoingOf(table).map(({ references }) => references);
  // Each by itself: they keep those waiting who write what they reference.
  return partitions.map(({ name, bound }) => ({
    title: `make the partition ${shown(name)}`,
    transaction: true,
    statements: planned(
      'a partition of the twin, which nobody uses yet',
      [
        `CREATE TABLE ${quoteName(name)} PARTITION OF ${quoteName(twin)} ${bound}${withOptions(table.options)}`,
        `ALTER TABLE ${quoteName(name)} OWNER TO ${quoteIdentifier(table.owner)}`,
        ...revokeDefaults(name, table),
        ...planColumnSettings(name, table),
        ...planPartitionIdentifier(name, table),
      ],
      {
        locks: referenced.map((other) => `SHARE ROW EXCLUSIVE on ${shown(other)}`),
        waitsFor: referenced.length === 0 ? undefined : `whoever writes ${referenced.map(shown).join(', ')}`,
      },
    ),
  }));
}

/** The replica identity of a partition. The name of its index is the server's choice: it is found as the child of the twin's. */
export function planPartitionIdentifier(partition: QualifiedName, table: TableDescription): string[] {
  const alter = `ALTER TABLE ${quoteName(partition)} REPLICA IDENTITY`;
  if (table.replicaIdentity === 'f') return [`${alter} FULL`];
  if (table.replicaIdentity === 'n') return [`${alter} NOTHING`];
  const index = table.indexes.find(({ identifies }) => identifies);
  if (!index) return [];
  const parent = quoteName({ schema: table.schema, name: twinOf(index.name) }).replaceAll("'", "''");
  const child = quoteName(partition).replaceAll("'", "''");
  return [
    `DO $eduschema$ BEGIN EXECUTE (SELECT format('${alter.replaceAll("'", "''")} USING INDEX %I', c.relname) FROM pg_catalog.pg_inherits h
  JOIN pg_catalog.pg_index x ON x.indexrelid = h.inhrelid JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
  WHERE h.inhparent = '${parent}'::pg_catalog.regclass AND x.indrelid = '${child}'::pg_catalog.regclass); END $eduschema$`,
  ];
}

/** Takes partitions off the twin again. */
export function planDropPartitions(table: QualifiedName, partitions: readonly QualifiedName[]): Step {
  return {
    title: `drop the partitions that an earlier run gave to ${shown(twinOf(table))}`,
    transaction: true,
    statements: planned('nobody uses them', [`DROP TABLE ${partitions.map(quoteName).join(', ')}`]),
  };
}

/** Takes the twin away, with its partitions: nobody ever wrote to it. */
export function planDropTwin(table: QualifiedName): Step {
  return {
    title: `drop ${shown(twinOf(table))}`,
    transaction: true,
    statements: planned('nobody uses it', [`DROP TABLE ${quoteName(twinOf<QualifiedName>(table))}`], {
      locks: ['ACCESS EXCLUSIVE on what it references'],
      waitsFor: 'whoever uses that',
    }),
  };
}
