import { quoteName, showName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { among } from './among.ts';
import { going } from './move.ts';
import { type Pairs, sides } from './pairs.ts';
import type { Reference } from './references.ts';
import { equal, numbered } from './row-sql.ts';
import { type Scope, showReference } from './scope.ts';
import type { TableFacts } from './table-facts.ts';

/**
 * How many rows refer to rows that go (`l`) or to those that stay (`s`), a column `r<number>` a reference; children that go
 * themselves do not count.
 */
export function countChildren(
  scope: Scope,
  references: readonly (readonly [number, Reference])[],
  pairs: Pairs,
  which: 'l' | 's',
  when: 'before' | 'after',
): string {
  const counts = references.map(([number, reference]) => {
    const { child, columns, referred } = reference;
    const staying = when === 'before' ? going(child, 'c', [pairs]) : [];
    const listed = among(scope, reference, pairs, [which]);
    if (listed) return countOf(scope, number, child, [listed, ...staying]);
    const parents = sides(pairs, which, 'p', referred).join(', ');
    const names = columns.map((_, i) => `o${i + 1}`);
    const conditions = [equal('c', columns, numbered('x', 'o', columns.length)), ...staying];
    return `(SELECT count(*)::float8 FROM ${nameIn(scope, child)} c JOIN (SELECT DISTINCT ${parents} FROM ${pairs.name} p) x (${names.join(', ')}) ON ${conditions.join(' AND ')}) AS r${number}`;
  });
  return `SELECT ${counts.join(', ')}`;
}

/** How many rows still refer to rows that are about to go, a column `r<number>` a reference. */
export function countOrphans(
  scope: Scope,
  references: readonly (readonly [number, Reference])[],
  pairs: Pairs,
): string {
  const counts = references.map(([number, reference]) => {
    const { child, columns, referred } = reference;
    const staying = going(child, 'c', [pairs]);
    const listed = among(scope, reference, pairs, ['l']);
    if (listed) return countOf(scope, number, child, [listed, ...staying]);
    const conditions = [equal('c', columns, sides(pairs, 'l', 'p', referred)), ...staying];
    return `(SELECT count(*)::float8 FROM ${nameIn(scope, child)} c JOIN ${pairs.name} p ON ${conditions.join(' AND ')}) AS r${number}`;
  });
  return `SELECT ${counts.join(', ')}`;
}

/** How many of the rows that collided refer to rows of the clusters by another reference: they are missing there as well. */
export function countRemoved(
  scope: Scope,
  references: readonly (readonly [number, Reference])[],
  inner: Pairs,
  root: Pairs,
): string {
  const counts = references.map(([number, { child, columns, referred }]) => {
    const of = (which: 'l' | 's') =>
      `SELECT ${sides(root, which, 'p', referred).join(', ')} FROM ${root.name} p`;
    const names = columns.map((_, i) => `o${i + 1}`);
    return `(SELECT count(*)::float8 FROM ${nameIn(scope, child)} c JOIN ${inner.name} d ON ${equal('c', inner.key, sides(inner, 'l', 'd', inner.key))}
      JOIN (${of('l')} UNION ${of('s')}) x (${names.join(', ')}) ON ${equal('c', columns, numbered('x', 'o', columns.length))}) AS r${number}`;
  });
  return `SELECT ${counts.join(', ')}`;
}

const countOf = (scope: Scope, number: number, child: number, conditions: readonly string[]) =>
  `(SELECT count(*)::float8 FROM ${nameIn(scope, child)} c WHERE ${conditions.join(' AND ')}) AS r${number}`;

const nameIn = (scope: Scope, table: number) => quoteName((scope.tables[table] as TableFacts).name);

/** Thrown where rows would be lost; the transaction is rolled back. */
export function stillReferred(scope: Scope, reference: Reference, count: number): EduschemaError {
  const shown = showReference(scope, reference);
  return new EduschemaError(
    'proof-failed',
    `${count} rows of ${shown} still refer to duplicates that were about to go; nothing of this batch was changed`,
    {
      hint: `a trigger on ${shown.replace(/[. (][^. (]*$/, '')} may keep rows from being moved, or the row that stays has no value in the columns referred to`,
    },
  );
}

/** Thrown where the server did not remove what it was told to. */
export function notRemoved(table: TableFacts, wanted: number, removed: number): EduschemaError {
  return new EduschemaError(
    'proof-failed',
    `of ${wanted} duplicates in ${showName(table.name)} only ${removed} could be removed; nothing of this batch was changed`,
    { hint: `a trigger or a rule on ${showName(table.name)} keeps rows from being removed` },
  );
}

/** Thrown where there are not as many children as before. */
export function notEqual(what: string, before: number | string, after: number | string): EduschemaError {
  return new EduschemaError(
    'proof-failed',
    `${what}: ${before} before, ${after} after; nothing of this batch was changed`,
    { hint: 'a trigger may change what is moved, or others change it meanwhile; run the command again' },
  );
}

/** Thrown where more was changed in a child than by earlier batches: done again, the batch counts what refers to each row. */
export function unexplained(scope: Scope, reference: Reference): EduschemaError {
  return new EduschemaError(
    'proof-failed',
    `${showReference(scope, reference)}: other rows were changed than those that were moved; nothing of this batch was changed`,
    { hint: 'a trigger may change them; run the command again' },
  );
}
