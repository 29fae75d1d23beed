import type { SourceMap } from './source-map.ts';
import { afterNextWord, newState, noteWord, type StatementState } from './statement-state.ts';
import {
  skipBlanks,
  skipBlockComment,
  skipDollarQuote,
  skipIdentifier,
  skipLineComment,
  skipQuoted,
  skipWhitespace,
} from './tokens.ts';

/** A stretch of a text: `text.slice(start, end)`. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** A stretch of a file, in bytes: data that was left on the disk. */
export interface FileRange extends TextRange {
  /** The offset in the statement's text at which it would stand. */
  readonly at: number;
  readonly path: string;
  /** Of the file when it was read: see stampOf. */
  readonly stamp: string;
}

/** A statement's place in a text; the range has neither its semicolon nor comments before it. */
export interface Statement extends TextRange {
  /** The data lines behind a `COPY ... FROM stdin;`, without the line `\.` that ends them. */
  readonly data?: TextRange | FileRange;
  /** Where the text came from, when it is not a file's own. */
  readonly origin?: SourceMap;
}

/** What a text of SQL consists of, in the order of the text. All between is white space, comments and semicolons. */
export interface SqlParts {
  readonly statements: readonly Statement[];
  /** Comment lines of their own, outside every statement's quotes: where section markers can stand. */
  readonly commentLines: readonly TextRange[];
  /** psql commands, each from its backslash to the end of its line. */
  readonly metaCommands: readonly TextRange[];
  /** Text between the semicolon of a `COPY ... FROM stdin` and the end of its line. */
  readonly behindCopies: readonly TextRange[];
  /** Offsets of colons outside of quotes and comments that psql would try as the beginning of a variable. */
  readonly colons: readonly number[];
  /** Offsets of `$(` outside of quotes and comments. */
  readonly placeholders: readonly number[];
}

/** Ends a statement where a comment line says so, even without a semicolon. */
export type EndsStatement = (commentLine: string) => boolean;

/**
 * Splits SQL text as psql reads it: quotes of every kind, dollar quotes with tags, nested comments, semicolons in
 * parentheses, `BEGIN ATOMIC` bodies, data behind `COPY ... FROM stdin`. Linear in the length of the text; never throws:
 * a quote that is not closed reaches to the end, and the server says what is wrong with it.
 * After psqlscan.l, https://github.com/postgres/postgres/blob/master/src/fe_utils/psqlscan.l
 */
export function splitSql(text: string, endsStatement: EndsStatement = () => false): SqlParts {
  const scanner = beginScan(endsStatement);
  scanSql(scanner, text, text.charCodeAt(0) === 0xfeff ? 1 : 0, 'whole');
  return scanner.parts;
}

/** A scan that goes through a text in pieces. */
export interface Scanner {
  readonly parts: { [name in keyof SqlParts]: SqlParts[name][number][] };
  readonly endsStatement: EndsStatement;
  state: StatementState;
  lastEnd: number;
  /** Whether only blanks stand before the piece in its line. */
  startsLine: boolean;
  /** Whether the last piece ended where the data of a COPY begins. */
  atData: boolean;
}

/** A scan before its first piece. */
export function beginScan(endsStatement: EndsStatement): Scanner {
  return {
    parts: {
      statements: [],
      commentLines: [],
      metaCommands: [],
      behindCopies: [],
      colons: [],
      placeholders: [],
    },
    endsStatement,
    state: newState(-1),
    lastEnd: 0,
    startsLine: true,
    atData: false,
  };
}

/**
 * Scans on in `text` from `from` and returns how far it came. A `whole` text is scanned to its end. Of a `piece` what
 * may go on behind it is left for the next one, which begins there; it and the `last` piece end also where the data of
 * a COPY begins. The offsets in `parts` are those of the piece.
 */
