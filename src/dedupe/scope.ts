import type { Sql } from 'postgres';
import { type QualifiedName, showName } from '../db/identifiers.ts';
import { parseName } from '../db/parse-name.ts';
import { EduschemaError } from '../errors.ts';
import {
  findColumn,
  type LooseColumn,
  likelyNames,
  listForeignKeys,
  listLikelyReferences,
  type Reference,
} from './references.ts';
import type { DedupeRequest } from './request.ts';
import { describeTable, nameOf, type TableFacts } from './table-facts.ts';

/** The table, number 0, and all that merging its rows can touch. */
export interface Scope {
  readonly tables: readonly TableFacts[];
  readonly references: readonly Reference[];
}

/**
 * Follows the references to a table, and from each child whose own rows may have to be merged, as a unique key of it
 * has the reference in it, those to the child.
 * Throws `table-missing`, `table-unsuitable`, `usage` for a declared column that is not there, and
 * `reference-undeclared` for columns that look like references and are neither declared nor ignored.
 */
export async function findScope(
  sql: Pick<Sql, 'unsafe'>,
  request: Pick<DedupeRequest, 'table' | 'references' | 'ignoreReferences'>,
  version: number,
): Promise<Scope> {
  const root = await findRoot(sql, request.table, version);
  const tables: TableFacts[] = [root];
  const references: Reference[] = [];
  const numberOf = async (oid: number) => {
    const known = tables.findIndex((table) => table.oid === oid);
    return known >= 0 ? known : tables.push(await describeTable(sql, oid, version)) - 1;
  };
  const cutting: Reference[] = [];
  const followed = new Set<number>();
  const toFollow = [0];
  const add = (reference: Reference) => {
    references.push(reference);
    const child = tables[reference.child] as TableFacts;
    if (child.hasHeirs && nameOf(child)) throw hasHeirs(child);
    if (collidingIndexes(child, reference).length === 0) return;
    if (!nameOf(child) && collidingIndexes(child, reference).some(({ predicate }) => predicate))
      throw cannotName(child, reference);
    toFollow.push(reference.child);
  };
  const declared = await findDeclared(sql, request, root);
  for (let parent = toFollow.shift(); parent !== undefined; parent = toFollow.shift()) {
    if (followed.has(parent)) continue;
    followed.add(parent);
    const { oid, name } = tables[parent] as TableFacts;
    for (const { childOid, temporal, looser, cutsOff, ...key } of await listForeignKeys(sql, oid, version)) {
      const child = await numberOf(childOid);
      if (temporal) throw isTemporal(name, tables[child] as TableFacts, key.constraint);
      if (looser) throw isLooser(name, tables[child] as TableFacts, key);
      if (cutsOff) cutting.push({ ...key, child, parent });
      add({ ...key, child, parent });
    }
    if (parent > 0) continue;
    for (const { oid: childOid, column, indexed } of declared)
      add({
        child: await numberOf(childOid),
        parent: 0,
        columns: [column],
        referred: nameOf(root) ?? [],
        constraint: null,
        enforced: false,
        indexed,
      });
  }
  const cut = cutting.find(({ parent, referred }) =>
    references.some(
      ({ child, columns }) => child === parent && columns.some((one) => referred.includes(one)),
    ),
  );
  if (cut) throw cutsOffWhenMoved(tables, cut);
  return { tables, references };
}

/** The unique indexes of a child that can keep its rows from being moved. */
export function collidingIndexes(child: TableFacts, { columns }: Reference): TableFacts['uniques'] {
  return child.uniques.filter((index) => columns.some((column) => index.columns.includes(column)));
}

/** `public.download_logs.material_id`, or of several columns `public.t (a, b)`. */
export function showReference({ tables }: Scope, { child, columns }: Reference): string {
  const name = showName((tables[child] as TableFacts).name);
  return columns.length === 1 ? `${name}.${columns[0]}` : `${name} (${columns.join(', ')})`;
}

