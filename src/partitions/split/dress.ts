import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { shown } from '../convert/choices.ts';
import { grantSequence, grantTable } from '../convert/grants.ts';
import { twinOf } from '../convert/names.ts';
import { commentOn, planned } from '../convert/statements.ts';
import type { TableDescription } from '../convert/table-description.ts';
import {
  identitiesOf,
  planColumnSettings,
  planIdentifier,
  planPartitionIdentifier,
  planStatistics,
} from '../convert/twin.ts';

/**
 * Gives the twin, just before it takes the table's place, all that the table has by then and that no row depends on:
 * defaults, comments, statistics, rights, replica identity. It can be done again when somebody changed some of it.
 */
export function planDress(
  table: TableDescription,
  leaves: readonly QualifiedName[],
  statistics: readonly QualifiedName[],
): Step {
  const twin = twinOf<QualifiedName>(table);
  const name = quoteName(twin);
  const onAll = [twin, ...leaves];
  return {
    title: `give ${shown(twin)} the rights, defaults and statistics of ${shown(table)}`,
    transaction: true,
    statements: [
      ...planned(
        'defaults',
        onAll.flatMap((one) => planDefaults(one, table)),
      ),
      ...planned('comments', [
        ...table.columns.map(({ name: column, comment }) =>
          setComment(`COLUMN ${name}.${quoteIdentifier(column)}`, comment),
        ),
        ...table.indexes.map((index) =>
          setComment(`INDEX ${quoteName({ schema: table.schema, name: twinOf(index.name) })}`, index.comment),
        ),
      ]),
      ...planned('statistics', [
        ...statistics.map((object) => `DROP STATISTICS ${quoteName(object)}`),
        ...onAll.flatMap((one) => planColumnSettings(one, table)),
        ...table.statistics.flatMap((object) => planStatistics(twin, object)),
      ]),
      ...planned('rights', [
        ...grantTable(twin, table),
        ...identitiesOf(table).flatMap((sequence) => [
          ...grantSequence(twinOf<QualifiedName>(sequence), sequence, table),
          ...commentOn(`SEQUENCE ${quoteName(twinOf<QualifiedName>(sequence))}`, sequence.comment),
        ]),
        `ALTER TABLE ${name} ${table.rowSecurity ? 'ENABLE' : 'DISABLE'} ROW LEVEL SECURITY, ${table.forcesRowSecurity ? '' : 'NO '}FORCE ROW LEVEL SECURITY`,
      ]),
      ...planned('the replica identity', [
        ...planIdentifier(twin, table),
        ...leaves.flatMap((leaf) => planPartitionIdentifier(leaf, table)),
      ]),
    ],
  };
}

function planDefaults(target: QualifiedName, { columns }: TableDescription): string[] {
  return columns
    .filter(({ generated, identity }) => generated === '' && identity === '')
    .map(({ name, default: value }) => {
      const alter = `ALTER TABLE ${quoteName(target)} ALTER COLUMN ${quoteIdentifier(name)}`;
      return value === null ? `${alter} DROP DEFAULT` : `${alter} SET DEFAULT ${value}`;
    });
}

const setComment = (what: string, comment: string | null) =>
  commentOn(what, comment)[0] ?? `COMMENT ON ${what} IS NULL`;
