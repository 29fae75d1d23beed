import { dirname, isAbsolute, join } from 'node:path';
import { EduschemaError } from '../errors.ts';
import { endsOpen, isInsideStatement } from '../sql/open-ends.ts';
import {
  parseArguments,
  parseBoolean,
  parseCommand,
  type Variables,
  variableAt,
} from '../sql/psql-command.ts';
import { resolveVariable } from '../sql/resolve-variable.ts';
import { type Piece, placeInFile, type SourceMap, type SourceText } from '../sql/source-map.ts';
import { type SqlParts, splitSql } from '../sql/split.ts';
import { type Event, eventsOf } from './expand-events.ts';
import { countLines } from './large-file.ts';
import { isMarker } from './markers.ts';
import { type Placeholders, placeholderAt, placeholderText } from './placeholders.ts';
import { hintFor, type Refuse, setVariable } from './psql-rules.ts';

/** A file that can be expanded. */
export interface SourceFile extends SourceText {
  readonly path: string;
  readonly checksum: string;
}

/** The text that psql would send, and where it came from. */
export interface Expansion {
  readonly text: string;
  readonly map: SourceMap;
}

export interface ExpandOptions {
  /** The folder that `\i` is relative to; `shown` is how a user calls it. */
  readonly root: { readonly path: string; readonly shown: string };
  /** Values for `$(name)`. */
  readonly placeholders: Placeholders | 'leave' | 'refuse';
  /** Reads an included file. Called for each inclusion, in order. */
  readonly load: (path: string, file: string) => SourceFile;
  /** Characters that all files together may come to. */
  readonly longest: number;
}

const skipped = ['\\restrict', '\\unrestrict', '\\echo', '\\qecho', '\\warn'];
const included = ['\\i', '\\include', '\\ir', '\\include_relative'];
const mostInclusions = 10_000;

/** Whether psql would make something else of the text than it is. */
export function needsExpansion(text: string, { metaCommands, placeholders }: SqlParts): boolean {
  return (
    placeholders.length > 0 ||
    metaCommands.some(({ start, end }) => !/^\\(un)?restrict\b/.test(text.slice(start, end)))
  );
}

/**
 * Does what psql's commands say: `\i`, `\ir`, `\set`, `\unset`, `\if`, `\elif`, `\else`, `\endif`, `:x`, `:'x'`,
 * `:"x"`, `:{?x}`; and puts quoted values in the place of `$(name)`. What only prints is left out.
 * Throws for any other psql command, naming file and line.
 */
export function expandSql(top: SourceFile, options: ExpandOptions): Expansion {
  const state: State = { options, out: [], length: 0, pieces: [], variables: new Map(), inclusions: 0 };
  expandFile(state, top, []);
  return { text: state.out.join(''), map: state.pieces };
}

interface State {
  readonly options: ExpandOptions;
  readonly out: string[];
  length: number;
  readonly pieces: Piece[];
  readonly variables: Variables;
  inclusions: number;
}

/** A branch that is open: whether its text counts, whether one before it did, and whether all around it do. */
interface Branch {
  readonly at: number;
  active: boolean;
  taken: boolean;
  readonly outside: boolean;
  otherwise: boolean;
}

function expandFile(state: State, source: SourceFile, above: readonly SourceFile[]): void {
  const parts = splitSql(source.text, isMarker);
  const branches: Branch[] = [];
  const isActive = () => branches.at(-1)?.active ?? true;
  let cursor = 0;
  for (const event of eventsOf(source.text, parts)) {
    if (event.at < cursor) continue;
    if (isActive()) emit(state, source, cursor, event.at);
    cursor = event.at;
    if (event.kind === 'command') {
      cursor = event.end;
      runCommand(state, source, above, parts, event, branches);
    } else if (event.kind === 'marker') {
      forbidMarker(source, event, above, branches);
    } else if (isActive()) {
      cursor =
        event.kind === 'variable'
          ? replaceVariable(state, source, event.at)
          : replacePlaceholder(state, source, event.at);
    }
  }
  const [open] = branches;
  if (open) throw invalid(source, open.at, '\\if without \\endif', 'write \\endif on a line of its own');
  emit(state, source, cursor, source.text.length);
  if (above.length > 0) closeIncluded(state, source, parts);
}

function emit(state: State, source: SourceFile, from: number, to: number): void {
  if (to > from) push(state, source, from, source.text.slice(from, to), false);
}

/** Text of ours; it has the place of what it stands for. */
function push(state: State, source: SourceFile, from: number, text: string, stands = true): void {
  state.pieces.push({ at: state.length, source, from, stands });
  state.out.push(text);
  state.length += text.length;
  if (state.length > state.options.longest) throw invalid(source, from, 'what is included becomes too long');
}

