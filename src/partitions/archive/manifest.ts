import { createHash } from 'node:crypto';
import type { QualifiedName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import type { DataDigest } from './data-digest.ts';
import type { FileDigest } from './gzip-file.ts';
import type { TableFacts } from './table-facts.ts';

/** The version of the format that is written, and the newest that is read. */
export const manifestFormat = 1;

/** The name of the file that describes an archive. */
export const manifestName = 'manifest.json';

/** All that is known of a partition that was archived: enough to bring it back without this tool. */
export interface Manifest {
  readonly format: number;
  readonly tool: string;
  /** ISO 8601, in UTC, by the server's clock. */
  readonly archivedAt: string;
  readonly database: string;
  readonly server: string;
  /** The partition, and the table it was one of. */
  readonly table: QualifiedName;
  readonly parent: QualifiedName & { readonly column: string; readonly type: string };
  /** As PostgreSQL writes them under UTC; null for MINVALUE. */
  readonly bounds: { readonly from: string | null; readonly to: string | null };
  readonly definition: TableFacts;
  /** Statements that make the table; the first before its rows are in it, the others after. */
  readonly ddl: readonly string[];
  /** What was set when the data was written, and must be when it is read. */
  readonly settings: Readonly<Record<string, string>>;
  /** The statement that reads the data. */
  readonly copy: string;
  readonly data: DataDigest;
  readonly file: FileDigest & { readonly name: string };
  /** How a person brings it back with gzip and psql alone. */
  readonly byHand: readonly string[];
}

/** The manifest as text. Its last line but one, `check`, is the SHA-256 of the same text without that line. */
export function renderManifest(manifest: Manifest): string {
  const body = JSON.stringify(manifest, null, 2);
  return `${body.slice(0, -2)},\n  "check": "${checkOf(body)}"\n}\n`;
}

/** The check of a manifest: what a marker remembers it by. */
export function checkOfManifest(manifest: Manifest): string {
  return checkOf(JSON.stringify(manifest, null, 2));
}

const checkOf = (body: string) => createHash('sha256').update(body).digest('hex');

/** Reads a manifest. Throws `archive-damaged` when it is not what was written, or is of a newer format. */
export function parseManifest(text: string, path: string): Manifest {
  const damaged = (message: string, hint = 'take the archive from a backup') =>
    new EduschemaError('archive-damaged', `${path} ${message}`, { hint });
  let found: Manifest & { check?: unknown };
  try {
    found = JSON.parse(text);
  } catch {
    throw damaged('is no JSON: the manifest was changed or cut off');
  }
  const format = (found as Partial<Manifest> | null)?.format;
  if (typeof format !== 'number') throw damaged('is no manifest of a partition');
  if (format > manifestFormat)
    throw damaged(
      `is of format ${format}; this eduschema reads up to ${manifestFormat}`,
      'use a newer eduschema',
    );
  const { check, ...manifest } = found;
  if (renderManifest(manifest as Manifest) !== text)
    throw damaged(
      check === checkOf(JSON.stringify(manifest, null, 2))
        ? 'was written again by something else: its text is not as it was'
        : 'was changed after it was written: its check does not fit',
    );
  return manifest as Manifest;
}
