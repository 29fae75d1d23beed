import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { listBounds, type PartitionedTable } from '../catalogue.ts';
import { findLeaf } from '../ensure/leaf.ts';
import { planLeaf } from '../ensure/plan-leaf.ts';
import { planRowSecurity } from '../ensure/plan-row-security.ts';
import { findSurroundings } from '../ensure/surroundings.ts';
import { boundCondition } from './plan.ts';
import type { Ends } from './situation.ts';

/** Statements that make a table for a partition: the first before its rows are in it, the others after its keys. */
export interface NewTable {
  readonly create: string;
  readonly rest: readonly string[];
}

/**
 * What makes a table like the partitions that there are: owner, rights, storage, replica identity and row security as
 * the newest one has them, and a constraint of its bounds, so that ATTACH need not read it.
 */
export async function planLike(
  sql: Sql,
  versionNumber: number,
  table: PartitionedTable,
  name: QualifiedName,
  ends: Ends,
): Promise<NewTable> {
  const plain = (await listBounds(sql, table, 'UTC')).filter(
    ({ isPartitioned, isForeign, detachPending }) => !isPartitioned && !isForeign && !detachPending,
  );
  const newest = plain.filter(({ isDefault }) => !isDefault).at(-1) ?? plain.at(-1);
  const sibling = newest && (await findLeaf(sql, versionNumber, table.oid, newest.oid));
  const { user, defaultGrantees, excludes } = await findSurroundings(sql, versionNumber, table, name.schema);
  const bound = boundCondition(table.column, ends);
  const target = { parent: table.name, name, bound, user, defaultGrantees, excludes };
  const [create, ...rest] = planLeaf(target, sibling, { indexes: false });
  const security = sibling ? planRowSecurity(quoteName(name), sibling) : [];
  return { create: create?.sql ?? '', rest: [...rest, ...security].map((statement) => statement.sql) };
}
