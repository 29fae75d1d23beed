import { createHash } from 'node:crypto';
import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import { isServerError } from './explain-error.ts';
import { type QualifiedName, quoteLiteral } from './identifiers.ts';
import { otherFacts } from './other-facts.ts';
import { relationFacts } from './relation-facts.ts';

/** A schema as hashes: equal ones were defined alike, whatever the rows in it and the session that asked. */
export interface SchemaFingerprint {
  /** SHA-256 over all objects. */
  readonly sha256: string;
  /** The beginning of each object's own hash, by its kind and name: `column public.materials.title`; sorted. */
  readonly objects: ReadonlyMap<string, string>;
}

export interface FingerprintOptions {
  /** Tables that do not count, with all that hangs on them. */
  readonly ignoredTables: readonly QualifiedName[];
  /** Schemas that do not count themselves as long as there is nothing else in them. */
  readonly ignoredSchemas: readonly string[];
}

/** What pg_get_expr and its like print depends on these settings of the session. */
const settings = [
  `search_path = ''`,
  `TimeZone = 'UTC'`,
  `DateStyle = 'ISO, YMD'`,
  `IntervalStyle = 'postgres'`,
  `bytea_output = 'hex'`,
  `extra_float_digits = 1`,
  `lc_monetary = 'C'`,
  `xmloption = 'content'`,
  `quote_all_identifiers = off`,
  `statement_timeout = '5min'`,
  // Views can be read only while nobody changes them.
  `lock_timeout = '5s'`,
  `jit = off`,
];

/** Characters of an object's hash that are kept; the whole counts into the fingerprint. */
const shownHash = 12;

/**
 * The fingerprint of all that users have defined in the database: what extensions brought counts by their version,
 * roles and the rows of tables do not count. `sql` must be outside a transaction. It is one message, so that it holds
 * through a pooler as well, and leaves nothing behind.
 */
export async function takeFingerprint(sql: Sql, options: FingerprintOptions): Promise<SchemaFingerprint> {
  const message = [
    'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
    ...settings.map((setting) => `SET LOCAL ${setting}`),
    describeSchema(options),
    'COMMIT',
  ].join(';\n');
  const results = (await sql.unsafe(message).catch(async (error) => {
    await sql.unsafe('ROLLBACK').catch(() => {});
    throw isServerError(error) && error.code === '55P03' ? beingChanged(error) : error;
  })) as unknown as { readonly objects: string }[][];
  // The driver leaves out some results of statements without rows.
  const found = results.flat().find((row) => row.objects !== undefined);
  return fingerprintOf(JSON.parse(found?.objects ?? '[]') as [name: string, hash: string][]);
}

function beingChanged(cause: Error): EduschemaError {
  return new EduschemaError(
    'database-error',
    'the schema cannot be read: somebody has locked a part of it for 5 s',
    {
      hint: 'try again when nobody changes it',
      cause,
    },
  );
}

function fingerprintOf(objects: [name: string, hash: string][]): SchemaFingerprint {
  objects.sort(([a, hashA], [b, hashB]) => (a === b ? compare(hashA, hashB) : compare(a, b)));
  const hash = createHash('sha256');
  for (const [name, own] of objects) hash.update(`${own} ${name}\0`);
  return {
    sha256: hash.digest('hex'),
    objects: new Map(objects.map(([name, own]) => [name, own.slice(0, shownHash)])),
  };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** One query, since each is a round trip; its objects come as one JSON text, which is parsed faster than rows. */
function describeSchema({ ignoredTables, ignoredSchemas }: FingerprintOptions): string {
  const tables = ignoredTables.map(({ schema, name }) => `(${quoteLiteral(schema)}, ${quoteLiteral(name)})`);
  const schemas = ignoredSchemas.map(quoteLiteral);
  const isIgnored = (schema: string, name: string) =>
    tables.length === 0 ? 'false' : `(${schema}, ${name}) IN (${tables.join(', ')})`;
  const isEmpty = `NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 'I')
                                 AND NOT ${isIgnored('n.nspname::text', 'c.relname::text')})
    AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid)
    AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = n.oid AND t.typrelid = 0 AND t.typcategory <> 'A')`;
  return `
  WITH namespace AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl,
           ${schemas.length === 0 ? 'false' : `n.nspname::text IN (${schemas.join(', ')}) AND ${isEmpty}`} AS ignored
    FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  ),
  member AS MATERIALIZED (
    SELECT DISTINCT classid, objid FROM pg_depend
    WHERE deptype = 'e' OR deptype = 'i' AND classid IN ('pg_proc'::regclass, 'pg_cast'::regclass)
  ),
  relation AS MATERIALIZED (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                          WHEN 'c' THEN 'type' WHEN 'S' THEN 'sequence' ELSE 'table' END AS word
    FROM pg_class c JOIN namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
      AND NOT ${isIgnored('n.nspname::text', 'c.relname::text')}
      AND NOT EXISTS (SELECT FROM member WHERE member.classid = 'pg_class'::regclass AND member.objid = c.oid)
  ),
  facts (word, name, fact) AS (
    ${[...relationFacts, ...otherFacts].join('\n    UNION ALL\n    ')}
  )
  SELECT coalesce(json_agg(json_build_array(word || ' ' || name, encode(sha256(convert_to(coalesce(fact, ''), 'UTF8')), 'hex'))), '[]')::text AS objects
  FROM facts WHERE word || ' ' || name IS NOT NULL`;
}
