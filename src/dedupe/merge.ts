import type { TransactionSql } from 'postgres';
import { quoteName } from '../db/identifiers.ts';
import {
  applyChanges,
  type Changes,
  changesOf,
  checkChanges,
  computeChanges,
  logChanges,
} from './changes.ts';
import type { Choices } from './choices.ts';
import { collisionKey, fillCollisions } from './collisions.ts';
import { moveChildren } from './move.ts';
import { createPairs, lockPairs, type Pairs, pairsOf, sides } from './pairs.ts';
import { countOrphans, countRemoved, notEqual, notRemoved, stillReferred } from './proof.ts';
import type { Reference } from './references.ts';
import { equal, imageOf } from './row-sql.ts';
import { collidingIndexes, type Scope } from './scope.ts';
import type { TableFacts } from './table-facts.ts';
import type { Tally } from './tally.ts';

/** A merge under way, within the transaction of a batch. */
export interface Merging {
  readonly sql: TransactionSql;
  readonly scope: Scope;
  readonly choices: Choices;
  /** The log, as SQL. */
  readonly log: string;
  /** `run, batch, step` for the next rows of the log, as SQL. */
  nextEntry(): string;
  readonly tally: Tally;
  /** Tables with rows that go, from the outermost in. */
  readonly active: Pairs[];
  /** Changes of the outer merges, which an inner one can make stale. */
  readonly changes: Map<Pairs, Changes>;
  /** Whether rows of the table itself were merged while its own were: then not every count can be compared. */
  tangled: boolean;
}

/**
 * Merges the rows of `pairs`: all that refers to the losers refers to the survivors afterwards. Children that would then
 * be twice in a unique index are merged in the same way first. No row goes before it was asked that nothing refers to it.
 */
export async function merge(merging: Merging, pairs: Pairs): Promise<void> {
  const { sql, scope, choices, active } = merging;
  const table = scope.tables[pairs.table] as TableFacts;
  active.push(pairs);
  if (pairs.depth > 0) await sql.unsafe(`ANALYZE ${pairs.name}; ${lockPairs(scope, pairs)}`);
  const fill = pairs.depth === 0 ? choices.fill : [];
  const changes = changesOf(table, pairs, choices.sums.get(pairs.table) ?? [], fill);
  if (changes) {
    merging.changes.set(pairs, changes);
    await sql.unsafe(computeChanges(changes, pairs));
  }
  const references = [...scope.references.entries()].filter(([, { parent }]) => parent === pairs.table);
  for (const [number, reference] of references) await moveAll(merging, pairs, reference, number);
  await sql.unsafe('SET CONSTRAINTS ALL IMMEDIATE');
  await proveNoOrphans(merging, pairs, references);
  await remove(merging, pairs, table);
  if (changes) await change(merging, pairs, changes);
  active.pop();
  merging.changes.delete(pairs);
}

async function moveAll(merging: Merging, pairs: Pairs, reference: Reference, number: number): Promise<void> {
  const { sql, scope, log, tally, active } = merging;
  const child = scope.tables[reference.child] as TableFacts;
  for (const index of collidingIndexes(child, reference)) {
    const inner = pairsOf(scope, reference.child, pairs.depth + 1, collisionKey(child, index));
    await sql.unsafe(createPairs(scope, inner, 'DROP'));
    const { count } = await sql.unsafe(fillCollisions(scope, reference, index, pairs, inner, active));
    if (count > 0) {
      if (inner.table === 0) merging.tangled = true;
      await merge(merging, inner);
      await settle(merging, inner);
      const changed = `pg_temp.eduschema_changes_${inner.depth}`;
      await sql.unsafe(`DROP TABLE IF EXISTS ${changed}`);
    }
    await sql.unsafe(`DROP TABLE ${inner.name}`);
  }
  const target = { log, entry: merging.nextEntry(), number };
  const [moved] = await sql.unsafe<[{ moved: number; cut: number; astray: number }]>(
    moveChildren(scope, reference, pairs, target),
  );
  tally.add(number, moved);
}

/** Where a row that others go into has gone itself, they go into the row that it went into. */
async function settle({ sql, active, changes }: Merging, inner: Pairs): Promise<void> {
  for (const outer of active) {
    if (outer.table !== inner.table) continue;
    const news = sides(inner, 's', 'd', outer.tracked);
    const gone = sides(inner, 'l', 'd', inner.key);
    const goesInto = sides(outer, 's', 'o', inner.key).map((value, i) => `${value} = ${gone[i]}`);
    const { count } = await sql.unsafe(
      `UPDATE ${outer.name} o SET ${news.map((value, i) => `s${i + 1} = ${value}`).join(', ')} FROM ${inner.name} d
       WHERE ${goesInto.join(' AND ')}`,
    );
    const stale = changes.get(outer);
    if (count === 0 || !stale) continue;
    await sql.unsafe(`DROP TABLE ${stale.name}`);
    await sql.unsafe(computeChanges(stale, outer));
  }
}

