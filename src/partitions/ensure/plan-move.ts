import { type QualifiedName, quoteIdentifier, quoteName, showName } from '../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import { withSuffix } from '../partition-name.ts';
import { inAnyRange, inRange } from './bound-condition.ts';
import type { EnsureFacts } from './decide.ts';
import type { DefaultPartition } from './default-partition.ts';
import type { NewPartition } from './names.ts';
import { countOf, planAttach } from './plan-attach.ts';
import { silence, type Trigger, wake } from './triggers.ts';

/**
 * The step that attaches partitions for which rows wait in the default one, and moves the rows, in one transaction.
 * It locks the parent first: a reader who waits for the default partition alone has planned without the new one, and
 * would see the rows in neither.
 * The rows are inserted after ATTACH, so that a publication by way of the root publishes them as rows of the root.
 */
export function planMove(facts: EnsureFacts, parts: readonly NewPartition[], rows: number): Step {
  const { table, fallback, surroundings } = facts;
  const from = (fallback as NonNullable<EnsureFacts['fallback']>).name;
  const aside = { schema: from.schema, name: withSuffix(from.name, '_moved') };
  const columns = surroundings.columns.map(quoteIdentifier).join(', ');
  const column = quoteIdentifier(table.column);
  const waiting = inAnyRange(column, parts);
  return {
    title: `move ${countOf(rows, 'row')} and attach ${countOf(parts.length, 'partition')} to ${showName(table.name)}`,
    transaction: true,
    statements: [
      ...lockForMove(table.name, from),
      {
        sql: `CREATE UNLOGGED TABLE ${quoteName(aside)} AS SELECT ${columns} FROM ONLY ${quoteName(from)} WHERE ${waiting}`,
        why: 'the rows that wait',
      },
      ...planDelete(facts, `DELETE FROM ONLY ${quoteName(from)} WHERE ${waiting}`),
      ...planAttach(facts, parts),
      ...parts.flatMap(({ name, ...range }) =>
        withoutTriggers(name, surroundings.insertTriggers, [
          {
            sql: `INSERT INTO ${quoteName(name)} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${quoteName(aside)} WHERE ${inRange(column, range)}`,
            why: 'to where they belong',
          },
        ]),
      ),
      { sql: `DROP TABLE ${quoteName(aside)}`, why: 'they are in their partition' },
    ],
  };
}

/** Locks that whoever reads the table waits for, in the order in which a reader takes his. */
export function lockForMove(parent: QualifiedName, from: QualifiedName): PlannedStatement[] {
  return [
    { sql: 'SET LOCAL row_security = off', why: 'better an error than rows that a policy hides' },
    { sql: 'SET CONSTRAINTS ALL IMMEDIATE', why: 'no table is altered while checks of its rows are pending' },
    ...[parent, from].map((name) => ({
      sql: `LOCK TABLE ONLY ${quoteName(name)} IN ACCESS EXCLUSIVE MODE`,
      why: 'readers wait for a moment, so that each sees every row once',
      locks: [`ACCESS EXCLUSIVE on ${showName(name)}`],
      waitsFor: `whoever uses ${showName(name)}`,
    })),
  ];
}

function planDelete({ fallback, surroundings }: EnsureFacts, sql: string): PlannedStatement[] {
  const from = fallback as NonNullable<EnsureFacts['fallback']>;
  const remove = { sql, why: 'out of the default partition, so that the bounds can be attached' };
  return takeOut(from, surroundings.referencedBy, remove);
}

/**
 * A statement that takes rows out of the default partition, which stay rows of the table: no trigger counts them out, and
 * no foreign key follows them. Where one could, the session must be allowed to set session_replication_role.
 */
export function takeOut(
  { name, deleteTriggers }: Pick<DefaultPartition, 'name' | 'deleteTriggers'>,
  referencedBy: readonly string[],
  remove: PlannedStatement,
): PlannedStatement[] {
  if (referencedBy.length === 0) return withoutTriggers(name, deleteTriggers, [remove]);
  return withoutTriggers(name, deleteTriggers, [
    {
      sql: 'SET LOCAL session_replication_role = replica',
      why: `the rows go on being those that ${referencedBy.join(', ')} may refer to`,
    },
    remove,
    {
      sql: 'SET LOCAL session_replication_role = origin',
      why: 'from here on foreign keys are checked again',
    },
  ]);
}

function withoutTriggers(
  name: QualifiedName,
  triggers: readonly Trigger[],
  statements: readonly PlannedStatement[],
): PlannedStatement[] {
  if (triggers.length === 0) return [...statements];
  const alter = (changes: readonly string[], why: string) => ({
    sql: `ALTER TABLE ${quoteName(name)} ${changes.join(', ')}`,
    why,
  });
  return [
    alter(silence(triggers), 'rows that move are no event'),
    ...statements,
    alter(wake(triggers), 'triggers fire again'),
  ];
}
