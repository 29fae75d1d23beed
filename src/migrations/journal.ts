import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { canonicalVersion, isVersion } from './version.ts';

/** A row of the journal, `schema_versions`. */
export interface JournalRow {
  readonly version: string;
  readonly description: string | null;
  /** ISO 8601 in UTC. */
  readonly appliedAt: string | null;
  /** `migration`: eduschema ran it. `baseline`: recorded without running. `adopted`: the row was there before. */
  readonly kind: 'migration' | 'baseline' | 'adopted';
  readonly checksum: string | null;
  readonly checksumAlgorithm: string | null;
  readonly durationMs: number | null;
  readonly appliedBy: string | null;
  readonly toolVersion: string | null;
}

/** A row of the journal of repeatable migrations, `schema_versions_repeatable`. */
export interface RepeatableRow {
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: string;
}

/** What is recorded in a database, and whether the tables that record it are there. */
export interface Journal {
  readonly name: QualifiedName;
  /** `guide`: a table in the guide's own shape, to be widened before the first write. */
  readonly shape: 'absent' | 'guide' | 'complete';
  readonly hasRepeatable: boolean;
  readonly hasStatements: boolean;
  readonly hasHooks: boolean;
  /** Since when the after hooks are due, in ISO 8601 in UTC: a run began, and has not come to them. */
  readonly afterDueSince: string | undefined;
  readonly rows: readonly JournalRow[];
  readonly repeatable: readonly RepeatableRow[];
}

/** How much of each row to read. */
export type JournalDetail = 'plan' | 'whole';

/** The journal of repeatable migrations stands beside the journal. */
export function repeatableJournal({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_repeatable` };
}

/** The journal of statements stands beside the journal. */
export function statementJournal({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_statements` };
}

