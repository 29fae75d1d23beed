import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EduschemaError } from '../errors.ts';
import { cutCopyData } from '../sql/cut-copy-data.ts';
import { findPlace } from '../sql/excerpt.ts';
import { locate as locateIn, placeInFile, type SourceMap } from '../sql/source-map.ts';
import { type SqlParts, type Statement, splitSql } from '../sql/split.ts';
import { checksumOf, checksumWithIncluded, withoutByteOrderMark } from './checksum.ts';
import { expandSql, needsExpansion, type SourceFile } from './expand.ts';
import { countLines, largeFile, notUtf8, openLarge, unreadable } from './large-file.ts';
import { isMarker } from './markers.ts';
import type { Placeholders } from './placeholders.ts';
import { type Locate, parseSections, type Section, type Sections, wantsPlaceholders } from './sections.ts';

/** The folder of migrations, and what its files may use. */
export interface Reading {
  /** As a path, and as the user calls it. */
  readonly path: string;
  readonly shown: string;
  readonly placeholders: Placeholders;
}

/** A file of the folder of migrations. */
export interface SqlFile {
  /** Where it is, and how it is called in messages. */
  readonly path: string;
  readonly file: string;
  /** Of its text and what it includes: see checksumOfFile. */
  readonly checksum: string;
  readonly reading: Reading;
}

/** SQL as it is sent, its sections, and where in which file an offset is. */
export interface ReadSql {
  readonly text: string;
  readonly sections: Sections;
  readonly locate: Locate;
}

/** Characters of SQL, without COPY data, that a migration may come to. */
const longestText = 256 * 1024 * 1024;

const chunksPerTurn = 16;

/**
 * The checksum of a file. With `reading`, the files that it includes count as well, in the order in which they are
 * included; one that cannot be read counts as such.
 */
export async function checksumOfFile(
  path: string,
  file: string,
  reading: Reading | undefined,
): Promise<string> {
  let checksum: string;
  let mayInclude: boolean;
  const text = readSmall(path, file);
  if (text === undefined) {
    ({ checksum, mayInclude } = await digestLarge(path, file));
  } else {
    checksum = checksumOf(text);
    mayInclude = text.includes('\\i');
  }
  if (!reading || !mayInclude) return checksum;
  return checksumWithIncluded(checksum, includedBy(loadFile(path, file), reading));
}

function includedBy(source: SourceFile, reading: Reading): string[] {
  const included: string[] = [];
  const load = (path: string, file: string) => {
    const found = loadIncluded(path, file);
    included.push(found.checksum);
    return found;
  };
  try {
    expandSql(source, { root: reading, placeholders: 'leave', load, longest: longestText });
  } catch (error) {
    // Whoever applies it hears of it; whoever applied it sees that it was edited.
    if (!(error instanceof EduschemaError)) throw error;
    included.push('unreadable');
  }
  return included;
}

async function digestLarge(path: string, file: string) {
  const large = openLarge(path, file);
  try {
    for (let count = 0; large.read(); count++) if (count % chunksPerTurn === 0) await nextTurn();
    return large.facts();
  } finally {
    large.close();
  }
}

/**
 * Reads a migration as psql would: see expandSql. Throws for what cannot be run, naming file and line, and when a
 * file was changed since the folder was read.
 */
export function readSql({ path, file, checksum, reading }: SqlFile): ReadSql {
  return readSource(loadFile(path, file), reading, checksum);
}

/** Reads SQL that is in no file as a file of the folder of migrations would be read; `name` is for messages. */
export function readSqlText(text: string, name: string, reading: Reading): ReadSql {
  const source = { file: name, path: join(reading.path, name), text, gaps: [], checksum: '' };
  return readSource(source, reading, undefined);
}

