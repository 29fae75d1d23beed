import type { Sql } from 'postgres';
import { quoteIdentifier, quoteLiteral } from '../db/identifiers.ts';
import { type Kind, readName } from './names.ts';

/** A database that `testdb` made. */
export interface FoundDatabase {
  readonly name: string;
  readonly kind: Kind;
  readonly key: string;
  readonly owner: string;
  /** The role that asks owns it. A superuser may do more, but does not look after what others made. */
  readonly isOwn: boolean;
  /** ISO 8601 in UTC; of a template, when it was last cloned or made. */
  readonly usedAt: string;
  readonly ageSeconds: number;
  readonly sessions: number;
}

interface Row {
  readonly name: string;
  readonly owner: string;
  readonly isOwn: boolean;
  readonly comment: string | null;
  readonly now: number;
  readonly sessions: number;
}

/** The databases of ours on the server, or the one of that name: those with our comment, or none and a name of ours. */
export async function listDatabases(sql: Sql, name?: string): Promise<FoundDatabase[]> {
  const rows = await sql<Row[]>`
    SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner, pg_get_userbyid(d.datdba) = current_user AS "isOwn",
           shobj_description(d.oid, 'pg_database') AS comment,
           (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now,
           (SELECT count(*)::int FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend') AS sessions
    FROM pg_database d WHERE d.datname LIKE 'eduschema\\_%'
      AND (${name ?? null}::text IS NULL OR d.datname = ${name ?? null}) ORDER BY d.datname`;
  return rows.flatMap(({ comment, now, ...row }) => {
    const said = readName(row.name);
    if (!said) return [];
    const marked = readMark(comment);
    // Somebody's own comment: the name is like ours by chance.
    if (comment !== null && marked === undefined) return [];
    const usedMs = marked ?? said.madeMs;
    if (usedMs === undefined) return [];
    return [
      {
        ...row,
        kind: said.kind,
        key: said.key,
        usedAt: new Date(usedMs).toISOString(),
        ageSeconds: Math.max(0, Math.round((now - usedMs) / 1000)),
      },
    ];
  });
}

const markKey = 'eduschema';

/** SQL that marks a database as ours, used at `nowMs`. */
export function markStatement(name: string, nowMs: number): string {
  const mark = JSON.stringify({ [markKey]: { testdb: new Date(nowMs).toISOString() } });
  return `COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(mark)}`;
}

function readMark(comment: string | null): number | undefined {
  try {
    const at = Date.parse(JSON.parse(comment ?? '')[markKey].testdb);
    return Number.isNaN(at) ? undefined : at;
  } catch {
    return undefined;
  }
}
