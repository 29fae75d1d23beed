import type { Sql, TransactionSql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';

/** A column as the catalogue has it. */
export interface Column {
  readonly name: string;
  /** As `format_type` writes it: `numeric(10,2)`. */
  readonly type: string;
  readonly notNull: boolean;
  /** The expression of its default, or of a generated column. */
  readonly default: string | null;
  /** Computed by the server: no data is written of it, and none is read. */
  readonly generated: 'stored' | 'virtual' | null;
  readonly collation: string | null;
}

/** A constraint or an index, with what stands behind its name in DDL. */
export interface Piece {
  readonly name: string;
  /** `PRIMARY KEY (id, at)`; of an index `btree (at)`, behind USING. */
  readonly definition: string;
}

/** An index that no constraint made. */
export interface IndexPiece extends Piece {
  readonly unique: boolean;
}

/** What a table is made of. */
export interface TableFacts {
  readonly columns: readonly Column[];
  readonly checks: readonly Piece[];
  /** Primary key, unique and exclusion constraints. */
  readonly keys: readonly Piece[];
  readonly indexes: readonly IndexPiece[];
  readonly foreignKeys: readonly ForeignKey[];
}

/** A foreign key of a table. */
export interface ForeignKey extends Piece {
  readonly references: QualifiedName;
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

/** Asks for the columns, constraints and indexes of a table. Names in definitions are qualified. */
export async function readTableFacts(sql: Sql, oid: number): Promise<TableFacts> {
  const facts = await sql.begin('READ ONLY', (inside) => readInside(inside, oid));
  return facts as TableFacts;
}

/** The same inside a transaction, whose search_path it changes. */
export async function readInside(sql: TransactionSql, oid: number): Promise<TableFacts> {
  await sql`SELECT set_config('search_path', 'pg_catalog', true)`;
  const columns = await sql<Column[]>`
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS "notNull",
           pg_get_expr(d.adbin, d.adrelid) AS default,
           CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END AS generated,
           CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END AS collation
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = ${oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;
  const constraints = await sql<(Piece & { type: string })[]>`
    SELECT conname AS name, contype AS type, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE conrelid = ${oid} AND contype IN ('c', 'p', 'u', 'x') ORDER BY contype, conname`;
  const indexes = await sql<IndexPiece[]>`
    SELECT i.relname AS name, x.indisunique AS unique,
           substr(pg_get_indexdef(i.oid), 1 + length(format('CREATE %sINDEX %I ON %s%I.%I USING ',
             CASE WHEN x.indisunique THEN 'UNIQUE ' END, i.relname, CASE i.relkind WHEN 'I' THEN 'ONLY ' END, n.nspname, c.relname))) AS definition
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE x.indrelid = ${oid} AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.oid AND o.conrelid = c.oid)
    ORDER BY i.relname`;
  return {
    columns: [...columns],
    checks: pick(constraints, 'c'),
    keys: ['p', 'u', 'x'].flatMap((type) => pick(constraints, type)),
    indexes: [...indexes],
    foreignKeys: await listForeignKeys(sql, oid),
  };
}

/** The foreign keys of a table. Of a partition, those that it has from its parent as well. */
export async function listForeignKeys(sql: Sql | TransactionSql, oid: number): Promise<ForeignKey[]> {
  const rows = await sql<ForeignKey[]>`
    SELECT c.conname AS name, pg_get_constraintdef(c.oid) AS definition,
           json_build_object('schema', n.nspname, 'name', r.relname) AS references,
           (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k (num, n)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) AS columns,
           (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k (num, n)
            JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num) AS "referencedColumns"
    FROM pg_constraint c
    JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE c.conrelid = ${oid} AND c.contype = 'f' ORDER BY c.conname`;
  return [...rows];
}

const pick = (constraints: readonly (Piece & { type: string })[], wanted: string): Piece[] =>
  constraints.flatMap(({ name, definition, type }) => (type === wanted ? [{ name, definition }] : []));

/** The columns that COPY writes and reads. */
export function writtenColumns(columns: readonly Column[]): string[] {
  return columns.filter(({ generated }) => generated === null).map(({ name }) => name);
}

/**
 * Statements that make a table like this one, for its rows: without defaults and foreign keys, which may name what is
 * no longer there. The first one makes the table, the others what is better made when the rows are in it.
 */
export function renderTable(table: QualifiedName, facts: TableFacts): string[] {
  const columns = facts.columns.map((column) => {
    const { name, type, notNull, generated, collation } = column;
    return [
      quoteIdentifier(name),
      type,
      collation && `COLLATE ${collation}`,
      generated && `GENERATED ALWAYS AS (${column.default}) ${generated.toUpperCase()}`,
      notNull && 'NOT NULL',
    ]
      .filter(Boolean)
      .join(' ');
  });
  const checks = facts.checks.map(
    ({ name, definition }) => `CONSTRAINT ${quoteIdentifier(name)} ${definition}`,
  );
  const body = [...columns, ...checks].map((line) => `  ${line}`).join(',\n');
  return [`CREATE TABLE ${quoteName(table)} (\n${body}\n)`, ...renderKeys(table, facts)];
}

/** The keys and indexes of a table as statements for another. The server names them. */
export function renderKeys(table: QualifiedName, { keys, indexes }: TableFacts): string[] {
  return [
    ...keys.map(({ definition }) => `ALTER TABLE ${quoteName(table)} ADD ${definition}`),
    ...indexes.map(
      ({ unique, definition }) =>
        `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ON ${quoteName(table)} USING ${definition}`,
    ),
  ];
}
