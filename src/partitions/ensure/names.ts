import type { Sql } from 'postgres';
import { askTogether, type Question } from '../../db/ask-together.ts';
import { type QualifiedName, quoteLiteral } from '../../db/identifiers.ts';
import type { PartitionedTable } from '../catalogue.ts';
import type { Missing } from '../missing.ts';
import { partitionName, withSuffix } from '../partition-name.ts';
import type { Unit } from '../period.ts';

/** How often another name is tried when one is taken. */
const tries = 50;

/** A partition to be made. */
export interface NewPartition extends Missing {
  readonly name: QualifiedName;
  /** What has the name that it would have had. */
  readonly taken: string | undefined;
}

/**
 * Gives each missing partition the name of its period, or, where another relation or type has it, that with a number
 * behind it: what a partition holds is said by its bounds, and a name is no reason to be without it. `used` is the
 * answer to `usedQuestion` about the first names.
 */
export async function namePartitions(
  sql: Sql,
  schema: string,
  missing: readonly Missing[],
  firsts: readonly string[],
  used: ReadonlyMap<string, string>,
): Promise<NewPartition[]> {
  const doubtful = firsts.filter((name, index) => used.has(name) || firsts.indexOf(name) !== index);
  const others = new Map(doubtful.map((name) => [name, numbered(name)]));
  const [usedToo] =
    others.size === 0
      ? [[]]
      : await askTogether(sql, [], [usedQuestion(schema, [...others.values()].flat())]);
  const known = new Map([...used, ...usedToo]);
  return missing.map((part, index) => {
    const first = firsts[index] as string;
    const name = [first, ...(others.get(first) ?? [])].find((candidate) => !known.has(candidate)) ?? first;
    known.set(name, 'a new partition');
    return { ...part, name: { schema, name }, taken: name === first ? undefined : known.get(first) };
  });
}

const numbered = (name: string) => Array.from({ length: tries }, (_, n) => withSuffix(name, `_${n + 2}`));

/** Names of the periods, whether or not they are free. */
export function firstNames(
  { name: { name: parent } }: PartitionedTable,
  missing: readonly Missing[],
  unit: Unit,
): string[] {
  return missing.map(({ day }) => partitionName(parent, day, unit));
}

/** Asks what relations and types of these names are. */
export function usedQuestion(schema: string, names: readonly string[]): Question<Map<string, string>> {
  return {
    sql: `WITH wanted AS (SELECT value::name AS name FROM json_array_elements_text(${quoteLiteral(JSON.stringify(names))}::text::json)),
         place AS (SELECT oid FROM pg_namespace WHERE nspname = ${quoteLiteral(schema)})
    SELECT typname AS name, 'a type' AS kind FROM pg_type
    WHERE typnamespace = (SELECT oid FROM place) AND typrelid = 0 AND typname IN (SELECT name FROM wanted)
    UNION ALL
    SELECT relname, CASE WHEN relispartition THEN 'a partition of ' || (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid)
                         WHEN relkind IN ('i', 'I') THEN 'an index' WHEN relkind = 'v' THEN 'a view'
                         WHEN relkind IN ('r', 'p') THEN 'a table' ELSE 'a relation' END
    FROM pg_class c WHERE relnamespace = (SELECT oid FROM place) AND relname IN (SELECT name FROM wanted)`,
    read: (rows: { name: string; kind: string }[]) => new Map(rows.map(({ name, kind }) => [name, kind])),
  };
}
