import type { Sql } from 'postgres';
import type { Database } from '../../db/connect.ts';
import { EduschemaError } from '../../errors.ts';
import { findPartitionedTable, underUtc } from '../catalogue.ts';
import { prepareSplit } from '../split/prepare-split.ts';
import { type Choices, type PlannedPartition, shown } from './choices.ts';
import { chooseAll, chooseEnd, choosePolicy, findType } from './choose.ts';
import { describeTable } from './describe-table.ts';
import { todayIn } from './first-end.ts';
import { describeViews, listViewObstacles } from './materialized.ts';
import { twinOf } from './names.ts';
import { listObstacles, listRowObstacles, type Obstacle } from './obstacles.ts';
import { listNewPartitions } from './plan-partitions.ts';
import type { ConvertRequest } from './request.ts';
import { allBefore, findRowFacts } from './row-facts.ts';
import { type ConversionState, findState } from './state.ts';
import type { TableDescription } from './table-description.ts';
import { listTakenNames } from './taken-names.ts';

/** A conversion that nothing stands in the way of, and how far it is. */
export interface Prepared {
  readonly request: ConvertRequest;
  readonly table: TableDescription;
  readonly choices: Choices;
  readonly partitions: readonly PlannedPartition[];
  readonly state: ConversionState;
  /** Split: what the table takes on the disk, for a person. */
  readonly size?: string;
}

/**
 * Looks at a table that is to be partitioned, and changes nothing. Throws `table-missing`, `permission-denied`, `usage`,
 * and `table-unsuitable` with everything that stands in the way, also among the rows.
 * Undefined when the table is partitioned by the column already.
 */
export async function prepareConversion(
  { sql, facts }: Pick<Database, 'sql' | 'facts'>,
  request: ConvertRequest,
  { looksAtRows = true }: { readonly looksAtRows?: boolean } = {},
): Promise<Prepared | undefined> {
  const table = await underUtc(sql, (inside) => describeTable(inside, request.table, facts.versionNumber));
  if (!table) throw tableMissing(request);
  checkKind(table);
  const type = findType(table, request.by);
  if (table.kind === 'p') {
    await checkPartitioned(sql, request);
    return undefined;
  }
  const state = await underUtc(sql, (inside) => findState(inside, table));
  const policy = await choosePolicy(sql, request);
  if (request.method === 'split')
    return prepareSplit(sql, { request, table, type, policy, state }, looksAtRows);
  const end = await chooseEnd(sql, request, policy, state, type);
  const choices = await chooseAll(sql, request, { type, policy, end });
  const partitions = await listNewPartitions(sql, table, choices, await todayIn(sql, policy.zone));
  const obstacles = [
    ...ofTwin(table, state, choices),
    ...ofNames(table, choices),
    ...listObstacles(table, choices),
    ...(await ofMaterializedViews(sql, table)),
    ...(await listTakenNames(sql, table, choices, partitions)),
  ];
  const isProven = !looksAtRows || state.proof?.validated;
  const inRows = obstacles.length > 0 || isProven ? [] : await ofRows(sql, table, choices);
  if (obstacles.length + inRows.length > 0) throw unsuitable(table, [...obstacles, ...inRows]);
  return { request, table, choices, partitions, state };
}

function checkKind(table: TableDescription): void {
  if (table.kind !== 'r' && table.kind !== 'p')
    throw new EduschemaError('table-unsuitable', `${shown(table)} is no table`, {
      hint: 'only tables can be partitioned',
    });
  if (!table.mine)
    throw new EduschemaError('permission-denied', `${shown(table)} belongs to ${table.owner}`, {
      hint: `use a role that may act as ${table.owner} (--role)`,
    });
}

/** What stands in the way of making its materialized views anew. */
export async function ofMaterializedViews(sql: Sql, table: TableDescription): Promise<Obstacle[]> {
  return (await describeViews(sql, table)).flatMap(listViewObstacles);
}

async function checkPartitioned(sql: Sql, { table, by }: ConvertRequest): Promise<void> {
  const { column } = await findPartitionedTable(sql, table);
  if (column !== by)
    throw new EduschemaError('table-unsuitable', `${shown(table)} is partitioned by ${column} already`, {
      hint: `eduschema partitions list ${shown(table)} shows how`,
    });
}

/** What stands in the way among the rows, which are counted when one of them does. */
async function ofRows(sql: Sql, table: TableDescription, choices: Choices): Promise<Obstacle[]> {
  const { column, endLiteral: end } = choices;
  const asked = { column, end, indexed: isIndexed(table, column) };
  return underUtc(sql, async (inside) =>
    (await allBefore(inside, table, asked))
      ? []
      : listRowObstacles(await findRowFacts(inside, table, asked), choices),
  );
}

/** Whether one of its indexes answers for ranges of the column. */
export const isIndexed = ({ indexes }: TableDescription, column: string) =>
  indexes.some(
    ({ keys, partial, valid, using }) =>
      keys[0] === column && !partial && valid && using.startsWith('USING btree'),
  );

/** Somebody else's twin, or one of the other method. */
export function ofTwin(table: TableDescription, { twin }: ConversionState, { method }: Choices): Obstacle[] {
  if (!twin || twin.mark?.method === method) return [];
  const name = shown(twinOf<TableDescription>(table));
  if (!twin.mark)
    return [{ what: `${name} exists already, and the conversion needs its name`, remedy: 'rename it' }];
  const undo = `eduschema partitions undo ${shown(table)}`;
  return twin.mark.method === 'undo'
    ? [{ what: 'an undo is under way', remedy: `end it first: ${undo}` }]
    : [
        {
          what: `a conversion by ${twin.mark.method} is under way`,
          remedy: `go on with --method ${twin.mark.method}, or take it back: ${undo}`,
        },
      ];
}

/** Names that were given, and that nothing has. */
export function ofNames(table: TableDescription, { widen, dropIncoming }: Choices): Obstacle[] {
  const indexes = table.indexes.filter(({ unique }) => unique).map(({ name }) => name);
  const keys = table.incomingKeys.map(({ name }) => name);
  return [
    ...widen
      .filter((name) => !indexes.includes(name))
      .map((name) => ({
        what: `--widen ${name}: ${shown(table)} has no such unique constraint or index`,
        remedy: 'leave it out',
      })),
    ...dropIncoming
      .filter((name) => !keys.includes(name))
      .map((name) => ({
        what: `--drop-incoming-fk ${name}: no such foreign key references ${shown(table)}`,
        remedy: 'leave it out',
      })),
  ];
}

/** The error that names all obstacles at once. */
export function unsuitable(table: TableDescription, obstacles: readonly Obstacle[]): EduschemaError {
  return new EduschemaError('table-unsuitable', `${shown(table)} cannot be partitioned as it is`, {
    excerpt: obstacles.flatMap(({ what, remedy }) => [`  ${what}`, `    ${remedy}`]).join('\n'),
    hint: 'nothing was changed; see to these, and try again',
    details: { obstacles },
  });
}

function tableMissing({ table }: ConvertRequest): EduschemaError {
  return new EduschemaError('table-missing', `there is no table ${shown(table)}`, {
    hint: 'check the name; write schema.table for one in another schema',
  });
}
