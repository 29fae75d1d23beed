import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import { underUtc } from '../catalogue.ts';
import { named, shown } from './choices.ts';
import { describeTable } from './describe-table.ts';
import { lockViews, rebind } from './followers.ts';
import { grantTable } from './grants.ts';
import { createIndex } from './keys.ts';
import { twinOf } from './names.ts';
import type { Obstacle } from './obstacles.ts';
import { commentOn, planned, withOptions } from './statements.ts';
import type { DependentMaterializedView, TableDescription } from './table-description.ts';
import { planColumnSettings, planStatistics } from './twin.ts';

/** A materialized view with all that follows it. */
export interface MaterializedView extends DependentMaterializedView {
  readonly described: TableDescription;
}

/** The materialized views that are bound to a table. */
export async function describeViews(
  sql: Sql,
  { server, dependents }: TableDescription,
): Promise<MaterializedView[]> {
  const views = [];
  for (const view of dependents.materializedViews) {
    const described = await underUtc(sql, (inside) => describeTable(inside, view, server));
    if (described) views.push({ ...view, described });
  }
  return views;
}

/** The steps that make materialized views anew, once another table has the name of theirs. */
export function planViews(views: readonly MaterializedView[]): Step[] {
  return views.flatMap((view) => [planViewTwin(view), planViewSwap(view)]);
}

/** What stands in the way of making a materialized view anew. */
export function listViewObstacles({ described, ...view }: MaterializedView): Obstacle[] {
  const { dependents } = described;
  const bound = [
    ...dependents.materializedViews.map((other) => `materialized view ${shown(other)}`),
    ...dependents.others,
  ];
  return bound.map((other) => ({
    what: `${other} is bound to the materialized view ${shown(view)}, which has to be made anew`,
    remedy: 'drop it, and create it again afterwards',
  }));
}

/**
 * Makes a materialized view anew beside the one that is there, from its definition as it reads now, with its indexes:
 * nothing can bind one to another table. The old one answers meanwhile.
 */
export function planViewTwin(view: MaterializedView): Step {
  const { described, definition, populated, owner } = view;
  const twin = twinOf<QualifiedName>({ schema: view.schema, name: view.name });
  const name = quoteName(twin);
  const { accessMethod, tablespace, options } = described;
  const head = [
    `CREATE MATERIALIZED VIEW ${name}`,
    accessMethod && accessMethod !== 'heap' ? ` USING ${quoteIdentifier(accessMethod)}` : '',
    withOptions(options),
    tablespace === null ? '' : ` TABLESPACE ${quoteIdentifier(tablespace)}`,
  ].join('');
  return {
    title: `make ${shown(view)} anew`,
    transaction: true,
    statements: [
      ...planned('an earlier one that was cut off', [`DROP MATERIALIZED VIEW IF EXISTS ${name}`]),
      ...planned(
        populated ? 'filled, as the old one is' : 'not filled, as the old one is not',
        [`${head} AS ${definition.trim().replace(/;$/, '')} WITH ${populated ? '' : 'NO '}DATA`],
        { locks: ['ACCESS SHARE on what it reads'] },
      ),
      ...planned(
        'indexes',
        described.indexes.flatMap((index) => [
          createIndex(index, twinOf(index.name), twin),
          ...commentOn(`INDEX ${named(twin, twinOf(index.name))}`, index.comment),
          ...(index.clustered
            ? [`ALTER MATERIALIZED VIEW ${name} CLUSTER ON ${quoteIdentifier(twinOf(index.name))}`]
            : []),
        ]),
      ),
      ...planned('statistics', [
        ...planColumnSettings(twin, described, 'MATERIALIZED VIEW'),
        ...described.statistics.flatMap((statistics) => planStatistics(twin, statistics)),
      ]),
      ...planned('comments', [
        ...commentOn(`MATERIALIZED VIEW ${name}`, described.comment),
        ...described.columns.flatMap((column) =>
          commentOn(`COLUMN ${name}.${quoteIdentifier(column.name)}`, column.comment),
        ),
      ]),
      ...planned('rights', [
        `ALTER MATERIALIZED VIEW ${name} OWNER TO ${quoteIdentifier(owner)}`,
        ...grantTable(twin, described),
      ]),
    ],
  };
}

/** Puts the one that was made anew in the place of the old one. */
export function planViewSwap(view: MaterializedView): Step {
  const { described } = view;
  const old = { schema: view.schema, name: twinOf(twinOf(view.name)) };
  const rename = (kind: string, from: QualifiedName, to: string) =>
    `ALTER ${kind} ${quoteName(from)} RENAME TO ${quoteIdentifier(to)}`;
  const here = (name: string) => ({ schema: view.schema, name });
  const locks: Pick<PlannedStatement, 'locks' | 'waitsFor'> = {
    locks: [`ACCESS EXCLUSIVE on ${shown(view)}`],
    waitsFor: `whoever reads ${shown(view)}`,
  };
  return {
    title: `put the new ${shown(view)} in its place`,
    transaction: true,
    statements: [
      ...planned('views first, as those who read them do', lockViews(described)),
      ...planned(
        'the names',
        [
          rename('MATERIALIZED VIEW', view, old.name),
          rename('MATERIALIZED VIEW', twinOf<QualifiedName>(here(view.name)), view.name),
        ],
        locks,
      ),
      ...planned('what is bound to it', rebind(described)),
      ...planned('the old one goes', [`DROP MATERIALIZED VIEW ${quoteName(old)}`]),
      ...planned('the names of its indexes and statistics', [
        ...described.indexes.map((index) => rename('INDEX', here(twinOf(index.name)), index.name)),
        ...described.statistics.map((found) =>
          rename('STATISTICS', twinOf<QualifiedName>(found), found.name),
        ),
      ]),
    ],
  };
}
