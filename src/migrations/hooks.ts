import { findHookProblem, type Hook, type HookFunction, type HookMigration } from '../config.ts';
import { EduschemaError } from '../errors.ts';
import { leadingWords } from '../sql/tokens.ts';
import { checksumOf } from './checksum.ts';
import type { Journal } from './journal.ts';
import { divideIntoPieces } from './pieces.ts';
import { controlsTransaction, describeUnit, type HookUnit, type Prepared } from './prepare.ts';
import { type ReadSql, readSqlText } from './read-sql.ts';
import type { MigrationSettings } from './settings.ts';

/** The hooks of a configuration, read and known to be runnable. */
export interface ReadHooks {
  readonly before: readonly ReadHook[];
  readonly after: readonly ReadHook[];
}

interface ReadHook {
  readonly unit: Omit<HookUnit, 'records'>;
  readonly content: HookFunction | ReadSql;
}

/** The hooks that a plan runs. */
export interface PlannedHooks {
  readonly before: readonly Prepared[];
  readonly after: readonly Prepared[];
  /** From the beginning of the run until they have run, the after hooks are recorded as due. */
  readonly makesDue: boolean;
}

/** A plan without hooks. */
export const noHooks: PlannedHooks = { before: [], after: [], makesDue: false };

type HookSettings = Pick<
  MigrationSettings,
  'hooks' | 'hooksFile' | 'directory' | 'shownDirectory' | 'placeholders'
>;

/** Reads the hooks of `settings`. Throws, before anything runs, for what is no hook or can have no effect. */
export function readHooks(settings: HookSettings): ReadHooks {
  const problem = findHookProblem(settings.hooks);
  if (problem) throw invalid(problem.message, problem.hint);
  return { before: readThose('before', settings), after: readThose('after', settings) };
}

/** Whether there is anything to run after migrations. */
export function hasAfterHooks({ hooks }: Pick<MigrationSettings, 'hooks'>): boolean {
  return hooks?.after !== undefined && [hooks.after].flat().length > 0;
}

/**
 * Decides which hooks run around `steps`: all when there are steps; when there are none, those after an earlier run
 * that did not come to them.
 */
export function planHooks(
  { before, after }: ReadHooks,
  steps: readonly Prepared[],
  { afterDueSince }: Pick<Journal, 'afterDueSince'>,
  singleTransaction: boolean,
): PlannedHooks {
  const isDue = afterDueSince !== undefined;
  if (steps.length === 0 && !isDue) return noHooks;
  const migrations = steps.map(({ unit }) => describeUnit(unit));
  const prepare = (hooks: readonly ReadHook[], records: HookUnit['records']) =>
    hooks.map((hook, index) =>
      toPrepared(hook, migrations, index === hooks.length - 1 ? records : undefined),
    );
  // In one transaction with all migrations there is nothing that could remain due.
  const makesDue = steps.length > 0 && after.length > 0 && !singleTransaction;
  return {
    before: steps.length > 0 ? prepare(before, makesDue ? 'due' : undefined) : [],
    after: prepare(after, makesDue || isDue ? 'done' : undefined),
    makesDue,
  };
}

function toPrepared(
  { unit, content }: ReadHook,
  migrations: readonly HookMigration[],
  records: HookUnit['records'],
): Prepared {
  const known = { unit: { ...unit, records }, direction: 'up' } as const;
  if (typeof content !== 'function')
    return { ...known, kind: 'sql', text: content.text, section: content.sections.up };
  return {
    ...known,
    kind: 'module',
    transaction: true,
    call: (sql, context) => content(sql, { when: unit.when, migrations, ...context }),
  };
}

function readThose(when: 'before' | 'after', settings: HookSettings): ReadHook[] {
  const { directory, shownDirectory, placeholders = {}, hooksFile } = settings;
  const value = settings.hooks?.[when];
  if (value === undefined) return [];
  const hooks: readonly Hook[] = [value].flat();
  const reading = { path: directory, shown: shownDirectory, placeholders };
  return hooks.map((hook, index): ReadHook => {
    const name = hooks.length === 1 ? `${when} hook` : `${when} hook ${index + 1}`;
    const called = Array.isArray(value) ? `hooks.${when}[${index}]` : `hooks.${when}`;
    const unit = { type: 'hook', when, name } as const;
    if (typeof hook === 'function') {
      const file = { file: hooksFile?.shown ?? called, path: hooksFile?.path };
      return { unit: { ...unit, file, checksum: checksumOf(String(hook)) }, content: hook };
    }
    if (/^\S+\.\w+$/.test(hook.trim()))
      throw invalid(
        `${called} is "${hook.trim()}": a hook is SQL itself, or a function`,
        `for a file of SQL write: \\i <file>, as seen from ${shownDirectory}/; begin its name with _`,
      );
    const content = readSqlText(hook, called, reading);
    forbidSenseless(content, called);
    return { unit: { ...unit, file: { file: called, path: undefined }, checksum: undefined }, content };
  });
}

/** Throws for what cannot be done in the transaction of a hook, or would do nothing there. */
function forbidSenseless({ text, sections, locate }: ReadSql, called: string): void {
  const { up, down, requires } = sections;
  if (down || requires !== undefined)
    throw invalid(
      `${called} has ${down ? 'a down section' : 'requires:'}`,
      'a hook runs around all migrations, on the way up',
    );
  if (!up.transaction)
    throw invalid(
      `${called} says transaction:false, and a hook runs in a transaction`,
      'put it into a migration that says transaction:false',
    );
  const control = up.statements.find(({ start }) => controlsTransaction(leadingWords(text, start, 3)));
  if (control) {
    const { file, line } = locate(control.start);
    const word = leadingWords(text, control.start, 1)[0]?.toUpperCase();
    throw invalid(
      `${word} at line ${line} of ${file}: eduschema runs hooks in a transaction of their own`,
      'leave it out',
    );
  }
  if (up.statements.length === 0) throw invalid(`${called} has no statement`, 'write one, or leave it out');
  if (divideIntoPieces(text, up.statements).every(({ kind }) => kind === 'settings'))
    throw invalid(
      `${called} changes settings alone, which nothing after it sees: each migration starts from clean ones`,
      'put SET into the migration that needs it; for all of them into the URL, as in ?options=-c%20work_mem%3D64MB',
    );
}

function invalid(message: string, hint?: string): EduschemaError {
  return new EduschemaError('config-invalid', message, { hint });
}
