import type { Sql, TransactionSql } from 'postgres';
import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { type Counter, counted, counters } from './counters.ts';

/** A counter that is lower than the logs that are there. */
export interface LowCounter {
  /** The id of the material, as text. */
  readonly id: string;
  readonly counter: string;
  readonly count: number;
  readonly logs: number;
  readonly missing: number;
}

/** Why a table of logs does not count what is inserted. */
export interface Uncounted {
  readonly logs: string;
  readonly trigger: string;
  readonly problem: 'missing' | 'disabled';
}

/**
 * Throws `table-missing` where the education schema is not, and `permission-denied` for a user from whom row security
 * hides materials or logs, for whom a wrong counter would look right.
 */
export async function checkTables(sql: Sql, schema: string): Promise<void> {
  const names = [counted.table, ...counters.map(({ logs }) => logs)];
  for (const name of names) {
    const [found] = await sql`SELECT to_regclass(${quoteName({ schema, name })}) IS NOT NULL AS there`;
    if (found?.there) continue;
    throw new EduschemaError('table-missing', `there is no table ${schema}.${name}`, {
      hint: 'counters are those of the education schema; --schema says where it is',
    });
  }
  for (const name of names) {
    const [rights] = await sql<{ hidden: boolean; owner: string }[]>`
      SELECT row_security_active(oid) AND NOT pg_has_role(relowner, 'USAGE') AS hidden, pg_get_userbyid(relowner) AS owner
      FROM pg_class WHERE oid = ${quoteName({ schema, name })}::regclass`;
    if (rights?.hidden)
      throw new EduschemaError('permission-denied', `row security hides rows of ${schema}.${name}`, {
        hint: `use the owner: --role ${rights.owner}`,
      });
  }
}

/** The tables of logs whose trigger does not count. */
export async function listUncounted(sql: Sql, schema: string): Promise<Uncounted[]> {
  const found: Uncounted[] = [];
  for (const { logs, trigger } of counters) {
    const [row] = await sql<{ enabled: string }[]>`
      SELECT tgenabled AS enabled FROM pg_trigger
      WHERE tgrelid = ${quoteName({ schema, name: logs })}::regclass AND tgname = ${trigger}`;
    const shown = { logs: `${schema}.${logs}`, trigger };
    if (!row) found.push({ ...shown, problem: 'missing' });
    else if (row.enabled !== 'O' && row.enabled !== 'A') found.push({ ...shown, problem: 'disabled' });
  }
  return found;
}

/**
 * The counters that are too low, the lowest id first: all logs are read once, in one statement, so in one snapshot, in
 * which a log and its count are both there or neither. A material without a log cannot be wrong in this way.
 */
export async function listLowCounters(
  sql: Sql,
  schema: string,
): Promise<{ readonly low: LowCounter[]; readonly logs: number; readonly materials: number }> {
  const [answer] = await sql.unsafe<[{ low: LowCounter[]; logs: number; materials: number }]>(
    lowCountersQuery(schema),
  );
  return answer;
}

/** The question as SQL: a hash of one count a material, while parallel workers read the partitions. */
function lowCountersQuery(schema: string): string {
  const counts = counters.map(
    ({ logs, key, column }) =>
      `SELECT ${quoteIdentifier(key)} AS id, ${quoteLiteral(column)} AS counter, count(*) AS n FROM ${quoteName({ schema, name: logs })} GROUP BY 1`,
  );
  const column = `CASE l.counter ${counters.map(({ column }) => `WHEN ${quoteLiteral(column)} THEN m.${quoteIdentifier(column)}`).join(' ')} END`;
  // Numbers come as JSON: those of float8 are rounded by a role's extra_float_digits.
  return `WITH logged AS MATERIALIZED (${counts.join(' UNION ALL ')}),
low AS (
  SELECT m.${counted.key} AS id, l.counter, ${column} AS count, l.n AS logs
  FROM logged l JOIN ${quoteName({ schema, name: counted.table })} m ON m.${counted.key} = l.id
  WHERE ${column} < l.n)
SELECT to_json((SELECT coalesce(sum(n), 0) FROM logged)) AS logs,
       to_json((SELECT count(DISTINCT id) FROM logged)) AS materials,
       (SELECT coalesce(json_agg(json_build_object('id', id::text, 'counter', counter, 'count', count, 'logs', logs,
                                                   'missing', logs - count) ORDER BY id, counter), '[]') FROM low) AS low`;
}

/**
 * Adds what is missing to the counters of some materials, in the order of their ids, as the triggers lock them. Added, not
 * set: what was counted meanwhile stays. A counter that has reached its logs of then is compared with those of now, while
 * its lock keeps others from counting, and is left unless it is low. Returns how many were raised.
 */
export async function raiseCounters(
  sql: TransactionSql,
  schema: string,
  { column, logs, key }: Pick<Counter, 'column' | 'logs' | 'key'>,
  low: readonly LowCounter[],
): Promise<number> {
  const table = quoteName({ schema, name: counted.table });
  const values = JSON.stringify(low.map(({ id, missing, logs }) => ({ id, missing, logs })));
  const rows = `json_to_recordset($1::text::json) AS l (id bigint, missing bigint, logs bigint)`;
  // The audit leaves out what changes counters alone, when the owner says that it does.
  await sql`SELECT set_config('eduschema.counting', 'on', true)`;
  await sql.unsafe(
    `SELECT FROM ${table} WHERE ${counted.key} IN (SELECT id FROM ${rows}) ORDER BY ${counted.key} FOR NO KEY UPDATE`,
    [values],
  );
  const raised = await sql.unsafe<{ id: string }[]>(
    `UPDATE ${table} m SET ${quoteIdentifier(column)} = m.${quoteIdentifier(column)} + l.missing
     FROM ${rows} WHERE m.${counted.key} = l.id AND m.${quoteIdentifier(column)} < l.logs
     RETURNING m.${counted.key}::text AS id`,
    [values],
  );
  // More was counted meanwhile than was missing, or somebody raised it: only the logs of today tell which.
  const done = new Set(raised.map(({ id }) => id));
  const moved = low.filter(({ id }) => !done.has(id)).map(({ id }) => id);
  if (moved.length === 0) return raised.count;
  const again = await sql.unsafe(
    `UPDATE ${table} m SET ${quoteIdentifier(column)} = l.n
     FROM (SELECT ${quoteIdentifier(key)} AS id, count(*) AS n FROM ${quoteName({ schema, name: logs })}
           WHERE ${quoteIdentifier(key)} = ANY ($1::text::bigint[]) GROUP BY 1) l
     WHERE m.${counted.key} = l.id AND m.${quoteIdentifier(column)} < l.n`,
    [`{${moved.join(',')}}`],
  );
  return raised.count + again.count;
}
