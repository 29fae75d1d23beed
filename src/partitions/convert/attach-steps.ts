import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { type Choices, named, shown } from './choices.ts';
import { createIndex, lacksKey, widenIndex } from './keys.ts';
import { proofName, wideOf } from './names.ts';
import { planned } from './statements.ts';
import type { IndexDescription, TableDescription } from './table-description.ts';

/** Builds a unique index with the partition key in it, beside the one that it is to replace. */
export function planWideIndex(table: TableDescription, index: IndexDescription, { column }: Choices): Step {
  const wide = wideOf(index.name);
  return {
    title: `build ${wide}, to take the place of ${index.name}`,
    transaction: false,
    statements: planned(
      `unique together with ${column}; people read and write meanwhile`,
      [createIndex(widenIndex(index, column), wide, table, true)],
      {
        locks: [`SHARE UPDATE EXCLUSIVE on ${shown(table)}`],
        waitsFor: 'every transaction that is older, to the end of it; keeps nobody waiting',
      },
    ),
  };
}

/** The indexes that need another beside them. */
export const indexesToWiden = ({ indexes }: TableDescription, { column }: Choices): IndexDescription[] =>
  indexes.filter((index) => lacksKey(index, column));

/** Takes away a build that was cut off. */
export function planDropWide(table: QualifiedName, name: string): Step {
  return {
    title: `drop ${name}, which was not built to its end`,
    transaction: false,
    statements: planned('a build that was cut off', [`DROP INDEX CONCURRENTLY ${named(table, name)}`], {
      locks: [`SHARE UPDATE EXCLUSIVE on ${shown(table)}`],
      waitsFor: 'every transaction that uses the table; keeps nobody waiting',
    }),
  };
}

/** Says where the first partition ends; from here on rows behind it are refused. */
export function planProof(
  table: QualifiedName,
  { column, endLiteral, end }: Choices,
  replaces: boolean,
): Step {
  const name = quoteIdentifier(proofName);
  const key = quoteIdentifier(column);
  const drop = replaces ? `DROP CONSTRAINT ${name}, ` : '';
  return {
    title: `say that ${shown(table)} ends before ${end}`,
    transaction: true,
    statements: planned(
      `what the first partition may hold; rows from ${end} on are refused from here to the swap`,
      [
        `ALTER TABLE ${quoteName(table)} ${drop}ADD CONSTRAINT ${name} CHECK (${key} IS NOT NULL AND ${key} < '${endLiteral}') NOT VALID`,
      ],
      {
        locks: [`ACCESS EXCLUSIVE on ${shown(table)}`],
        waitsFor: `whoever reads or writes ${shown(table)}`,
      },
    ),
  };
}

/** Proves it for the rows that are there. */
export function planValidation(table: QualifiedName): Step {
  return {
    title: `prove it for the rows of ${shown(table)}`,
    transaction: false,
    statements: planned(
      'reads the table once; people read and write meanwhile',
      [`ALTER TABLE ${quoteName(table)} VALIDATE CONSTRAINT ${quoteIdentifier(proofName)}`],
      { locks: [`SHARE UPDATE EXCLUSIVE on ${shown(table)}`], waitsFor: 'autovacuum; keeps nobody waiting' },
    ),
  };
}

/** Takes the proof away, which makes room for every row again. */
export function planDropProof(table: QualifiedName): Step {
  return {
    title: `let ${shown(table)} take every row again`,
    transaction: true,
    statements: planned(
      'the table has no end any more',
      [`ALTER TABLE ${quoteName(table)} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(proofName)}`],
      {
        locks: [`ACCESS EXCLUSIVE on ${shown(table)}`],
        waitsFor: `whoever reads or writes ${shown(table)}`,
      },
    ),
  };
}

/** Statistics of the whole, which autovacuum never makes. */
export function planAnalyze(table: TableDescription): Step {
  // ONLY is of 18: before it the partitions are analysed as well.
  const only = table.server >= 180000 ? 'ONLY ' : '';
  return {
    title: `analyze ${shown(table)}`,
    transaction: false,
    statements: planned(
      'statistics of the whole: autovacuum makes those of partitions alone',
      [`ANALYZE ${only}${quoteName(table)}`],
      {
        locks: [`SHARE UPDATE EXCLUSIVE on ${shown(table)}`],
        waitsFor: 'autovacuum; keeps nobody waiting',
      },
    ),
  };
}
