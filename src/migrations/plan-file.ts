import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EduschemaError } from '../errors.ts';
import { type PlanDocument, planFormat } from './plan-document.ts';
import { isPlanDocument } from './plan-shape.ts';

/** A file by its path, and as the user calls it. */
export interface NamedFile {
  readonly path: string;
  readonly shown: string;
}

/** A plan that was read. */
export interface ReadPlan {
  readonly plan: PlanDocument;
  /** SHA-256 of the file, byte by byte: what `sha256sum` says, and what a person signs. */
  readonly sha256: string;
  /** How the file is called. */
  readonly shown: string;
}

const digest = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');

/** The text of a plan's file, with a seal that shows slips; against intent, the file is signed. */
export function renderPlan(plan: PlanDocument): { readonly text: string; readonly sha256: string } {
  try {
    const text = `${JSON.stringify({ ...plan, seal: digest(JSON.stringify(plan)) }, null, 2)}\n`;
    return { text, sha256: digest(text) };
  } catch (cause) {
    // The longest string that Node can make.
    if (!(cause instanceof RangeError)) throw cause;
    throw new EduschemaError('migration-invalid', 'the plan has too many statements for one file', {
      hint: 'plan fewer migrations at once: --steps, or --to',
      cause,
    });
  }
}

/**
 * Reads a plan. Throws `file-unreadable` when there is no such file, and `plan-invalid` when it is no plan, was written
 * by another version of eduschema in another format, or was edited since.
 */
export function readPlan({ path, shown }: NamedFile): ReadPlan {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new EduschemaError('file-unreadable', `${shown} cannot be read (${code})`, {
      hint: 'check its name; a plan is made with eduschema migrate --plan <file>',
      cause,
    });
  }
  const invalid = (why: string, hint: string) =>
    new EduschemaError('plan-invalid', `${shown} ${why}`, { hint, details: { file: shown } });
  const again = `make it anew: eduschema migrate --plan ${shown}`;
  const found = parse(content.toString('utf8'));
  if (found?.eduschema !== 'plan')
    throw invalid('is no plan', 'name a file that eduschema migrate --plan has written');
  if (found.format !== planFormat)
    throw invalid(
      `has the format ${found.format}, and this eduschema knows ${planFormat}`,
      `use the eduschema that made it (${found.tool}), or ${again}`,
    );
  const { seal, ...plan } = found;
  if (seal !== digest(JSON.stringify(plan))) throw invalid('was edited since it was made', again);
  if (!isPlanDocument(plan)) throw invalid('is no whole plan', again);
  return { plan, sha256: digest(content), shown };
}

/** An object, or undefined for anything else. */
function parse(text: string): (Partial<PlanDocument> & { readonly seal?: unknown }) | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? found : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Writes a plan's file, for its owner alone, whole or not at all. Replaces another plan, and throws `file-exists` for
 * any other file.
 */
export function writePlan({ path, shown }: NamedFile, text: string): void {
  forbidOtherFile({ path, shown });
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}`);
  try {
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(descriptor, rest));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw unwritable(shown, cause);
  }
}

function unwritable(shown: string, cause: unknown): EduschemaError {
  const { code } = cause as NodeJS.ErrnoException;
  return new EduschemaError('file-unwritable', `${shown} cannot be written (${code})`, {
    hint: 'check the folder and its permissions; --plan - writes to stdout',
    cause,
  });
}

/** Throws unless the file can be written, or is a plan: before the work of making another. */
export function forbidOtherFile({ path, shown }: NamedFile): void {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats) return;
    if (stats.isFile() && (stats.size === 0 || parse(readFileSync(path, 'utf8'))?.eduschema === 'plan'))
      return;
  } catch (cause) {
    throw unwritable(shown, cause);
  }
  throw new EduschemaError('file-exists', `${shown} is there already, and is no plan`, {
    hint: 'name another file',
  });
}