/** The journal of hooks stands beside the journal. */
export function hooksJournal({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_hooks` };
}

/** What is added to the guide's `version`; `kind` has the default that existing rows take. */
export const addedColumns: Readonly<Record<string, string>> = {
  applied_at: 'timestamp with time zone DEFAULT CURRENT_TIMESTAMP',
  description: 'text',
  // The default that existing rows take; new rows get another (journalStatements).
  kind: "text NOT NULL DEFAULT 'adopted'",
  checksum: 'text',
  checksum_algorithm: 'text',
  duration_ms: 'bigint',
  applied_by: 'text',
  tool_version: 'text',
};

/**
 * Reads the journal, without creating anything; for a plan, its rows lack who, when and how long.
 * Throws when there is a table of that name which cannot be a journal.
 */
export async function readJournal(
  sql: Sql,
  name: QualifiedName,
  detail: JournalDetail = 'plan',
): Promise<Journal> {
  const columns = await listColumns(sql, name);
  const hasRepeatable = columns.some(({ table }) => table === 'repeatable');
  const hasStatements = columns.some(({ table }) => table === 'statements');
  const own = columns.filter(({ table }) => table === 'journal');
  const hasHooks = columns.some(({ table }) => table === 'hooks');
  const afterDueSince = hasHooks ? await findAfterDue(sql, name) : undefined;
  const tables = { name, hasRepeatable, hasStatements, hasHooks, afterDueSince };
  if (own.length === 0) return { ...tables, shape: 'absent', rows: [], repeatable: [] };
  forbidStrangeTable(name, own);
  const has = new Set(own.map(({ column }) => column));
  const shape = Object.keys(addedColumns).every((column) => has.has(column)) ? 'complete' : 'guide';
  const rows = await listRows(sql, name, has, detail);
  forbidStrangeRows(name, rows);
  const repeatable = hasRepeatable ? await listRepeatable(sql, name) : [];
  return { ...tables, shape, rows, repeatable };
}

interface JournalColumn {
  readonly table: 'journal' | 'repeatable' | 'statements' | 'hooks';
  readonly column: string;
  readonly textual: boolean;
  readonly temporal: boolean;
  readonly stored: boolean;
  readonly required: boolean;
}

const regclass = (name: QualifiedName) => quoteLiteral(quoteName(name));

function listColumns(sql: Sql, name: QualifiedName): Promise<JournalColumn[]> {
  return sql.unsafe<JournalColumn[]>(`
    SELECT CASE attrelid WHEN to_regclass(${regclass(repeatableJournal(name))}) THEN 'repeatable'
                         WHEN to_regclass(${regclass(statementJournal(name))}) THEN 'statements'
                         WHEN to_regclass(${regclass(hooksJournal(name))}) THEN 'hooks'
                         ELSE 'journal' END AS "table",
           attname AS "column",
           atttypid IN ('text'::regtype, 'varchar'::regtype) AS textual,
           atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype) AS temporal,
           (SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = attrelid) AS stored,
           attnotnull AND NOT atthasdef AND attidentity = '' AS required
    FROM pg_attribute
    WHERE attrelid IN (to_regclass(${regclass(name)}), to_regclass(${regclass(repeatableJournal(name))}),
                       to_regclass(${regclass(statementJournal(name))}), to_regclass(${regclass(hooksJournal(name))}))
      AND attnum > 0 AND NOT attisdropped`);
}

const textColumns = [
  'version',
  'description',
  'kind',
  'checksum',
  'checksum_algorithm',
  'applied_by',
  'tool_version',
];

function forbidStrangeTable(name: QualifiedName, columns: readonly JournalColumn[]): void {
  const strange = (why: string) =>
    new EduschemaError('journal-invalid', `${quoteName(name)} is no journal: ${why}`, {
      hint: 'name another table for the journal: journal.table in eduschema.config, or --journal',
    });
  if (columns.some(({ stored }) => !stored)) throw strange('it is no table');
  if (!columns.some(({ column }) => column === 'version')) throw strange('it has no column "version"');
  for (const { column, textual, temporal, required } of columns) {
    if (textColumns.includes(column) && !textual) throw strange(`its column "${column}" is no text`);
    if (column === 'applied_at' && !temporal) throw strange('its column "applied_at" is no timestamp');
    if (required && column !== 'version' && !(column in addedColumns))
      throw strange(`its column "${column}" must have a value`);
  }
}

/** Throws for rows that no file could ever match. */
function forbidStrangeRows(name: QualifiedName, rows: readonly JournalRow[]): void {
  const seen = new Set<string>();
  for (const { version } of rows) {
    const known = typeof version === 'string' && isVersion(version);
    if (known && !seen.has(canonicalVersion(version))) {
      seen.add(canonicalVersion(version));
      continue;
    }
    throw new EduschemaError(
      'journal-invalid',
      known
        ? `${quoteName(name)} has version ${version} twice`
        : `${quoteName(name)} has a row whose version is "${version}"`,
      { hint: 'versions are dotted numbers or timestamps, each of them once: correct the row' },
    );
  }
}

/** As one JSON text of arrays: a thousand rows are parsed several times faster than as rows of the driver. */
async function listRows(
  sql: Sql,
  name: QualifiedName,
  has: ReadonlySet<string>,
  detail: JournalDetail,
): Promise<JournalRow[]> {
  const column = (of: string, expression = of) => (has.has(of) ? expression : 'NULL');
  const whole = (of: string, expression = of) => (detail === 'whole' ? column(of, expression) : 'NULL');
  const [{ rows } = { rows: '[]' }] = await sql.unsafe<[{ rows: string }]>(`
    SELECT coalesce(json_agg(json_build_array(
             version,
             ${column('description')},
             ${column('kind')},
             ${column('checksum')},
             ${column('checksum_algorithm')},
             ${whole('applied_at', "date_trunc('milliseconds', applied_at::timestamptz AT TIME ZONE 'UTC')")},
             ${whole('duration_ms')},
             ${whole('applied_by')},
             ${whole('tool_version')})), '[]')::text AS rows
    FROM ${quoteName(name)}`);
  return (JSON.parse(rows) as RowAsArray[]).map(toRow);
}

type RowAsArray = [
  version: string,
  description: string | null,
  kind: JournalRow['kind'] | null,
  checksum: string | null,
  checksumAlgorithm: string | null,
  appliedAt: string | null,
  durationMs: number | null,
  appliedBy: string | null,
  toolVersion: string | null,
];

function toRow([
  version,
  description,
  kind,
  checksum,
  checksumAlgorithm,
  appliedAt,
  durationMs,
  appliedBy,
  toolVersion,
]: RowAsArray): JournalRow {
  return {
    version,
    description,
    kind: kind ?? 'adopted',
    checksum,
    checksumAlgorithm,
    appliedAt: appliedAt && `${appliedAt}Z`,
    durationMs,
    appliedBy,
    toolVersion,
  };
}

function listRepeatable(sql: Sql, name: QualifiedName): Promise<RepeatableRow[]> {
  return sql.unsafe<RepeatableRow[]>(`
    SELECT name, checksum, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "appliedAt"
    FROM ${quoteName(repeatableJournal(name))} ORDER BY name`);
}

async function findAfterDue(sql: Sql, name: QualifiedName): Promise<string | undefined> {
  const [due] = await sql.unsafe<{ since: string }[]>(`
    SELECT to_char(due_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM ${quoteName(hooksJournal(name))} WHERE hook = 'after'`);
  return due?.since;
}
