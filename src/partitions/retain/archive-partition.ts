import { promises } from 'node:fs';
import type { TransactionSql } from 'postgres';
import type { Session } from '../../db/connect.ts';
import { copyOut } from '../../db/copy-out.ts';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { toolVersion } from '../../tool-version.ts';
import { applyCopySettings, copySettings, copyStatement } from '../archive/copy-settings.ts';
import { createDigestStream, type DataDigest, holdsSameRows } from '../archive/data-digest.ts';
import type { GzipDigest } from '../archive/gzip-file.ts';
import { type Manifest, manifestFormat } from '../archive/manifest.ts';
import type { ArchivePlace } from '../archive/place.ts';
import { type Archive, openArchive } from '../archive/read-archive.ts';
import {
  type Column,
  listForeignKeys,
  readInside,
  renderTable,
  type TableFacts,
  writtenColumns,
} from '../archive/table-facts.ts';
import { writeArchive } from '../archive/write-archive.ts';
import type { PartitionedTable } from '../catalogue.ts';
import { type Candidate, frozenConstraint } from './queries.ts';

/** What an archive is made of beside the rows. */
export interface ArchiveFacts {
  readonly table: PartitionedTable;
  readonly from: string | null;
  readonly to: string | null;
  readonly now: string;
}

/**
 * Archives a detached table, inside a transaction that keeps writers out of it. An archive that is there already is taken
 * when it holds the same rows; with others it throws `archive-differs`, and that archive stays as it is.
 */
export async function archivePartition(
  session: Session,
  sql: TransactionSql,
  { oid, name }: Candidate,
  place: ArchivePlace,
  facts: ArchiveFacts,
): Promise<Archive> {
  await sql.unsafe(`LOCK TABLE ${quoteName(name)} IN SHARE MODE`);
  await applyCopySettings(sql);
  const found = await readInside(sql, oid);
  const definition = {
    ...found,
    checks: found.checks.filter((check) => check.name !== frozenConstraint),
    // Its own were dropped when it was released.
    foreignKeys: await listForeignKeys(sql, facts.table.oid),
  };
  const columns = writtenColumns(definition.columns);
  if (await isThere(place.folder)) {
    const archive = await openArchive(place.folder);
    await confirmSameRows(session, sql, name, definition.columns, archive);
    return archive;
  }
  const copy = copyStatement(name, columns, 'TO STDOUT');
  const manifest = await writeArchive(
    place,
    (take) => copyOut(session, sql, copy, take),
    (digest) => describe(session, name, definition, digest, { ...facts, dataName: place.dataName }),
  );
  return { folder: place.folder, manifest };
}

/** What the rows of a table come to, as COPY writes them. */
export async function digestTable(
  session: Session,
  sql: TransactionSql,
  name: QualifiedName,
  columns: readonly string[],
): Promise<DataDigest> {
  const digest = createDigestStream();
  await copyOut(session, sql, copyStatement(name, columns, 'TO STDOUT'), digest.take);
  return digest.end();
}

/**
 * Throws `archive-differs` unless a table has the columns and holds the rows of its archive, in whatever order. The
 * transaction has the settings of COPY.
 */
export async function confirmSameRows(
  session: Session,
  sql: TransactionSql,
  table: QualifiedName,
  columns: readonly Column[],
  archive: Archive,
): Promise<void> {
  const { definition, data } = archive.manifest;
  if (namesAndTypes(columns) !== namesAndTypes(definition.columns))
    throw new EduschemaError(
      'archive-differs',
      `${table.schema}.${table.name} has other columns than its archive ${archive.folder}`,
      {
        hint: `look what was changed; to archive it anew, move ${archive.folder} away and run eduschema partitions retain again`,
      },
    );
  const found = await digestTable(session, sql, table, writtenColumns(definition.columns));
  if (!holdsSameRows(found, data)) throw differs(table, found, archive);
}

const namesAndTypes = (columns: readonly Column[]) =>
  JSON.stringify(columns.map(({ name, type, generated }) => [name, type, generated]).sort());

/** The error for a table whose rows are not those of its archive. */
export function differs(
  name: QualifiedName,
  found: DataDigest,
  { folder, manifest }: Archive,
): EduschemaError {
  const table = `${name.schema}.${name.name}`;
  const { data } = manifest;
  return new EduschemaError(
    'archive-differs',
    found.rows === data.rows
      ? `${table} holds other rows than its archive ${folder}`
      : `${table} holds ${found.rows} rows, its archive ${folder} ${data.rows}`,
    {
      hint: `look what was changed; to archive it anew, move ${folder} away and run eduschema partitions retain again`,
      details: { found, archived: data },
    },
  );
}

/** Also a link that leads nowhere is there. */
async function isThere(path: string): Promise<boolean> {
  return promises.lstat(path).then(
    () => true,
    () => false,
  );
}

function describe(
  { facts: server }: Session,
  name: QualifiedName,
  definition: TableFacts,
  { data, file }: GzipDigest,
  { table, from, to, now, dataName }: ArchiveFacts & { dataName: string },
): Manifest {
  const ddl = renderTable(name, definition);
  const copy = copyStatement(name, writtenColumns(definition.columns), 'FROM STDIN');
  return {
    format: manifestFormat,
    tool: `eduschema ${toolVersion}`,
    archivedAt: now,
    database: server.database,
    server: `PostgreSQL ${server.version}`,
    table: name,
    parent: { ...table.name, column: table.column, type: table.type },
    bounds: { from, to },
    definition,
    ddl,
    settings: copySettings,
    copy,
    data,
    file: { name: dataName, ...file },
    byHand: [
      `BEGIN; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET client_encoding = 'UTF8';`,
      'each statement of "ddl" up to the first ADD or CREATE INDEX, that is CREATE TABLE',
      `\\copy with the statement in "copy", FROM PROGRAM 'gunzip -c ${dataName}' instead of FROM STDIN`,
      'the other statements of "ddl"; COMMIT;',
      'the rows of "data" are counted, and SHA-256 is that of gunzip -c',
    ],
  };
}
