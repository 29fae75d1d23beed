import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { ForeignKey } from '../archive/table-facts.ts';
import { type Retired, writeMark } from './marker.ts';
import { type Candidate, frozenConstraint } from './queries.ts';

/** What detaching a partition goes by. */
export interface DetachFacts {
  readonly parent: QualifiedName;
  readonly default: QualifiedName | null;
  /** Of the partition: they come along when it is detached. */
  readonly foreignKeys: readonly ForeignKey[];
  /** Other tables with a foreign key to the parent. */
  readonly referring: readonly QualifiedName[];
}

const shown = ({ schema, name }: QualifiedName) => `${schema}.${name}`;

/**
 * Detaches a partition and keeps rows out of it from then on. Concurrently where there is no default partition, which
 * the server demands; else in one transaction.
 */
export function planDetach(candidate: Candidate, facts: DetachFacts, mark: Omit<Retired, 'state'>): Step[] {
  const { name, detachPending } = candidate;
  const [parent, partition] = [quoteName(facts.parent), quoteName(name)];
  const title = `detach ${shown(name)} from ${shown(facts.parent)}`;
  const referenced = facts.foreignKeys.map(({ references }) => shown(references));
  const locks = [
    ...referenced.map((table) => `SHARE ROW EXCLUSIVE on ${table}`),
    ...facts.referring.map((table) => `SHARE ROW EXCLUSIVE on ${shown(table)}, which is read`),
  ];
  if (facts.default && !detachPending)
    return [
      {
        title,
        transaction: true,
        statements: [
          {
            sql: `ALTER TABLE ${parent} DETACH PARTITION ${partition}`,
            why: 'at once: with a default partition the server detaches nothing concurrently',
            locks: [
              `ACCESS EXCLUSIVE on ${shown(facts.parent)}`,
              `ACCESS EXCLUSIVE on ${shown(name)}`,
              `ACCESS EXCLUSIVE on ${shown(facts.default)}`,
              ...locks,
            ],
          },
          ...freeze(candidate, mark),
        ],
      },
    ];
  return [
    {
      title: `mark ${shown(name)}`,
      transaction: true,
      statements: [comment(candidate, { ...mark, state: 'leaving' }, 'so that the next run goes on with it')],
    },
    {
      title,
      transaction: false,
      statements: [
        {
          sql: `ALTER TABLE ${parent} DETACH PARTITION ${partition} ${detachPending ? 'FINALIZE' : 'CONCURRENTLY'}`,
          why: detachPending
            ? 'a concurrent detach of it began and did not end'
            : 'waits for the transactions that use the table, and lets others read and write meanwhile',
          locks: [
            `SHARE UPDATE EXCLUSIVE on ${shown(facts.parent)}`,
            `ACCESS EXCLUSIVE on ${shown(name)} at the end`,
            ...locks,
          ],
        },
      ],
    },
    planFreeze(candidate, mark),
  ];
}

/** Keeps rows out of a table that is detached. */
export function planFreeze(candidate: Candidate, mark: Omit<Retired, 'state'>): Step {
  return {
    title: `keep rows out of ${shown(candidate.name)}`,
    transaction: true,
    statements: freeze(candidate, mark),
  };
}

function freeze(candidate: Candidate, mark: Omit<Retired, 'state'>): Step['statements'] {
  const partition = quoteName(candidate.name);
  const takesNone = {
    sql: `ALTER TABLE ${partition} ADD CONSTRAINT ${quoteIdentifier(frozenConstraint)} CHECK (false) NOT VALID`,
    why: 'it takes no rows from now on, whoever writes',
    locks: [`ACCESS EXCLUSIVE on ${shown(candidate.name)}`],
  };
  return [
    ...(candidate.frozen ? [] : [takesNone]),
    comment(candidate, { ...mark, state: 'retired' }, 'what it was, for whoever finds it'),
  ];
}

/**
 * Drops the foreign keys of a detached table: rows that vanish elsewhere no longer delete its rows, and dropping it will
 * lock nobody else.
 */
export function planRelease(name: QualifiedName, foreignKeys: readonly ForeignKey[]): Step[] {
  if (foreignKeys.length === 0) return [];
  const drops = foreignKeys.map((key) => `DROP CONSTRAINT ${quoteIdentifier(key.name)}`);
  const tables = [...new Set(foreignKeys.map(({ references }) => shown(references)))];
  return [
    {
      title: `release ${shown(name)} from ${tables.join(', ')}`,
      transaction: true,
      statements: [
        {
          sql: `ALTER TABLE ${quoteName(name)} ${drops.join(', ')}`,
          why: 'what is deleted there no longer deletes here',
          locks: [
            ...tables.map((table) => `ACCESS EXCLUSIVE on ${table}`),
            `ACCESS EXCLUSIVE on ${shown(name)}`,
          ],
        },
      ],
    },
  ];
}

/** Writes down how far a retired table is. */
export function planMark(candidate: Candidate, mark: Retired): Step {
  return {
    title: `mark ${shown(candidate.name)}`,
    transaction: true,
    statements: [comment(candidate, mark, 'where its rows are now, and when it may go')],
  };
}

/** What dropping comes to once the archive was compared with the table, in the same transaction. */
export function planDrop({ name }: Pick<Candidate, 'name'>): Step {
  return {
    title: `drop ${shown(name)}`,
    transaction: true,
    statements: [
      {
        sql: `LOCK TABLE ${quoteName(name)} IN ACCESS EXCLUSIVE MODE`,
        why: 'nobody writes while it is compared with its archive',
        locks: [`ACCESS EXCLUSIVE on ${shown(name)}, which nobody uses any more`],
      },
      { sql: `DROP TABLE ${quoteName(name)}`, why: 'its rows are in the archive' },
    ],
  };
}

function comment({ name, marks }: Candidate, mark: Retired, why: string): Step['statements'][number] {
  const text = writeMark(marks.text, { retired: mark }) as string;
  return {
    sql: `COMMENT ON TABLE ${quoteName(name)} IS ${quoteLiteral(text)}`,
    why,
    locks: [`SHARE UPDATE EXCLUSIVE on ${shown(name)}`],
  };
}
