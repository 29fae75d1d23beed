import type { Sql, TransactionSql } from 'postgres';
import type { Session } from '../../db/connect.ts';
import { copy } from '../../db/copy.ts';
import { isServerError } from '../../db/explain-error.ts';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { applyCopySettings, copyStatement } from '../archive/copy-settings.ts';
import { type Archive, verifyArchive } from '../archive/read-archive.ts';
import { type ForeignKey, writtenColumns } from '../archive/table-facts.ts';
import { digestTable } from '../retain/archive-partition.ts';

/**
 * Loads an archive into a table that was made in the same transaction, and compares: the file with its manifest while it
 * is read, and the table with both afterwards. Throws `archive-damaged` and `archive-differs`; nothing is left then.
 */
export async function loadArchive(
  session: Session,
  sql: TransactionSql,
  archive: Archive,
  table: QualifiedName,
): Promise<void> {
  const { definition, data } = archive.manifest;
  const columns = writtenColumns(definition.columns);
  await applyCopySettings(sql);
  await copy({ sql, tap: session.tap }, copyStatement(table, columns, 'FROM STDIN'), (send) =>
    verifyArchive(archive, async (rows) => void (await send(rows))),
  ).catch((error) => {
    throw explainMisfit(error, table);
  });
  const found = await digestTable(session, sql, table, columns);
  // The order as well: the rows went into an empty table, one after the other.
  if (found.rows === data.rows && found.sha256 === data.sha256) return;
  throw new EduschemaError(
    'archive-differs',
    `${table.schema}.${table.name} does not hold what the archive holds: ${found.rows} rows of ${data.rows}, or other values`,
    {
      hint: `a column may have another type now, which changes values; --into <table> loads them as they were`,
      details: { found, archived: data },
    },
  );
}

/** The data does not fit the columns of today, or breaks a rule that came since. */
function explainMisfit(error: unknown, table: QualifiedName): unknown {
  if (!isServerError(error) || !/^2[23]/.test(error.code)) return error;
  return new EduschemaError(
    'archive-differs',
    `the rows do not fit into ${table.schema}.${table.name} as it is now: ${error.message}`,
    {
      hint: 'load them into a table of their own: --into <table>',
      excerpt: [error.detail, error.where]
        .filter(Boolean)
        .map((line) => `  ${line}`)
        .join('\n'),
      cause: error,
    },
  );
}

/** Throws `rows-orphaned` when rows refer to rows of another table that are gone by now. */
export async function refuseOrphans(
  sql: Sql | TransactionSql,
  table: QualifiedName,
  foreignKeys: readonly ForeignKey[],
): Promise<void> {
  for (const { name, references, columns, referencedColumns } of foreignKeys) {
    const list = columns.map((column) => `t.${quoteIdentifier(column)}`);
    const same = list.map(
      (column, at) => `r.${quoteIdentifier(referencedColumns[at] as string)} = ${column}`,
    );
    const [found] = await sql.unsafe<{ rows: number; keys: number; some: string | null }[]>(
      `WITH orphans AS (
         SELECT ${list.map((column) => `${column}::text`).join(" || ',' || ")} AS key, count(*) AS n FROM ${quoteName(table)} t
         WHERE ${list.map((column) => `${column} IS NOT NULL`).join(' AND ')}
           AND NOT EXISTS (SELECT FROM ${quoteName(references)} r WHERE ${same.join(' AND ')}) GROUP BY 1)
       SELECT coalesce(sum(n), 0)::float8 AS rows, count(*)::float8 AS keys,
              (SELECT string_agg(key, ', ') FROM (SELECT key FROM orphans ORDER BY n DESC, key LIMIT 5) f) AS some FROM orphans`,
    );
    if (!found || found.rows === 0) continue;
    const shown = `${references.schema}.${references.name}`;
    throw new EduschemaError(
      'rows-orphaned',
      `${found.rows} rows refer to ${found.keys} rows of ${shown} that are gone (${name}: ${found.some}${found.keys > 5 ? ', ...' : ''})`,
      {
        hint: `put those rows of ${shown} back, or load the archive into a table of its own: --into <table>`,
        details: { constraint: name, rows: found.rows, keys: found.keys },
      },
    );
  }
}

/** Sets the comment of a table. */
export async function setComment(sql: TransactionSql, table: QualifiedName, text: string): Promise<void> {
  await sql.unsafe(`COMMENT ON TABLE ${quoteName(table)} IS ${quoteLiteral(text)}`);
}

/**
 * Takes back what default privileges gave on a new table: rights on a partition itself are a way around its parent, the
 * triggers and the row security there.
 */
export async function revokeDefaults(sql: TransactionSql, table: QualifiedName): Promise<void> {
  const given = await sql<{ grantee: string | null }[]>`
    SELECT DISTINCT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END AS grantee
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = ${quoteName(table)}::regclass AND a.grantee <> c.relowner`;
  for (const { grantee } of given)
    await sql.unsafe(
      `REVOKE ALL ON TABLE ${quoteName(table)} FROM ${grantee === null ? 'PUBLIC' : quoteIdentifier(grantee)}`,
    );
}