async function proveNoOrphans(
  { sql, scope }: Merging,
  pairs: Pairs,
  references: readonly [number, Reference][],
): Promise<void> {
  if (references.length === 0) return;
  const [found = {}] = await sql.unsafe<Record<string, number>[]>(countOrphans(scope, references, pairs));
  for (const [number, reference] of references) {
    const count = found[`r${number}`] ?? 0;
    if (count > 0) throw stillReferred(scope, reference, count);
  }
}

/** Writes the losers into the log, whole, and removes them. */
async function remove(merging: Merging, pairs: Pairs, table: TableFacts): Promise<void> {
  const { sql, scope, log, tally } = merging;
  const name = quoteName(table.name);
  const here = equal('l', pairs.key, sides(pairs, 'l', 'p', pairs.key));
  if (pairs.depth > 0) await countCollisions(merging, pairs, table);
  const text = (which: 'l' | 's') =>
    `ARRAY[${sides(pairs, which, 'p', pairs.key)
      .map((value) => `${value}::text`)
      .join(', ')}]`;
  // What it refers to can have been merged meanwhile.
  const refers = scope.references
    .filter(({ child }) => child === pairs.table)
    .flatMap(({ columns }) => columns);
  const mapped = table.columns.filter((column) => refers.includes(column.name));
  const image = mapped.length > 0 ? `p.was || ${imageOf('l', mapped)}` : 'p.was';
  const { count: wanted } = await sql.unsafe(
    `INSERT INTO ${log} (run, batch, step, op, target, keys, old_values, new_values, note)
     SELECT ${merging.nextEntry()}, 'removed', ${pairs.table}, ${text('l')}, ${image}, pg_catalog.to_jsonb(${text('s')}), p.why
     FROM ${pairs.name} p JOIN ${name} l ON ${here}`,
  );
  const { count } = await sql.unsafe(`DELETE FROM ${name} l USING ${pairs.name} p WHERE ${here}`);
  if (count !== wanted) throw notRemoved(table, wanted, count);
  if (pairs.depth === 0) tally.removed += count;
}

/** A child that says the same as the row that stays has lost nothing; another one is kept aside, in the log. */
async function countCollisions(
  { sql, scope, tally, active }: Merging,
  pairs: Pairs,
  table: TableFacts,
): Promise<void> {
  const name = quoteName(table.name);
  const mapped = scope.references
    .filter(({ child }) => child === pairs.table)
    .flatMap(({ columns }) => columns);
  const rest = table.columns.filter(
    (column) => !pairs.key.includes(column.name) && !mapped.includes(column.name),
  );
  const differs = rest.length === 0 ? 'false' : `${imageOf('l', rest)} <> ${imageOf('s', rest)}`;
  await sql.unsafe(
    `UPDATE ${pairs.name} p SET why = CASE WHEN ${differs} THEN 'kept aside' ELSE 'merged' END FROM ${name} l, ${name} s
     WHERE ${equal('l', pairs.key, sides(pairs, 'l', 'p', pairs.key))} AND ${equal('s', pairs.key, sides(pairs, 's', 'p', pairs.key))}`,
  );
  const [found] = await sql.unsafe<[{ merged: number; aside: number }]>(
    `SELECT (count(*) FILTER (WHERE why = 'merged'))::float8 AS merged, (count(*) FILTER (WHERE why = 'kept aside'))::float8 AS aside FROM ${pairs.name}`,
  );
  tally.addCollisions(pairs.table, found);
  const root = active[0] as Pairs;
  const references = [...scope.references.entries()].filter(
    ([, { child, parent }]) => parent === 0 && child === pairs.table,
  );
  if (references.length === 0) return;
  const [gone = {}] = await sql.unsafe<Record<string, number>[]>(
    countRemoved(scope, references, pairs, root),
  );
  for (const [number] of references) tally.add(number, { gone: gone[`r${number}`] ?? 0 });
}

async function change(merging: Merging, pairs: Pairs, changes: Changes): Promise<void> {
  const { sql, log, tally } = merging;
  await sql.unsafe(applyChanges(changes, pairs));
  await sql.unsafe(logChanges(changes, pairs, { log, entry: merging.nextEntry() }));
  const [found] = await sql.unsafe<[{ wanted: string[]; found: string[]; different: number }]>(
    checkChanges(changes, pairs),
  );
  for (const [index, column] of changes.sums.entries()) {
    const [wanted = '0', is = '0'] = [found.wanted[index], found.found[index]];
    if (found.different > 0)
      throw notEqual(
        `the sum of ${changes.table.name.schema}.${changes.table.name.name}.${column}`,
        wanted,
        is,
      );
    tally.addSum(pairs.table, column, wanted, is);
  }
}