function runCommand(
  state: State,
  source: SourceFile,
  above: readonly SourceFile[],
  parts: SqlParts,
  { at, end }: Event,
  branches: Branch[],
): void {
  const { name, rest } = parseCommand(source.text.slice(at, end));
  const refuse = (why: string, hint?: string) => invalid(source, at, `the psql command ${name}${why}`, hint);
  const argumentsOf = () => {
    const { words, problem } = parseArguments(rest, state.variables);
    if (problem !== undefined) throw refuse(` ${problem}`, 'write each psql command on a line of its own');
    return words;
  };
  const branch = branches.at(-1);
  const active = branch?.active ?? true;
  const truth = () => {
    const value = parseBoolean(argumentsOf().join(' '));
    if (value === undefined)
      throw refuse(` ${argumentsOf().join(' ')} is neither true nor false`, '\\set the variable above it');
    return value;
  };
  if (name === '\\if') {
    const taken = active && truth();
    branches.push({ at, active: taken, taken, outside: active, otherwise: false });
  } else if (name === '\\elif' || name === '\\else') {
    if (!branch || branch.otherwise) throw refuse(' has no \\if');
    branch.active = branch.outside && !branch.taken && (name === '\\else' || truth());
    branch.taken ||= branch.active;
    branch.otherwise = name === '\\else';
  } else if (name === '\\endif') {
    if (!branch) throw refuse(' has no \\if');
    branches.pop();
  } else if (!active || skipped.includes(name)) {
    return;
  } else if (name === '\\set') {
    setVariable(state.variables, argumentsOf(), refuse);
  } else if (name === '\\unset') {
    for (const word of argumentsOf()) state.variables.delete(word);
  } else if (included.includes(name)) {
    include(state, source, above, parts, at, {
      relative: /^\\i(r|nclude_relative)$/.test(name),
      words: argumentsOf(),
      refuse,
    });
  } else {
    throw refuse('', hintFor(name));
  }
}

function include(
  state: State,
  source: SourceFile,
  above: readonly SourceFile[],
  parts: SqlParts,
  at: number,
  { relative, words, refuse }: { relative: boolean; words: readonly string[]; refuse: Refuse },
): void {
  const name = (words[0] ?? '').replace(/;+$/, '');
  if (name === '' || words.length > 1)
    throw refuse(' takes one file', 'put a name with blanks into single quotes');
  if (isAbsolute(name) || /^[~|-]/.test(name))
    throw refuse(
      ` ${name} names a file that other machines may not have`,
      'name it relative to this file with \\ir',
    );
  if (isInsideStatement(source.text, parts, at))
    throw refuse(' stands within a statement', 'end the statement before it with a semicolon');
  const { root, load } = state.options;
  const [folder, shown] = relative ? [dirname(source.path), dirname(source.file)] : [root.path, root.shown];
  const path = join(folder, name);
  if ([...above, source].some((open) => open.path === path))
    throw refuse(` ${name} includes a file that is being included already`, 'break the circle');
  if (++state.inclusions > mostInclusions)
    throw refuse(` is the ${state.inclusions}th inclusion`, 'include less');
  let file: SourceFile;
  try {
    file = load(path, join(shown, name));
  } catch (error) {
    if (!(error instanceof EduschemaError)) throw error;
    throw refuse(`: ${error.message}`, error.hint);
  }
  expandFile(state, file, [...above, source]);
}

/** psql sends what an included file did not end; a quote that it left open would swallow what follows. */
function closeIncluded(state: State, source: SourceFile, { statements }: SqlParts): void {
  const { text } = source;
  const last = statements.at(-1);
  if (last?.data && last.data.end === text.length) {
    push(state, source, text.length, text.endsWith('\n') ? '\\.\n' : '\n\\.\n');
  } else if (!endsOpen(text)) {
    push(state, source, text.length, '\n;\n');
  } else {
    throw invalid(source, last?.start ?? 0, 'a quote or comment that is not closed', 'close it');
  }
}

function replaceVariable(state: State, source: SourceFile, at: number): number {
  const variable = variableAt(source.text, at);
  const refuse = () =>
    invalid(
      source,
      at,
      `the value of ${variable} opens a quote or comment, or has a backslash`,
      `write :'${variable?.slice(1)}'`,
    );
  const value = variable && resolveVariable(variable, state.variables, refuse);
  if (variable === undefined || value === undefined) return at;
  push(state, source, at, value);
  return at + variable.length;
}

function replacePlaceholder(state: State, source: SourceFile, at: number): number {
  const { placeholders } = state.options;
  if (placeholders === 'leave') return at;
  if (placeholders === 'refuse')
    throw invalid(
      source,
      at,
      'a placeholder',
      'write -- migrate:up placeholders:true above it, in the migration',
    );
  const found = placeholderAt(source.text, at);
  if (!found)
    throw invalid(
      source,
      at,
      'what begins with $( is no placeholder',
      'write $(name) for a value, $("name") for an identifier',
    );
  const value = placeholderText(source.text, at, found, placeholders);
  if (value === undefined)
    throw invalid(
      source,
      at,
      `the placeholder ${found.name} has no value`,
      `put it under placeholders in the configuration, or set EDUSCHEMA_PLACEHOLDER_${found.name.toUpperCase()}`,
    );
  push(state, source, at, value);
  return at + found.length;
}

function forbidMarker(
  source: SourceFile,
  { at, end }: Event,
  above: readonly SourceFile[],
  branches: readonly Branch[],
): void {
  const marker = source.text.slice(at, end).trim();
  if (above.length > 0)
    throw invalid(source, at, `"${marker}" in an included file`, 'markers stand in the migration itself');
  if (branches.length > 0)
    throw invalid(source, at, `"${marker}" between \\if and \\endif`, 'put it outside');
}

function invalid(source: SourceFile, at: number, message: string, hint?: string): EduschemaError {
  const { line } = placeInFile(source, at, countLines);
  return new EduschemaError('migration-invalid', `${message} at line ${line} of ${source.file}`, {
    hint,
    details: { file: source.file, line },
  });
}
