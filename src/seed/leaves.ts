import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteLiteral } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import type { TargetTable } from './find-table.ts';

/** A partition with rows of its own, and the time that is its: in milliseconds since 1970, `to` not included. */
export interface Leaf {
  readonly name: QualifiedName;
  readonly from: number;
  readonly to: number;
}

/**
 * The partitions of a table by time, in order. The default partition is none of them: rows in it would stand in the
 * way of the partition that they belong to. Throws `table-unsuitable` for partitions of another kind.
 */
export async function listLeaves(sql: TransactionSql, target: TargetTable): Promise<Leaf[]> {
  const shown = `${target.name.schema}.${target.name.name}`;
  const unsuitable = new EduschemaError(
    'table-unsuitable',
    `${shown} is not partitioned by range over one column of time, and "direct" writes into such partitions`,
    { hint: 'take direct out of the seed' },
  );
  if (!['timestamptz', 'timestamp', 'date'].includes(target.partitionType ?? '')) throw unsuitable;
  // Bounds of timestamptz are printed with their offset, whatever the session's zone; the others have none.
  const zone = target.partitionType === 'timestamptz' ? '::timestamptz' : "::timestamp AT TIME ZONE 'UTC'";
  const end = (side: string, otherwise: string) =>
    `CASE WHEN bound ~ '${side} \\((MIN|MAX)VALUE\\)' THEN ${quoteLiteral(otherwise)}::float8
          ELSE extract(epoch from substring(bound from '${side} \\(''([^'']*)''\\)')${zone})::float8 * 1000 END`;
  const rows = await sql.unsafe<({ kind: string } & QualifiedName & { from: number; to: number })[]>(
    `SELECT nspname AS schema, relname AS name, relkind AS kind,
              ${end('FROM', '-Infinity')} AS from, ${end('TO', 'Infinity')} AS to
       FROM (SELECT n.nspname, c.relname, c.relkind, pg_get_expr(c.relpartbound, c.oid) AS bound
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE i.inhparent = $1 AND NOT i.inhdetachpending) p
       WHERE bound <> 'DEFAULT' ORDER BY 4`,
    [target.oid],
  );
  if (rows.some(({ kind }) => kind !== 'r')) throw unsuitable;
  return rows.map(({ schema, name, from, to }) => ({ name: { schema, name }, from, to }));
}

/** Finds the partition of a time. Times mostly come in order, so it looks at the last one first. */
export function createLeafFinder(target: QualifiedName, leaves: readonly Leaf[]): (time: number) => Leaf {
  let last: Leaf | undefined;
  return (time) => {
    if (last && time >= last.from && time < last.to) return last;
    last = leaves.find(({ from, to }) => time >= from && time < to);
    if (!last) throw partitionMissing(target, time);
    return last;
  };
}

function partitionMissing({ schema, name }: QualifiedName, time: number): EduschemaError {
  const shown = `${schema}.${name}`;
  return new EduschemaError(
    'partition-missing',
    `${shown} has no partition for ${new Date(time).toISOString()}`,
    {
      hint: `make it (eduschema partitions ensure ${shown}), or attach the one that was detached, and run the command again`,
      details: { table: shown, time: new Date(time).toISOString() },
    },
  );
}