export function scanSql(
  scanner: Scanner,
  text: string,
  from: number,
  extent: 'whole' | 'piece' | 'last',
): number {
  const { statements, commentLines, metaCommands, behindCopies, colons, placeholders } = scanner.parts;
  // What ends before this cannot go on: the longest look ahead is two characters.
  const limit = extent === 'piece' ? text.length - 3 : text.length;
  let { state, lastEnd } = scanner;
  let at = from;

  const finish = () => {
    if (state.start >= 0) statements.push({ start: state.start, end: lastEnd });
    state = newState(-1);
  };
  const token = (end: number) => {
    if (state.start < 0) state = newState(at);
    at = lastEnd = end;
  };
  const stop = () => {
    scanner.state = state;
    scanner.lastEnd = lastEnd;
    return at;
  };

  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code <= 32) {
      at = skipWhitespace(text, at);
    } else if (code === dash && text.charCodeAt(at + 1) === dash) {
      const end = skipLineComment(text, at);
      if (end > limit) return stop();
      if (startsItsLine(text, at, scanner.startsLine)) {
        commentLines.push({ start: at, end });
        if (scanner.endsStatement(text.slice(at, end))) finish();
      }
      at = end;
    } else if (code === slash && text.charCodeAt(at + 1) === star) {
      const end = skipBlockComment(text, at);
      if (end > limit) return stop();
      at = end;
    } else if (code === semicolon && state.parentheses === 0 && state.blocks === 0) {
      const copies = state.copy === 'from stdin';
      if (copies && extent === 'piece' && text.indexOf('\n', at) < 0) return stop();
      finish();
      at++;
      if (copies) {
        const rest = skipBlanks(text, at);
        const end = endOfLine(text, at);
        if (rest < end) behindCopies.push({ start: rest, end });
        if (extent !== 'whole') {
          scanner.atData = true;
          at = Math.min(end + 1, text.length);
          return stop();
        }
        at = takeCopyData(text, at, statements);
      }
    } else if (code === backslash) {
      const end = endOfLine(text, at);
      if (end > limit) return stop();
      metaCommands.push({ start: at, end });
      at = end;
    } else if (isIdentifierStart(code)) {
      const end = skipIdentifier(text, at);
      if (end > limit) return stop();
      const next = text.charCodeAt(end);
      const word = end - at <= longestWord ? text.slice(at, end).toLowerCase() : '';
      if (next === quote && (word === 'e' || word === 'b' || word === 'x' || word === 'n')) {
        const close = skipQuoted(text, end, quote, word === 'e');
        if (close > limit) return stop();
        token(close);
      } else if (word === 'u' && next === ampersand && isQuote(text.charCodeAt(end + 1))) {
        const close = skipQuoted(text, end + 1, text.charCodeAt(end + 1), false);
        if (close > limit) return stop();
        token(close);
      } else {
        if (extent === 'piece' && word === 'begin' && afterNextWord(text, end) > limit) return stop();
        token(end);
        noteWord(state, word, text, end);
      }
    } else {
      const end = skipOther(text, at, code);
      if (end > limit || (extent === 'piece' && isCutTag(text, at, code, end))) return stop();
      if (code === colon && end === at + 1 && text.charCodeAt(end) !== equals) colons.push(at);
      else if (code === dollar && text.charCodeAt(at + 1) === openParenthesis) placeholders.push(at);
      token(end);
      if (code === openParenthesis) state.parentheses++;
      else if (code === closeParenthesis && state.parentheses > 0) state.parentheses--;
    }
  }
  if (extent !== 'piece') finish();
  return stop();
}

/** Whether a dollar could begin a tag that goes on behind the piece. */
function isCutTag(text: string, at: number, code: number, end: number): boolean {
  return code === dollar && end === at + 1 && skipIdentifier(text, end) === text.length;
}

/** The end of a token that is neither a word nor a comment. */
function skipOther(text: string, at: number, code: number): number {
  if (isQuote(code)) return skipQuoted(text, at, code, false);
  if (code === dollar) return skipDollarQuote(text, at);
  if (code >= zero && code <= nine) return skipNumber(text, at);
  return code === colon && text.charCodeAt(at + 1) === colon ? at + 2 : at + 1;
}

/** The data starts on the line after the statement and ends before a line `\.`, or with the text. */
function takeCopyData(text: string, from: number, statements: Statement[]): number {
  const lineEnd = text.indexOf('\n', from);
  const start = lineEnd < 0 ? text.length : lineEnd + 1;
  let line = start;
  while (line < text.length) {
    const end = text.indexOf('\n', line);
    const stop = end < 0 ? text.length : end;
    if (
      text.startsWith('\\.', line) &&
      (stop === line + 2 || (stop === line + 3 && text[line + 2] === '\r'))
    ) {
      addData(statements, start, line);
      return stop;
    }
    line = stop + 1;
  }
  addData(statements, start, text.length);
  return text.length;
}

function addData(statements: Statement[], start: number, end: number): void {
  const copy = statements.pop();
  if (copy) statements.push({ ...copy, data: { start, end } });
}

/** Whether only blanks stand before `at` in its line; `whenAllBlank` when the text begins with them. */
export function startsItsLine(text: string, at: number, whenAllBlank: boolean): boolean {
  let before = at - 1;
  while (before >= 0 && (text[before] === ' ' || text[before] === '\t' || text[before] === '\ufeff'))
    before--;
  return before < 0 ? whenAllBlank : text[before] === '\n' || text[before] === '\r';
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}

function skipNumber(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && (isDigit(text.charCodeAt(end)) || isIdentifierStart(text.charCodeAt(end))))
    end++;
  return end;
}

const isDigit = (code: number) => code >= zero && code <= nine;
const isQuote = (code: number) => code === quote || code === doubleQuote;
const isIdentifierStart = (code: number) =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code >= 128;

const longestWord = 'procedure'.length;
const [dash, slash, star, semicolon, backslash, quote, doubleQuote, dollar, ampersand] = [
  45, 47, 42, 59, 92, 39, 34, 36, 38,
];
const [zero, nine, openParenthesis, closeParenthesis, colon, equals] = [48, 57, 40, 41, 58, 61];
