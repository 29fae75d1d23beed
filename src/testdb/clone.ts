import type { Sql } from 'postgres';
import { isServerError } from '../db/explain-error.ts';
import { quoteIdentifier } from '../db/identifiers.ts';
import { markStatement } from './databases.ts';
import { newName, readName } from './names.ts';

/** From this size on, copying files beats writing every block to the log; measured in bench/testdb.mjs. */
const copyFilesFromBytes = 32 * 1024 * 1024;

/** Makes a database that is a copy of the template, and returns its name; undefined when there is no such template. */
export async function cloneTemplate(
  sql: Sql,
  template: string,
  versionNumber: number,
): Promise<string | undefined> {
  const now = Date.now();
  const key = readName(template)?.key ?? '';
  const name = newName('clone', key, now);
  const strategy = versionNumber >= 150000 ? `STRATEGY ${await chooseStrategy(sql, template)}` : '';
  try {
    await sql.unsafe(
      `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE ${quoteIdentifier(template)} ${strategy}`,
    );
  } catch (cause) {
    if (isServerError(cause) && cause.code === '3D000') return undefined;
    throw cause;
  }
  // Only now: neither can be in a transaction. A clone without the mark is found by its name.
  await sql.unsafe(markStatement(name, now));
  return name;
}

async function chooseStrategy(sql: Sql, template: string): Promise<'FILE_COPY' | 'WAL_LOG'> {
  const [size] = await sql<{ bytes: number }[]>`
    SELECT pg_database_size(oid)::float8 AS bytes FROM pg_database
    WHERE datname = ${template} AND has_database_privilege(oid, 'CONNECT')`;
  return (size?.bytes ?? 0) >= copyFilesFromBytes ? 'FILE_COPY' : 'WAL_LOG';
}