function readSource(source: SourceFile, reading: Reading, checksum: string | undefined): ReadSql {
  const { file } = source;
  const parts = splitSql(source.text, isMarker);
  if (!needsExpansion(source.text, parts) && source.gaps.length === 0) {
    forbidChange(source.checksum, checksum, file);
    const locate = (at: number) => ({ file, line: findPlace(source.text, at).line });
    return { text: source.text, sections: parseSections(source.text, locate, parts), locate };
  }
  const included: string[] = [];
  const { text, map } = expandSql(source, {
    root: reading,
    placeholders: wantsPlaceholders(source.text, parts) ? reading.placeholders : 'refuse',
    load: (path, file) => {
      const found = loadIncluded(path, file);
      included.push(found.checksum);
      return found;
    },
    longest: longestText,
  });
  forbidChange(checksumWithIncluded(source.checksum, included), checksum, file);
  const locate: Locate = (at) => {
    const origin = locateIn(map, at);
    return { file: origin.source.file, line: placeInFile(origin.source, origin.at, countLines).line };
  };
  const expanded: SqlParts = splitSql(text, isMarker);
  const { up, down, requires } = parseSections(text, locate, expanded);
  return {
    text,
    sections: { up: withOrigin(up, map), down: down && withOrigin(down, map), requires },
    locate,
  };
}

function forbidChange(now: string, before: string | undefined, file: string): void {
  if (before === undefined || now === before) return;
  throw new EduschemaError('migration-edited', `${file} was changed while eduschema ran`, {
    hint: 'run the command again',
  });
}

function withOrigin(section: Section, origin: SourceMap): Section {
  return {
    ...section,
    statements: section.statements.map((statement) => ({ ...findData(statement, origin), origin })),
  };
}

/** Data that was left on the disk, in the place of none. */
function findData(statement: Statement, origin: SourceMap): Statement {
  if (!statement.data) return statement;
  const { start } = statement.data;
  const { source, at } = locateIn(origin, start);
  const gap = source.gaps.find((known) => known.at === at);
  return gap ? { ...statement, data: { ...gap, at: start } } : statement;
}

/** Reads a file that another one names; waiting for a pipe would never end. */
function loadIncluded(path: string, file: string): SourceFile {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false)
    throw new EduschemaError('file-unreadable', `${file} is no file`, { hint: 'check its name' });
  return loadFile(path, file);
}

/** Reads a file; the COPY data of a large one stays on the disk. */
function loadFile(path: string, file: string): SourceFile {
  const content = readSmall(path, file);
  if (content === undefined) return loadLarge(path, file);
  return { file, path, text: withoutByteOrderMark(content), gaps: [], checksum: checksumOf(content) };
}

function loadLarge(path: string, file: string): SourceFile {
  const large = openLarge(path, file);
  try {
    const stamp = large.stamp();
    const { text, gaps } = cutCopyData(large.read, isMarker, longestText, () => {
      throw new EduschemaError(
        'migration-invalid',
        `${file} has more than 256 MB of SQL beside its COPY data`,
        {
          hint: 'write rows as COPY ... FROM stdin with their data, or split the file',
        },
      );
    });
    const { checksum } = large.facts();
    return { file, path, text, gaps: gaps.map((gap) => ({ ...gap, path, stamp })), checksum };
  } finally {
    large.close();
  }
}

/** Kept, since most files fit into it: this is as fast as Node's readFileSync, and large files are told apart for nothing. */
const shared = Buffer.allocUnsafe(64 * 1024);

/** The text of a file, undefined when it is a large one. The decoder puts U+FFFD where a byte is not UTF-8. */
function readSmall(path: string, file: string): string | undefined {
  let text: string | undefined;
  try {
    const descriptor = openSync(path, 'r');
    try {
      const length = readSync(descriptor, shared, 0, shared.length, 0);
      if (length < shared.length) text = shared.toString('utf8', 0, length);
      else if (fstatSync(descriptor).size >= largeFile) return undefined;
    } finally {
      closeSync(descriptor);
    }
    text ??= readFileSync(path, 'utf8');
    if (!text.includes('\ufffd') || isUtf8(readFileSync(path))) return text;
  } catch (cause) {
    throw unreadable(file, cause);
  }
  throw notUtf8(file);
}