async function findRoot(sql: Pick<Sql, 'unsafe'>, name: QualifiedName, version: number): Promise<TableFacts> {
  const shown = showName(name);
  const [found] = await sql.unsafe<{ oid: number; kind: string }[]>(
    `SELECT c.oid AS oid, c.relkind AS kind FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [name.schema, name.name],
  );
  if (!found)
    throw new EduschemaError('table-missing', `there is no table ${shown}`, {
      hint: 'name it as table or schema.table',
    });
  const unsuitable = (problem: string, hint: string) =>
    new EduschemaError('table-unsuitable', `${shown} ${problem}`, { hint });
  if (!['r', 'p'].includes(found.kind))
    throw unsuitable('is no table', 'name the table that the rows are in');
  const table = await describeTable(sql, found.oid, version);
  if (table.isPartition) throw unsuitable('is a partition', 'name the partitioned table');
  if (table.hasHeirs)
    throw unsuitable(
      'has tables that inherit from it, and foreign keys know nothing of their rows',
      'merge the rows of one table at a time, after NO INHERIT',
    );
  if (!nameOf(table))
    throw unsuitable(
      'has no primary key, so that none of its rows can be named',
      `add one: ALTER TABLE ${shown} ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`,
    );
  return table;
}

/** The columns that were declared to refer to the table. */
async function findDeclared(
  sql: Pick<Sql, 'unsafe'>,
  { references = [], ignoreReferences = [] }: Pick<DedupeRequest, 'references' | 'ignoreReferences'>,
  root: TableFacts,
): Promise<LooseColumn[]> {
  const key = nameOf(root) ?? [];
  const single = key.length === 1 ? (key[0] as string) : undefined;
  const parse = (text: string) => parseColumn(text, root.name.schema);
  const ignored = ignoreReferences.map(parse);
  const declared: LooseColumn[] = [];
  for (const wanted of references.map(parse)) {
    const found = await findColumn(sql, wanted);
    if (!found) throw new EduschemaError('usage', `there is no column ${showColumn(wanted)}`);
    if (single === undefined)
      throw new EduschemaError(
        'usage',
        `${showColumn(wanted)} cannot refer to ${showName(root.name)}, whose key has several columns`,
        { hint: 'make it a foreign key (NOT VALID will do)' },
      );
    declared.push(found);
  }
  if (single === undefined) return declared;
  const isSame = (a: ColumnName) => (b: ColumnName) => showColumn(a) === showColumn(b);
  const likely = await listLikelyReferences(sql, root.oid, single, likelyNames(root.name.name));
  const unclear = likely.filter((found) => ![...declared, ...ignored].some(isSame(found)));
  if (unclear.length > 0) throw undeclared(root.name, unclear);
  return declared;
}

interface ColumnName {
  readonly schema: string;
  readonly name: string;
  readonly column: string;
}

const showColumn = ({ schema, name, column }: ColumnName) => `${schema}.${name}.${column}`;

/** Reads `table.column` or `schema.table.column`; throws `usage` for anything else. */
export function parseColumn(text: string, defaultSchema: string): ColumnName {
  const [, table = '', quoted, plain] = /^(.+)\.(?:"((?:[^"]|"")+)"|([^."]+))$/.exec(text.trim()) ?? [];
  const column = quoted?.replaceAll('""', '"') ?? plain;
  if (column === undefined)
    throw new EduschemaError('usage', `${text} is no column`, { hint: 'write it as table.column' });
  return { ...parseName(table, defaultSchema), column };
}

function undeclared(table: QualifiedName, columns: readonly LooseColumn[]): EduschemaError {
  const names = columns.map(showColumn);
  const [first = ''] = names;
  return new EduschemaError(
    'reference-undeclared',
    `${names.length === 1 ? `${first} looks` : `${names.join(', ')} look`} like a reference to ${showName(table)}, without a foreign key`,
    {
      hint: `say for each whether it is one: --reference ${first}, or --ignore-reference ${first}`,
      details: { columns: names },
    },
  );
}

function isTemporal(parent: QualifiedName, child: TableFacts, constraint: string): EduschemaError {
  return new EduschemaError(
    'table-unsuitable',
    `${showName(child.name)} refers to stretches of time of ${showName(parent)} (${constraint}, PERIOD)`,
    { hint: 'rows to which such a foreign key refers cannot be merged' },
  );
}

function isLooser(
  parent: QualifiedName,
  child: TableFacts,
  { constraint, columns }: Pick<Reference, 'constraint' | 'columns'>,
): EduschemaError {
  return new EduschemaError(
    'table-unsuitable',
    `${constraint} of ${showName(child.name)} compares ${columns.join(', ')} with ${showName(parent)} by other rules than = does, so that not all rows that refer to it would be found`,
    {
      hint: `give the columns the type and the collation of those in ${showName(parent)}; for a type in a schema of its own, add that to search_path`,
    },
  );
}

function hasHeirs({ name }: TableFacts): EduschemaError {
  const shown = showName(name);
  return new EduschemaError(
    'table-unsuitable',
    `${shown} has tables that inherit from it, whose rows can have the same keys as its own: an undo could not tell them apart`,
    { hint: 'end that first (NO INHERIT), or make it a partitioned table' },
  );
}

function cutsOffWhenMoved(
  tables: readonly TableFacts[],
  { child, parent, constraint }: Reference,
): EduschemaError {
  const [of, to] = [child, parent].map((number) => showName((tables[number] as TableFacts).name));
  return new EduschemaError(
    'table-unsuitable',
    `rows of ${of} would lose what they refer to: ${constraint} sets them to NULL or a default when rows of ${to} are moved`,
    { hint: `make ${constraint} ON UPDATE CASCADE` },
  );
}

function cannotName(child: TableFacts, { columns }: Reference): EduschemaError {
  return new EduschemaError(
    'table-unsuitable',
    `${showName(child.name)} has no primary key, and its rows may have to be merged, as ${columns.join(', ')} is in a partial unique index`,
    { hint: `give ${showName(child.name)} a primary key` },
  );
}
