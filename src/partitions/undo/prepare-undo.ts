import type { Sql } from 'postgres';
import type { Database } from '../../db/connect.ts';
import type { QualifiedName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { splitSql } from '../../sql/split.ts';
import { underUtc } from '../catalogue.ts';
import { shown } from '../convert/choices.ts';
import { findPartitioned } from '../convert/converted.ts';
import { describeTable } from '../convert/describe-table.ts';
import type { Memory, TwinMark } from '../convert/memory.ts';
import { listRightObstacles, type Obstacle } from '../convert/obstacles.ts';
import { ofMaterializedViews } from '../convert/prepare.ts';
import { type ConversionState, findState } from '../convert/state.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { withSuffix } from '../partition-name.ts';
import { findSplit, type Split } from '../split/after-swap.ts';
import { listCome } from '../split/come-since.ts';
import { findRemains } from '../split/remains.ts';
import { findIndexPairs, listNewer, type NewerPartition } from './undo-facts.ts';

/** Where the way back begins. */
export type PreparedUndo =
  | { readonly stage: 'nothing'; readonly table: TableDescription }
  /** The twin has not taken the table's place. */
  | {
      readonly stage: 'unfinished';
      readonly table: TableDescription;
      readonly state: ConversionState;
      /** Rows were being copied, and changes noted. */
      readonly isSplit: boolean;
    }
  | (Converted & { readonly stage: 'converted' })
  /** The old table is back in its place; the rest is to be tidied up. */
  | { readonly stage: 'back'; readonly table: TableDescription; readonly mark: TwinMark };

/** A table that was converted, and what it was. */
export interface Converted {
  readonly table: TableDescription;
  readonly old: TableDescription;
  readonly memory: Memory;
  readonly pairs: ReadonlyMap<string, string>;
  readonly newer: readonly NewerPartition[];
  /** The old table is no partition, but stands aside. */
  readonly split?: Split;
}

/**
 * Looks at a table that is to be what it was, and changes nothing. Throws `table-missing`, `permission-denied`, and
 * `table-unsuitable` when it was not converted, or with everything that stands in the way.
 */
export async function prepareUndo(
  { sql, facts }: Pick<Database, 'sql' | 'facts'>,
  name: QualifiedName,
): Promise<PreparedUndo> {
  const table = await underUtc(sql, (inside) => describeTable(inside, name, facts.versionNumber));
  if (!table)
    throw new EduschemaError('table-missing', `there is no table ${shown(name)}`, {
      hint: 'check the name; write schema.table for one in another schema',
    });
  if (!table.mine)
    throw new EduschemaError('permission-denied', `${shown(table)} belongs to ${table.owner}`, {
      hint: `use a role that may act as ${table.owner} (--role)`,
    });
  if (table.kind !== 'p') return beforeSwap(sql, table);
  const converted = await findConverted(sql, table);
  const obstacles = await listUndoObstacles(sql, converted);
  if (obstacles.length > 0)
    throw new EduschemaError('table-unsuitable', `${shown(table)} cannot be what it was as it is now`, {
      excerpt: obstacles.flatMap(({ what, remedy }) => [`  ${what}`, `    ${remedy}`]).join('\n'),
      hint: 'nothing was changed; see to these, and try again',
      details: { obstacles },
    });
  return { stage: 'converted', ...converted };
}

async function beforeSwap(sql: Sql, table: TableDescription): Promise<PreparedUndo> {
  const state = await underUtc(sql, (inside) => findState(inside, table));
  const mark = state.twin?.mark;
  if (mark?.method === 'undo') return { stage: 'back', table, mark };
  const isSplit = mark?.method === 'split' || (await findRemains(sql, table)).any;
  return mark || state.proof || state.wide.length > 0 || isSplit
    ? { stage: 'unfinished', table, state, isSplit }
    : { stage: 'nothing', table };
}

async function findConverted(sql: Sql, table: TableDescription): Promise<Converted> {
  const { converted } = await underUtc(sql, (inside) => findPartitioned(inside, table));
  const [found] = converted;
  const split = found ? undefined : await findSplit(sql, table, table.server);
  if (split) return splitOf(split, table);
  if (!found)
    throw new EduschemaError(
      'table-unsuitable',
      `no partition of ${shown(table)} remembers what the table was`,
      {
        hint: 'it was not converted by eduschema, or its first partition is gone',
      },
    );
  const old = await underUtc(sql, (inside) => describeTable(inside, found.name, table.server));
  if (!old) throw new EduschemaError('table-missing', `${shown(found.name)} is gone`);
  const { pairs, newer } = await sql.begin('READ ONLY', async (inside) => {
    await inside.unsafe('SET LOCAL row_security = off');
    return {
      pairs: await findIndexPairs(inside, table, found.oid),
      newer: await listNewer(inside, table, found.oid),
    };
  });
  checkMemory(found.memory, table);
  return { table, old, memory: found.memory, pairs, newer };
}

/** Definitions come from a comment, which its owner may have written: each is a piece of one statement, and no more. */
export function checkMemory({ lost, incoming, foreignKeys = [] }: Memory, table: QualifiedName): void {
  const texts = [
    ...foreignKeys.map(({ definition }) => `ALTER TABLE t ADD ${definition}`),
    ...lost.map(({ using }) => `CREATE INDEX ON t ${using}`),
    ...incoming.map(({ definition }) => `ALTER TABLE t ADD ${definition}`),
  ];
  if (texts.every((text) => splitSql(text).statements.length === 1)) return;
  throw new EduschemaError(
    'table-unsuitable',
    `the comment that remembers what ${shown(table)} was is not what eduschema wrote`,
    {
      hint: 'look at it with \\d+ in psql; it is the line that begins with {"eduschema":',
    },
  );
}

/** The indexes of a table that stands aside are called like those of the new one, and on. */
function splitOf(split: Split, table: TableDescription): Converted {
  const { old, memory } = split;
  checkMemory(memory, table);
  const aside = (name: string) => withSuffix(name, memory.aside);
  const pairs = table.indexes.filter(({ name }) => old.indexes.some((own) => own.name === aside(name)));
  return {
    table,
    old,
    memory,
    pairs: new Map(pairs.map(({ name }) => [name, aside(name)])),
    newer: [],
    split,
  };
}

async function listUndoObstacles(sql: Sql, { table, old, newer, split }: Converted): Promise<Obstacle[]> {
  const filled = newer.filter(({ hasRows }) => hasRows);
  return [
    ...(split ? listCome(table, old, split.memory) : []),
    ...newer
      .filter(({ kind }) => kind !== 'r')
      .map(({ name }) => ({
        what: `${shown(name)} is no plain table, and its rows cannot be moved back`,
        remedy: `move them elsewhere, or detach it: ALTER TABLE ${shown(table)} DETACH PARTITION ${shown(name)}`,
      })),
    ...(filled.length > 0 ? table.publications : []).map(({ name }) => ({
      what: `the publication ${name} would tell subscribers of the rows that are moved a second time`,
      remedy: 'take the table out of it, and have subscribers copy it again afterwards',
    })),
    ...table.dependents.others.map((other) => ({
      what: `${other} is bound to the table, and cannot be bound to another`,
      remedy: 'drop it, and create it again afterwards',
    })),
    ...(await ofMaterializedViews(sql, table)),
    ...listRightObstacles(table),
  ];
}
