import { showName } from '../db/identifiers.ts';
import type { ShownCluster } from '../dedupe/cluster.ts';
import type { DedupePlan, DedupeResult } from '../dedupe/dedupe.ts';
import type { Enforced } from '../dedupe/enforce.ts';
import { type Scope, showReference } from '../dedupe/scope.ts';
import type { SimilarResult } from '../dedupe/similar.ts';
import type { UndoResult } from '../dedupe/undo.ts';
import { countOf } from '../output/duration.ts';
import type { Column, Report } from '../output/report.ts';

const count = (key: string, title: string): Column => ({
  key,
  title,
  align: 'right',
  show: (value: number) => value.toLocaleString('en'),
});

const referenceColumns: readonly Column[] = [
  { key: 'reference', title: 'refers to it' },
  { key: 'by', title: 'by' },
];

function describeReference(scope: Scope, number: number) {
  const reference = scope.references[number] as Scope['references'][number];
  return { reference: showReference(scope, reference), by: reference.constraint ?? 'declared' };
}

/** What `dedupe --dry-run` has found. */
export function reportDedupePlan({ scope, choices, survey }: DedupePlan): Report {
  const rows = survey.children.map(({ reference, rows: moved, collisions }) => ({
    ...describeReference(scope, reference),
    rows: moved,
    collisions,
  }));
  const { clusters, duplicates, withoutKey, biggest, rules } = survey;
  return {
    columns: [
      ...referenceColumns,
      count('rows', 'rows to move'),
      count('collisions', 'of these there already'),
    ],
    rows,
    summary: {
      table: nameOf(scope),
      key: choices.key,
      clusters,
      duplicates,
      withoutKey,
      rules,
      biggest,
      sums: sumsOf(scope, choices.sums),
    },
    message: [
      duplicates === 0
        ? `no duplicates in ${nameOf(scope)}`
        : `${countOf(duplicates, 'duplicate')} of ${countOf(clusters, 'row')} in ${nameOf(scope)}; nothing was changed`,
      ...describeRules(rules),
      ...(biggest.length > 0 ? ['biggest:', ...biggest.map(describeCluster)] : []),
      ...describeNulls(withoutKey, choices.key),
    ].join('\n'),
    warnings: unindexed(scope),
  };
}

const nameOf = ({ tables: [root] }: Scope) => showName((root as Scope['tables'][number]).name);

function sumsOf(scope: Scope, sums: DedupePlan['choices']['sums']): string[] {
  return [...sums].flatMap(([table, columns]) =>
    columns.map((column) => `${showName((scope.tables[table] as Scope['tables'][number]).name)}.${column}`),
  );
}

function describeRules(rules: Readonly<Record<string, number>>): string[] {
  const parts = Object.entries(rules).map(([rule, clusters]) => `${rule} ${clusters}`);
  return parts.length > 0 ? [`the same by: ${parts.join(', ')}`] : [];
}

const describeCluster = ({ rows, rule, survivor, values }: ShownCluster) =>
  `  ${countOf(rows, 'row')} (${rule}) into ${survivor.join(', ')}: ${Object.values(values).join(' | ')}`;

const describeNulls = (withoutKey: number, key: readonly string[]) =>
  withoutKey > 0
    ? [`${countOf(withoutKey, 'row')} without a value in ${key.join(' or ')}: not the same as anything`]
    : [];

/** Without an index each row that goes is a look at all of the child, as the foreign key asks. */
function unindexed(scope: Scope): string[] {
  return scope.references
    .filter(
      ({ indexed, child }) => !indexed && (scope.tables[child] as Scope['tables'][number]).rows > 10_000,
    )
    .map((reference) => {
      const table = showName((scope.tables[reference.child] as Scope['tables'][number]).name);
      return `${showReference(scope, reference)} has no index, and all of ${table} is read for each duplicate: CREATE INDEX CONCURRENTLY ON ${table} (${reference.columns.join(', ')})`;
    });
}

