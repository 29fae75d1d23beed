import type { Sql } from 'postgres';
import { findHolder, lockKeyOf } from '../../db/advisory-lock.ts';
import { type QualifiedName, quoteName, showName } from '../../db/identifiers.ts';
import { parseName } from '../../db/parse-name.ts';
import type { PartitionedTable } from '../catalogue.ts';
import { readMark } from '../comment-mark.ts';
import type { TwinMark } from '../convert/memory.ts';
import { proofName } from '../convert/names.ts';
import { findCopy } from '../ensure/copy/copy-state.ts';
import { findLeftCheck, listLeftovers } from '../ensure/leftovers.ts';
import type { Finding, Found } from './finding.ts';

interface ProofRow extends QualifiedName {
  readonly column: string;
  readonly definition: string;
}

interface TwinRow {
  readonly column: string | null;
  readonly comment: string;
}

/**
 * Conversions that ended early, and that nobody is at now: a CHECK that refuses rows from some day on, a twin that stands
 * beside its table. A table of these is not partitioned yet. Call it under UTC.
 */
export async function listUnfinishedConversions(sql: Sql): Promise<Finding[]> {
  const proofs = await sql.unsafe<ProofRow[]>(`
    SELECT n.nspname AS schema, c.relname AS name, a.attname AS column, pg_get_constraintdef(o.oid) AS definition
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.conkey[1]
    WHERE o.conname = '${proofName}' AND o.contype = 'c' AND c.relkind = 'r' AND NOT c.relispartition ORDER BY 1, 2`);
  const twins = await sql.unsafe<TwinRow[]>(`
    SELECT d.description AS comment, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]) AS column
    FROM pg_partitioned_table p
    JOIN pg_description d ON d.objoid = p.partrelid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
    WHERE d.description LIKE '%{"eduschema":{"twin":%'`);
  const found = new Map<string, Finding>();
  for (const { column, comment } of twins) {
    const mark = readMark<TwinMark>(comment, 'twin');
    if (!mark) continue;
    const table = parseName(mark.of);
    const said = `${mark.method === 'undo' ? 'an undo' : 'a conversion'} that ended early left a twin of it`;
    const why = mark.method === 'split' ? `${said}, and may have it note each change` : said;
    found.set(quoteName(table), finding(table, why, column ?? '<column>', mark.method));
  }
  for (const { column, definition, ...table } of proofs) {
    const end = / < '([^']+)'::/.exec(definition)?.[1] ?? 'some time';
    const why = `a conversion that ended early left the CHECK ${proofName} on it, which refuses rows with ${column} from ${end} on`;
    found.set(quoteName(table), finding(table, why, column, 'attach'));
  }
  const left: Finding[] = [];
  for (const one of found.values()) if (!(await isAtWork(sql, one.table))) left.push(one);
  return left;
}

function finding(table: QualifiedName, message: string, column: string, method: TwinMark['method']): Finding {
  const name = showName(table);
  const undo = `eduschema partitions undo ${name}`;
  const split = method === 'split' ? ' --method split' : '';
  return {
    code: 'conversion-unfinished',
    table,
    partition: null,
    message,
    hint:
      method === 'undo'
        ? undo
        : `go on: eduschema partitions convert ${name} --by ${column}${split}; or take it back: ${undo}`,
  };
}

/** What runs of `ensure` left that ended early, of this table, when none is at work. */
export async function judgeLeftovers(sql: Sql, table: PartitionedTable): Promise<Found[]> {
  const { name } = table;
  const tables = (await listLeftovers(sql)).filter(({ marker: { of } }) => quoteName(of) === quoteName(name));
  const check = await findLeftCheck(sql, name);
  const copy = await findCopy(sql, table);
  const left = [
    ...tables.map((leftover) => [null, `it left ${showName(leftover.name)}, which is no partition`] as const),
    ...(check ? [[check, 'it left a CHECK on the default partition, which refuses rows'] as const] : []),
    ...(copy
      ? [[null, 'it left a trigger that copies what is written to the default partition'] as const]
      : []),
  ];
  if (left.length === 0 || (await isAtWork(sql, name))) return [];
  return left.map(([partition, what]) => ({
    code: 'ensure-unfinished',
    partition,
    message: `a run of partitions ensure ended early: ${what}`,
    hint: `eduschema partitions ensure ${showName(name)}`,
  }));
}

/** Whether an eduschema is at the partitions of the table now. */
async function isAtWork(sql: Sql, table: QualifiedName): Promise<boolean> {
  return (await findHolder(sql, lockKeyOf(`turn of partitions of ${showName(table)}`))) !== undefined;
}
