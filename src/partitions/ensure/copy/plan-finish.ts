import {
  type QualifiedName,
  quoteIdentifier,
  quoteLiteral,
  quoteName,
  showName,
} from '../../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../../db/plan.ts';
import { withSuffix } from '../../partition-name.ts';
import type { Leaf } from '../leaf.ts';
import { writeMarker } from '../marker.ts';
import { countOf, planAttach } from '../plan-attach.ts';
import { boundConstraint } from '../plan-leaf.ts';
import { lockForMove } from '../plan-move.ts';
import { planRowSecurity } from '../plan-row-security.ts';
import { silence, wake } from '../triggers.ts';
import { copyTrigger } from './copy-state.ts';
import type { Copy } from './plan-copy.ts';

/** What the server says when rows of other times came after the last look; the class is one that nobody has. */
export const restNotEmpty = 'EDU01';

/**
 * The step that puts the copy in the place of the rows: the default partition is emptied at once, which takes no longer
 * for more rows. Every snapshot must be younger than the copy: TRUNCATE takes the rows from older ones as well.
 */
export function planEmptied(copy: Copy): Step {
  const { facts, from, rest } = copy;
  const triggers = (facts.fallback as NonNullable<typeof facts.fallback>).truncateTriggers;
  const ours = triggers.filter(({ name }) => !name.startsWith(copyTrigger));
  const alter = (changes: string[], why: string) =>
    changes.length === 0 ? [] : [{ sql: `ALTER TABLE ${quoteName(from)} ${changes.join(', ')}`, why }];
  return finish(copy, [
    {
      sql: `DO $eduschema$ BEGIN IF EXISTS (SELECT FROM ${quoteName(rest)}) THEN RAISE EXCEPTION 'rows of other times are in %', ${quoteLiteral(showName(from))} USING ERRCODE = '${restNotEmpty}'; END IF; END $eduschema$`,
      why: 'all rows are in the copy',
    },
    ...dropCopyTrigger(copy),
    ...alter(silence(ours), 'rows that move are no event'),
    { sql: `TRUNCATE ONLY ${quoteName(from)}`, why: 'the rows are in the copy' },
    ...alter(wake(ours), 'triggers fire again'),
    ...planAttach(facts, copy.parts),
    { sql: `DROP TABLE ${quoteName(rest)}`, why: 'it has no rows' },
  ]);
}

/**
 * The same where rows of other times lie among those that wait: the default partition is replaced by a table like it
 * that has these alone.
 */
export function planReplaced(copy: Copy): Step {
  const { facts, from, rest } = copy;
  const parent = quoteName(facts.table.name);
  const leaf = facts.fallbackLeaf as Leaf;
  const old = replacedName(copy);
  const described = leaf.comment === null ? 'NULL' : quoteLiteral(leaf.comment);
  const say = (sql: string, why: string): PlannedStatement => ({ sql, why });
  return finish(copy, [
    ...dropCopyTrigger(copy),
    say(`ALTER TABLE ${parent} DETACH PARTITION ${quoteName(from)}`, 'its rows are in the copy'),
    ...planAttach(facts, copy.parts),
    say(`ALTER TABLE ${quoteName(rest)} DROP CONSTRAINT ${boundConstraint}`, 'it was none'),
    ...planRowSecurity(quoteName(rest), leaf),
    say(`ALTER TABLE ${parent} ATTACH PARTITION ${quoteName(rest)} DEFAULT`, 'the rows of other times'),
    say(`ALTER TABLE ${quoteName(from)} RENAME TO ${quoteIdentifier(old.name)}`, 'make way for it'),
    say(`ALTER TABLE ${quoteName(rest)} RENAME TO ${quoteIdentifier(from.name)}`, 'it has its place'),
    say(`COMMENT ON TABLE ${quoteName(from)} IS ${described}`, `as ${from.name} was`),
    say(
      `COMMENT ON TABLE ${quoteName(old)} IS ${quoteLiteral(writeMarker({ of: facts.table.name, state: 'replaced' }))}`,
      'for the next run, should this one end here',
    ),
  ]);
}

/** The step that drops a default partition that was replaced. */
export function planDropReplaced(copy: Copy): Step {
  return dropStep(copy, replacedName(copy), 'all of its rows are elsewhere');
}

/** Drops a table that has the parent's foreign keys, which locks the tables that they refer to. */
export function dropStep({ facts }: Pick<Copy, 'facts'>, table: QualifiedName, why: string): Step {
  const referred = new Set(facts.surroundings.foreignKeys.map(({ references }) => references));
  const locks = [...referred].map((name) => `ACCESS EXCLUSIVE on ${name.replaceAll('"', '')}`);
  return {
    title: `drop ${showName(table)}`,
    transaction: true,
    statements: [{ sql: `DROP TABLE ${quoteName(table)}`, why, locks }],
  };
}

const replacedName = ({ from }: Copy) => ({
  schema: from.schema,
  name: withSuffix(from.name, '_replaced'),
});

/** Statements after which nothing is copied any more. */
export function dropCopyTrigger({
  from,
  function: name,
}: Pick<Copy, 'from' | 'function'>): PlannedStatement[] {
  const table = quoteName(from);
  return [copyTrigger, `${copyTrigger}_truncate`]
    .map((trigger) => ({
      sql: `DROP TRIGGER IF EXISTS ${trigger} ON ${table}`,
      why: 'the copy ends',
      locks: [`ACCESS EXCLUSIVE on ${showName(from)}`],
    }))
    .concat([{ sql: `DROP FUNCTION IF EXISTS ${name}`, why: 'the copy ends', locks: [] }]);
}

function finish({ facts, from, parts }: Copy, statements: readonly PlannedStatement[]): Step {
  return {
    title: `attach ${countOf(parts.length, 'partition')} to ${showName(facts.table.name)}, with the rows that waited`,
    transaction: true,
    statements: [...lockForMove(facts.table.name, from), ...statements],
  };
}
