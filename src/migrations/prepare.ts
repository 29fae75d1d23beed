import type { HookMigration } from '../config.ts';
import { EduschemaError } from '../errors.ts';
import { leadingWords } from '../sql/tokens.ts';
import type { MigrationFile, RepeatableFile } from './folder.ts';
import { loadModule, type MigrationContext, type MigrationFunction, type MigrationSql } from './module.ts';
import { readSql } from './read-sql.ts';
import type { Locate, Section } from './sections.ts';

/** A migration that is read, parsed and known to be runnable in one direction. */
export type Prepared = PreparedSql | PreparedModule;

export interface PreparedSql {
  readonly kind: 'sql';
  readonly unit: Unit;
  readonly direction: 'up' | 'down';
  readonly text: string;
  readonly section: Section;
}

export interface PreparedModule {
  readonly kind: 'module';
  readonly unit: Unit;
  readonly direction: 'up' | 'down';
  /** False when `sql` is a connection outside any transaction. */
  readonly transaction: boolean;
  readonly call: (sql: MigrationSql, context: CallContext) => unknown;
}

/** What code is told of the run that it is part of. */
export type CallContext = Pick<MigrationContext, 'signal' | 'log'>;

/** What is run and recorded as one: a versioned migration, or a repeatable one; or what runs around them. */
export type Unit =
  | {
      readonly type: 'versioned';
      readonly file: MigrationFile;
      /** How the journal spells the version, where it has it. */
      readonly recordedAs?: string;
    }
  | { readonly type: 'repeatable'; readonly file: RepeatableFile }
  | HookUnit;

/** A hook of the configuration: see planHooks. */
export interface HookUnit {
  readonly type: 'hook';
  readonly when: 'before' | 'after';
  /** `before hook`, or `before hook 2`. */
  readonly name: string;
  /** How what it stands in is called, and the path where there is one. */
  readonly file: { readonly file: string; readonly path: string | undefined };
  /** Of the text of a function; SQL is there itself. */
  readonly checksum: string | undefined;
  /** What is recorded with it: that the after hooks are due, or that they were run. */
  readonly records: 'due' | 'done' | undefined;
}

/** How a unit is called in messages: `1.4.0_search`, `repeatable monthly_kpi`. */
export function nameOfUnit(unit: Unit): string {
  if (unit.type === 'hook') return unit.name;
  if (unit.type === 'repeatable') return nameOfRepeatable(unit.file.name);
  return `${unit.file.version}_${unit.file.description.replaceAll(' ', '_')}`;
}

/** A unit in the words of results. */
export function describeUnit(unit: Unit): HookMigration {
  const { file } = unit.file;
  const name = nameOfUnit(unit);
  if (unit.type !== 'versioned') {
    const description = unit.type === 'repeatable' ? unit.file.name : name;
    return { name, version: null, description, file };
  }
  const { version, description } = unit.file;
  return { name, version, description, file };
}

/** How a repeatable migration is called in messages. */
export function nameOfRepeatable(name: string): string {
  return `repeatable ${name}`;
}

/** Whether the unit runs inside a transaction. */
export function isTransactional(prepared: Prepared): boolean {
  return prepared.kind === 'sql' ? prepared.section.transaction : prepared.transaction;
}

const prepared = new WeakMap<MigrationFile, Promise<Prepared>>();

/** Reads a versioned migration for its way up, once for each reading of the folder. Throws when it cannot be run. */
export function prepareUp(file: MigrationFile): Promise<Prepared> {
  const known = prepared.get(file) ?? readUp(file);
  prepared.set(file, known);
  return known;
}

async function readUp(file: MigrationFile): Promise<Prepared> {
  const unit: Unit = { type: 'versioned', file };
  if (file.kind === 'module') {
    const { up, transaction } = await loadModule(file);
    return prepareModule(file, unit, 'up', up, transaction);
  }
  const { text, sections, locate } = readSql(file);
  if (sections.requires)
    throw new EduschemaError(
      'migration-invalid',
      `${file.file} says requires:, which is for files in repeatable/`,
    );
  forbidTransactionControl(text, sections.up, locate);
  return { kind: 'sql', unit, direction: 'up', text, section: sections.up };
}

function prepareModule(
  { version, description }: MigrationFile,
  unit: Unit,
  direction: 'up' | 'down',
  run: MigrationFunction,
  transaction: boolean,
): PreparedModule {
  const call: PreparedModule['call'] = (sql, context) =>
    run(sql, { version, description, direction, ...context });
  return { kind: 'module', unit, direction, transaction, call };
}

/** Reads a versioned migration for its way down. Throws when it has none. */
export async function prepareDown(file: MigrationFile, recordedAs: string): Promise<Prepared> {
  const unit: Unit = { type: 'versioned', file, recordedAs };
  if (file.kind === 'module') {
    const { down, transaction } = await loadModule(file);
    if (!down) throw irreversible(file.file, 'exports no down', 'export a function down from it');
    return prepareModule(file, unit, 'down', down, transaction);
  }
  const {
    text,
    sections: { down },
    locate,
  } = readSql(file);
  if (!down)
    throw irreversible(
      file.file,
      'has no statement below -- migrate:down',
      'write what undoes it; SELECT 1; if there is nothing to undo',
    );
  forbidTransactionControl(text, down, locate);
  return { kind: 'sql', unit, direction: 'down', text, section: down };
}

/** A repeatable migration, and the version that it needs. */
export interface PreparedRepeatable {
  readonly up: PreparedSql;
  readonly down: PreparedSql | undefined;
  readonly requires: string | undefined;
}

/** Reads a repeatable migration. */
export function prepareRepeatable(file: RepeatableFile): PreparedRepeatable {
  const { text, sections, locate } = readSql(file);
  const unit: Unit = { type: 'repeatable', file };
  for (const section of [sections.up, sections.down]) {
    if (section) forbidTransactionControl(text, section, locate);
  }
  return {
    up: { kind: 'sql', unit, direction: 'up', text, section: sections.up },
    down: sections.down && { kind: 'sql', unit, direction: 'down', text, section: sections.down },
    requires: sections.requires,
  };
}

/** True for what begins or ends a transaction, and not for `ROLLBACK TO savepoint`. */
export function controlsTransaction([first, second, third]: readonly string[]): boolean {
  switch (first) {
    case 'begin':
    case 'commit':
    case 'end':
    case 'abort':
      return true;
    case 'start':
    case 'prepare':
      return second === 'transaction';
    case 'rollback':
      return second !== 'to' && !((second === 'work' || second === 'transaction') && third === 'to');
    default:
      return false;
  }
}

/** A COMMIT in a file would record half of it: the journal row belongs to the same transaction. */
function forbidTransactionControl(text: string, section: Section, locate: Locate): void {
  if (!section.transaction) return;
  const statement = section.statements.find(({ start }) => controlsTransaction(leadingWords(text, start, 3)));
  if (!statement) return;
  const { file, line } = locate(statement.start);
  const word = leadingWords(text, statement.start, 1)[0]?.toUpperCase();
  throw new EduschemaError(
    'migration-invalid',
    `${word} at line ${line} of ${file}: eduschema runs each file in a transaction of its own`,
    {
      hint: 'leave it out, or write -- migrate:up transaction:false',
      details: { file, line },
    },
  );
}

function irreversible(file: string, why: string, hint: string): EduschemaError {
  return new EduschemaError('migration-irreversible', `${file} ${why}: nothing was rolled back`, {
    hint,
    details: { file },
  });
}