/** What `dedupe` has done. */
export function reportDedupe(result: DedupeResult & { readonly enforced?: Enforced | undefined }): Report {
  const { scope, choices, survey, tally, run, left, circles, enforced } = result;
  const rows = [...tally.movements].map(([number, { before, after, moved, cut, gone }]) => {
    const { child, parent } = scope.references[number] as Scope['references'][number];
    return {
      ...describeReference(scope, number),
      direct: parent === 0,
      child,
      before,
      after,
      moved,
      collided: gone,
      cut,
      orphans: 0,
    };
  });
  const direct = rows.filter(({ direct: isDirect, moved }) => isDirect || moved > 0);
  const collisions = [...tally.collisions].map(([table, counts]) => ({
    table: showName((scope.tables[table] as Scope['tables'][number]).name),
    ...counts,
  }));
  const sums = [...tally.sums].map(([key, values]) => {
    const [table = '0', column = ''] = key.split(/\.(.*)/s);
    return {
      column: `${showName((scope.tables[Number(table)] as Scope['tables'][number]).name)}.${column}`,
      ...values,
    };
  });
  const index = enforced ? [`${enforced.index} keeps duplicates out from now on`] : [];
  return {
    columns: [
      ...referenceColumns,
      count('before', 'rows before'),
      count('after', 'after'),
      count('moved', 'moved'),
      count('collided', 'merged or aside'),
      count('orphans', 'orphans'),
    ],
    rows: direct.map(({ child: _, direct: __, ...row }) => row),
    summary: {
      table: nameOf(scope),
      key: choices.key,
      run: run ?? null,
      clusters: survey.clusters,
      duplicates: survey.duplicates,
      merged: tally.removed,
      left,
      withoutKey: survey.withoutKey,
      collisions,
      sums,
      circles: circles.map(({ reference, rows }) => ({ ...describeReference(scope, reference), rows })),
      enforced: enforced?.index ?? null,
    },
    message: [
      run === undefined
        ? `no duplicates in ${nameOf(scope)}`
        : `${countOf(tally.removed, 'duplicate')} of ${countOf(survey.clusters, 'row')} in ${nameOf(scope)} merged`,
      ...sums.map(
        ({ column, before, after }) =>
          `sum of ${column}: ${before.toLocaleString('en')} before, ${after.toLocaleString('en')} after`,
      ),
      ...collisions.map(
        ({ table, merged, aside }) =>
          `${table}: ${countOf(merged, 'row')} said the same as one that was there, ${countOf(aside, 'row')} kept aside in the log`,
      ),
      ...(left > 0 ? [`${countOf(left, 'row')} changed meanwhile, and stayed: run it again`] : []),
      ...describeNulls(survey.withoutKey, choices.key),
      ...index,
      ...(run === undefined ? [] : [`to take it back: eduschema dedupe undo ${run}`]),
    ].join('\n'),
    warnings: run === undefined ? [] : [...unindexed(scope), ...circles.map(describeCircle(scope))],
  };
}

const describeCircle =
  (scope: Scope) =>
  ({ reference, rows }: DedupeResult['circles'][number]) =>
    `${describeReference(scope, reference).reference} goes round in a circle now: ${[...rows, rows[0]].join(' -> ')}; set one of them to NULL, or take it back with eduschema dedupe undo`;

/** Rows that are alike, in the form that `--clusters` takes. */
export function reportSimilar({ table, clusters, pairs }: SimilarResult): Report {
  return {
    columns: [
      { key: 'similarity', title: 'alike', align: 'right', show: (share: number) => share.toFixed(2) },
      {
        key: 'rows',
        title: 'rows',
        show: (rows: readonly unknown[]) => rows.map((row) => [row].flat().join(',')).join('  '),
      },
      { key: 'values', title: 'values', show: (values: readonly string[]) => values.join('\n') },
    ],
    rows: clusters,
    summary: { table, clusters: clusters.length, pairs },
    message:
      clusters.length === 0
        ? `no rows of ${table} are alike, beyond those that are the same`
        : `${countOf(clusters.length, 'cluster')} to look through; nothing was changed\nwrite them with --json into a file, take out what is not the same, then: eduschema dedupe --clusters <file>`,
  };
}

/** What `dedupe undo` has put back, and what it could not. */
export function reportUndo({ run, table, rows, problems, index }: UndoResult): Report {
  return {
    columns: [
      { key: 'table', title: 'table' },
      count('restored', 'rows back'),
      count('moved', 'moved back'),
      count('changed', 'values back'),
      count('left', 'not put back'),
    ],
    rows,
    summary: { run, table, problems, droppedIndex: index },
    message: [
      rows.length === 0
        ? `nothing was left of run ${run} to take back`
        : `run ${run} on ${table} is taken back`,
      ...(index ? [`${index}, which kept duplicates out, is gone`] : []),
      ...problems.map(({ table: where, problem, rows: n }) => `${where}: ${countOf(n, 'row')} ${problem}`),
    ].join('\n'),
    failing: problems.some(({ lost }) => lost),
  };
}
