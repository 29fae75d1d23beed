import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { going, isSelf, setsNull } from './move.ts';
import { type Pairs, sides } from './pairs.ts';
import type { Reference } from './references.ts';
import { at, equal, imageOf, numbered } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { nameOf, type TableFacts, type UniqueIndex } from './table-facts.ts';

/**
 * By which columns rows of a child are known while they collide in an index: its own key, else the index, in which rows
 * without a value do not collide.
 */
export function collisionKey(child: TableFacts, index: UniqueIndex): readonly string[] {
  return nameOf(child) ?? index.columns;
}

/**
 * A query of child rows that cannot be moved, as another would then be the same in a unique index, and of that other:
 * `place` above 1, the columns of the key `i1 ...`, those of the row that stays `f1 ...`. What is at the survivor already stays;
 * of several that come, the first by its key. The index is computed over the row as it would be.
 */
export function collidingRows(
  scope: Scope,
  reference: Reference,
  index: UniqueIndex,
  pairs: Pairs,
  active: readonly Pairs[],
): string {
  const child = scope.tables[reference.child] as TableFacts;
  const key = collisionKey(child, index);
  const { columns, referred } = reference;
  const count = columns.length;
  const self = isSelf(reference);
  const own = self ? pairs.key : [];
  const survivorKeys = sides(pairs, 's', 'p', own).map((column, i) => `${column} AS y${i + 1}`);
  const more = survivorKeys.length > 0 ? `, ${survivorKeys.join(', ')}` : '';
  const named = (values: readonly string[], prefix: string) =>
    values.map((value, i) => `${value} AS ${prefix}${i + 1}`).join(', ');
  const come = `SELECT ${named(sides(pairs, 'l', 'p', referred), 'o')}, ${named(sides(pairs, 's', 'p', referred), 'w')}, 1 AS moved${more} FROM ${pairs.name} p`;
  const there = `SELECT DISTINCT ${named(sides(pairs, 's', 'p', referred), 'o')}, ${named(sides(pairs, 's', 'p', referred), 'w')}, 0${more} FROM ${pairs.name} p`;
  const row = child.columns.map(({ name }) => {
    const place = columns.indexOf(name);
    return place < 0 ? at('c', name) : `x.w${place + 1} AS ${quoteIdentifier(name)}`;
  });
  const stays = active
    .filter(({ table }) => table === reference.child)
    .map(
      (other) =>
        `EXISTS (SELECT FROM ${other.name} a WHERE ${equal('c', other.key, sides(other, 's', 'a', other.key))})`,
    );
  const conditions = [
    ...going(reference.child, 'c', active),
    ...numbered('x', 'w', count).map((column) => `${column} IS NOT NULL`),
    ...(self && setsNull(child, reference).length > 0
      ? [`NOT (x.moved = 1 AND ${equal('c', own, numbered('x', 'y', own.length))})`]
      : []),
  ];
  const parts = index.parts.map((part, i) => `${part} AS eduschema_u${i + 1}`).join(', ');
  const us = index.parts.map((_, i) => `eduschema_u${i + 1}`);
  const is = key.map((_, i) => `eduschema_i${i + 1}`);
  const filled = index.nullsEqual ? [] : us.map((u) => `${u} IS NOT NULL`);
  return `SELECT row_number() OVER g AS place, ${is.map((i, n) => `${i} AS i${n + 1}, first_value(${i}) OVER g AS f${n + 1}`).join(', ')}
    FROM (SELECT m.*, ${parts} FROM (
      SELECT ${row.join(', ')}, ${key.map((column, i) => `${at('c', column)} AS eduschema_i${i + 1}`).join(', ')},
             x.moved AS eduschema_moved, ${stays.length > 0 ? stays.join(' OR ') : 'false'} AS eduschema_stays
      FROM ${quoteName(child.name)} c JOIN (${come} UNION ALL ${there}) x ON ${equal('c', columns, numbered('x', 'o', count))}
      WHERE ${conditions.join(' AND ')}) m${index.predicate ? ` WHERE ${index.predicate}` : ''}) u
    ${filled.length > 0 ? `WHERE ${filled.join(' AND ')}` : ''}
    WINDOW g AS (PARTITION BY ${us.join(', ')} ORDER BY NOT eduschema_stays, eduschema_moved, ${is.join(', ')})`;
}

/** The statement that writes the rows that collide into the table of `inner`. */
export function fillCollisions(
  scope: Scope,
  reference: Reference,
  index: UniqueIndex,
  pairs: Pairs,
  inner: Pairs,
  active: readonly Pairs[],
): string {
  const child = scope.tables[reference.child] as TableFacts;
  const name = quoteName(child.name);
  const tracked = ['l', 's'].flatMap((alias) => inner.tracked.map((column) => at(alias, column)));
  return `INSERT INTO ${inner.name} SELECT row_number() OVER (), NULL, ${imageOf('l', child.columns)}, ${tracked.join(', ')}
    FROM (${collidingRows(scope, reference, index, pairs, active)}) d
    JOIN ${name} l ON ${equal('l', inner.key, numbered('d', 'i', inner.key.length))}
    JOIN ${name} s ON ${equal('s', inner.key, numbered('d', 'f', inner.key.length))}
    WHERE d.place > 1`;
}
