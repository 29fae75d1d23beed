import {
  type QualifiedName,
  quoteIdentifier,
  quoteLiteral,
  quoteName,
  showName,
} from '../../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../../db/plan.ts';
import { withSuffix } from '../../partition-name.ts';
import type { EnsureFacts } from '../decide.ts';
import type { Leaf } from '../leaf.ts';
import { writeMarker } from '../marker.ts';
import { planTable } from '../plan-attach.ts';
import { planLeaf } from '../plan-leaf.ts';
import { copyFunction } from './copy-function.ts';
import { type CopyPart, type CopyState, copyTrigger, writeCopyState } from './copy-state.ts';

/** What a copy is of, by what is known before it begins. */
export interface Copy {
  readonly facts: EnsureFacts;
  readonly from: QualifiedName;
  readonly rest: QualifiedName;
  /** As SQL, with its parentheses. */
  readonly function: string;
  readonly parts: readonly CopyPart[];
}

/** The copy of the rows that wait for `parts`. */
export function copyOf(facts: EnsureFacts, parts: readonly CopyPart[]): Copy {
  const from = (facts.fallback as NonNullable<EnsureFacts['fallback']>).name;
  const named = (suffix: string) => ({ schema: from.schema, name: withSuffix(from.name, suffix) });
  return { facts, from, rest: named('_rest'), function: `${quoteName(named('_copy'))}()`, parts };
}

/**
 * Steps before the rows are copied: the tables, with the foreign keys, which ATTACH then adopts, and one that is like
 * the default partition, for what belongs to none of them.
 */
export function planCopyTables({ facts, from, rest, parts }: Copy): Step[] {
  const { table, fallbackLeaf, surroundings } = facts;
  const { user, defaultGrantees, excludes, foreignKeys } = surroundings;
  const restLeaf = { parent: table.name, name: rest, bound: 'true', user, defaultGrantees, excludes };
  const keys = parts.flatMap(({ name }) =>
    foreignKeys.map((key) => ({
      sql: `ALTER TABLE ${quoteName(name)} ADD CONSTRAINT ${quoteIdentifier(key.name)} ${key.definition}`,
      why: 'a foreign key that is there is not checked again by ATTACH',
      locks: [`SHARE ROW EXCLUSIVE on ${key.references.replaceAll('"', '')}`],
    })),
  );
  const tables: Step = {
    title: `make tables for the rows that wait in ${showName(from)}`,
    transaction: true,
    statements: [
      ...parts.flatMap((part) => planTable(facts, part, 'copy')),
      ...planLeaf(restLeaf, fallbackLeaf as Leaf),
      {
        sql: `COMMENT ON TABLE ${quoteName(rest)} IS ${quoteLiteral(writeMarker({ of: table.name, state: 'copy' }))}`,
        why: 'for rows of none of these; the comment says whose it is',
      },
    ],
  };
  const references: Step = {
    title: `give them the foreign keys of ${showName(table.name)}`,
    transaction: true,
    statements: keys,
  };
  return keys.length > 0 ? [tables, references] : [tables];
}

/** The step after which every change of the default partition is made in the copy as well. */
export function planCopyTrigger(copy: Copy): Step {
  const { facts, from, rest, parts } = copy;
  const table = quoteName(from);
  const owner = quoteIdentifier((facts.fallbackLeaf as Leaf).owner);
  const state: CopyState = {
    of: quoteName(facts.table.name),
    parts: parts.map(({ name, from: begin, to }) => ({ name, from: begin, to })),
    rest,
    columns: facts.surroundings.columnsNow,
    file: '',
    block: 0,
    blocks: 0,
  };
  return {
    title: `keep the copy of ${showName(from)} in step`,
    transaction: true,
    statements: [
      { sql: copyFunction(copy), why: 'makes the changes of the default partition in the copy' },
      { sql: `ALTER FUNCTION ${copy.function} OWNER TO ${owner}`, why: 'with the rights of the owner alone' },
      { sql: `REVOKE ALL ON FUNCTION ${copy.function} FROM PUBLIC`, why: 'nobody else calls it' },
      describeCopy(copy.function, state),
      {
        sql: `CREATE TRIGGER ${copyTrigger} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${copy.function}`,
        why: 'from here on nothing is missed',
        locks: [`SHARE ROW EXCLUSIVE on ${showName(from)}`],
        waitsFor: `whoever writes ${showName(from)}`,
      },
      {
        sql: `CREATE TRIGGER ${copyTrigger}_truncate AFTER TRUNCATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION ${copy.function}`,
        why: 'nor this',
      },
      {
        sql: `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${copyTrigger}, ENABLE ALWAYS TRIGGER ${copyTrigger}_truncate`,
        why: 'also when a subscription writes',
      },
    ],
  };
}

/** The statement that writes down how far the copy is. */
export function describeCopy(name: string, state: CopyState): PlannedStatement {
  return {
    sql: `COMMENT ON FUNCTION ${name} IS ${quoteLiteral(writeCopyState(state))}`,
    why: 'how far the copy is, for the next run',
  };
}
