import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { type PartitionedTable, underUtc } from '../catalogue.ts';
import { type Candidate, findCandidate } from '../retain/queries.ts';

/** The ends of a partition, as PostgreSQL writes them under UTC. */
export interface Ends {
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * How a partition comes back. `there`: it is back already. `attach`: its table was retired and not dropped, and is attached
 * again. `join`: its rows were loaded by a run that did not come to the end. `load`: from the archive.
 */
export type Way = 'there' | 'attach' | 'join' | 'load';

/** The table of this name, if there is one of any kind. */
export async function findByName(sql: Sql, { schema, name }: QualifiedName): Promise<Candidate | undefined> {
  const [found] = await sql<{ oid: number }[]>`
    SELECT c.oid::int8::float8 AS oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${schema} AND c.relname = ${name}`;
  return found && findCandidate(sql, found.oid);
}

/**
 * Which way a partition comes back to `table`. `manifest` is the check of its archive's manifest. Throws
 * `partition-occupied` when its name or its range is somebody else's now.
 */
export async function findWay(
  sql: Sql,
  table: PartitionedTable,
  name: QualifiedName,
  ends: Ends,
  manifest: string | undefined,
): Promise<{ readonly way: Way; readonly found: Candidate | undefined }> {
  const found = await findByName(sql, name);
  const marks = found?.marks;
  const isSame = manifest === undefined || marks?.restored?.manifest === manifest;
  if (found?.attachedTo === table.oid && marks?.restored && isSame) return { way: 'there', found };
  await refuseOverlap(sql, table, ends);
  if (!found) return { way: 'load', found };
  const { retired, restored, altered } = marks as Candidate['marks'];
  if (found.attachedTo === null && !altered) {
    if (restored && isSame) return { way: 'join', found };
    const ours = retired?.parent.schema === table.name.schema && retired.parent.name === table.name.name;
    if (ours && retired.from === ends.from && retired.to === ends.to) return { way: 'attach', found };
  }
  throw occupied(
    `there is a table ${name.schema}.${name.name}, which is not this partition`,
    altered ? 'its mark was altered: look at it, or' : 'rename it, or',
  );
}

function occupied(message: string, first: string): EduschemaError {
  return new EduschemaError('partition-occupied', message, {
    hint: `${first ? `${first} ` : ''}load the archive into a table of its own: --into <table>`,
  });
}

async function refuseOverlap(sql: Sql, { oid, type }: PartitionedTable, { from, to }: Ends): Promise<void> {
  const cast = type === 'timestamptz' ? 'timestamptz' : 'timestamp';
  const [other] = await underUtc(sql, (inside) =>
    inside.unsafe<(QualifiedName & { bound: string })[]>(
      `WITH found AS (
         SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE i.inhparent = $1 AND NOT i.inhdetachpending),
       ends AS (SELECT *, coalesce(substring(bound from $re$FROM \\('([^']*)'\\)$re$), '-infinity')::${cast} AS lower,
                       coalesce(substring(bound from $re$TO \\('([^']*)'\\)$re$), 'infinity')::${cast} AS upper
                FROM found WHERE bound <> 'DEFAULT')
       SELECT schema, name, bound FROM ends
       WHERE lower < coalesce($3, 'infinity')::${cast} AND upper > coalesce($2, '-infinity')::${cast}
       ORDER BY lower LIMIT 1`,
      [oid, from, to],
    ),
  );
  if (!other) return;
  const [rows] = await sql.unsafe<{ some: boolean }[]>(
    `SELECT EXISTS (SELECT FROM ${quoteName(other)}) AS some`,
  );
  const shown = `${other.schema}.${other.name}`;
  throw occupied(
    `${shown} has that range now (${other.bound.replace('FOR VALUES ', '')}), and ${rows?.some ? 'rows in it' : 'no rows'}`,
    rows?.some ? '' : `drop it (DROP TABLE ${quoteName(other)}) and run this again, or`,
  );
}
