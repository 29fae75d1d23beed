import type { Sql } from 'postgres';
import { askTogether } from '../../db/ask-together.ts';
import { showName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import type { BoundedPartition } from '../catalogue.ts';
import { endOf } from '../instant.ts';
import type { EnsureFacts } from './decide.ts';
import { countWaiting, defaultQuestion } from './default-partition.ts';
import { leafOf, leavesQuestion } from './leaf.ts';
import { checkZoneFits, type Look } from './look.ts';
import { firstNames, namePartitions, usedQuestion } from './names.ts';
import { surroundingsQuestion } from './surroundings.ts';

/** What the catalogue says of it: all but the rows that wait. */
export type CatalogueFacts = Omit<EnsureFacts, 'waiting'>;

/**
 * Asks for everything that counts for the missing partitions of a table. Throws `permission-denied` for who is not its
 * owner, and `table-unsuitable` when its partitions are partitioned themselves or were made for another zone.
 */
export async function askFacts(sql: Sql, versionNumber: number, look: Look): Promise<EnsureFacts> {
  return withWaiting(sql, await askCatalogue(sql, versionNumber, look));
}

/** Counts the rows that wait, which takes long in a large default partition. */
export async function withWaiting(sql: Sql, facts: CatalogueFacts): Promise<EnsureFacts> {
  const { table, fallback, parts } = facts;
  const waiting = fallback
    ? await countWaiting(sql, table, fallback, parts)
    : { ranges: parts.map(() => 0), others: 0 };
  return { ...facts, waiting };
}

/** What the catalogue says, in one message as a rule. Throws as `askFacts` does. */
export async function askCatalogue(sql: Sql, versionNumber: number, look: Look): Promise<CatalogueFacts> {
  const { table, partitions, missing, policy } = look;
  const newest = newestOf(partitions);
  if (newest?.isPartitioned) throw partitionedItself(look, newest);
  await checkZoneFits(sql, look);
  const plain = partitions.find(
    ({ isDefault, isPartitioned, isForeign }) => isDefault && !isPartitioned && !isForeign,
  );
  const model = newest && !newest.isForeign ? newest : plain;
  const { schema } = (model ?? table).name;
  const firsts = firstNames(table, missing, policy.unit);
  const ofLeaves = [...new Set([model, plain].flatMap((one) => one?.oid ?? []))];
  const [fallback, leaves, surroundings, used] = await askTogether(
    sql,
    [],
    [
      defaultQuestion(partitions) ?? nothing,
      leavesQuestion(versionNumber, table.oid, ofLeaves),
      surroundingsQuestion(versionNumber, table, schema),
      usedQuestion(schema, firsts),
    ],
  );
  if (!surroundings.isOwner) throw notOwner(look, surroundings.user);
  const sibling = model && leafOf(leaves, model.oid);
  const fallbackLeaf = plain && leafOf(leaves, plain.oid);
  const parts = await namePartitions(sql, schema, missing, firsts, used);
  return { table, parts, sibling, surroundings, fallback, fallbackLeaf, now: look.now };
}

const nothing = { sql: 'SELECT', read: () => undefined };

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
