import type { Sql } from 'postgres';
import { showName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import type { BoundedPartition } from '../catalogue.ts';
import { endOf } from '../instant.ts';
import type { EnsureFacts } from './decide.ts';
import { countWaiting, findDefaultPartition } from './default-partition.ts';
import { findLeaf } from './leaf.ts';
import { checkZoneFits, type Look } from './look.ts';
import { namePartitions } from './names.ts';
import { findSurroundings } from './surroundings.ts';

/**
 * Asks for everything that counts for the missing partitions of a table. Throws `permission-denied` for who is not its
 * owner, and `table-unsuitable` when its partitions are partitioned themselves or were made for another zone.
 */
export async function askFacts(sql: Sql, versionNumber: number, look: Look): Promise<EnsureFacts> {
  const { table, partitions, missing, policy } = look;
  const newest = newestOf(partitions);
  if (newest?.isPartitioned) throw partitionedItself(look, newest);
  await checkZoneFits(sql, look);
  const fallback = await findDefaultPartition(sql, partitions);
  const leafOf = (oid: number) => findLeaf(sql, versionNumber, table.oid, oid);
  const fallbackLeaf = fallback?.isPlain ? await leafOf(fallback.oid) : undefined;
  const sibling = newest && !newest.isForeign ? await leafOf(newest.oid) : fallbackLeaf;
  const { schema } = sibling?.name ?? table.name;
  const surroundings = await findSurroundings(sql, versionNumber, table, schema);
  if (!surroundings.isOwner) throw notOwner(look, surroundings.user);
  const parts = await namePartitions(sql, table, schema, missing, policy.unit);
  const waiting = fallback
    ? await countWaiting(sql, table, fallback, parts)
    : { ranges: parts.map(() => 0), others: 0 };
  return { table, parts, sibling, surroundings, fallback, fallbackLeaf, waiting, now: look.now };
}

/** The partition with the last bounds that is a table here; of those, a foreign one when there is no other. */
function newestOf(partitions: readonly BoundedPartition[]): BoundedPartition | undefined {
  const bounded = partitions.filter(({ isDefault, detachPending }) => !isDefault && !detachPending);
  const byEnd = [...bounded].sort((one, other) => endOf(one.to) - endOf(other.to));
  return byEnd.findLast(({ isForeign }) => !isForeign) ?? byEnd.at(-1);
}

function partitionedItself({ table }: Look, { name }: BoundedPartition): EduschemaError {
  return new EduschemaError(
    'table-unsuitable',
    `${showName(name)}, the newest partition of ${showName(table.name)}, is partitioned itself, and such are not made here`,
    { hint: 'make it by hand, or with the tool that made the others' },
  );
}

function notOwner({ table }: Look, user: string): EduschemaError {
  const name = showName(table.name);
  return new EduschemaError(
    'permission-denied',
    `${user} is not the owner of ${name}, which ${table.owner} is`,
    { hint: `run it as ${table.owner}, or with --role ${table.owner}` },
  );
}
