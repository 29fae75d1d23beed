import {
  skipBlanks,
  skipBlockComment,
  skipDollarQuote,
  skipIdentifier,
  skipLineComment,
  skipQuoted,
  skipWhitespace,
} from './tokens.ts';

/** A statement's place in a text, as offsets: `text.slice(start, end)` has neither its semicolon nor comments before it. */
export interface Statement {
  readonly start: number;
  readonly end: number;
  /** The data lines behind a `COPY ... FROM stdin;`, without the line `\.` that ends them. */
  readonly data?: { readonly start: number; readonly end: number };
}

/** A comment line of its own, outside every statement's quotes: where section markers can stand. */
export interface CommentLine {
  readonly start: number;
  readonly end: number;
}

/** A psql command: from its backslash to the end of its line. */
export interface MetaCommand {
  readonly start: number;
  readonly end: number;
}

/** What a text of SQL consists of, in the order of the text. All between is white space, comments and semicolons. */
export interface SqlParts {
  readonly statements: readonly Statement[];
  readonly commentLines: readonly CommentLine[];
  readonly metaCommands: readonly MetaCommand[];
  /** Text between the semicolon of a `COPY ... FROM stdin` and the end of its line. */
  readonly behindCopies: readonly { readonly start: number; readonly end: number }[];
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
  const statements: Statement[] = [];
  const commentLines: CommentLine[] = [];
  const metaCommands: MetaCommand[] = [];
  const behindCopies: MetaCommand[] = [];
  let state = newState(-1);
  let lastEnd = 0;
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;

  const finish = () => {
    if (state.start >= 0) statements.push({ start: state.start, end: lastEnd });
    state = newState(-1);
  };
  const token = (end: number) => {
    if (state.start < 0) state = newState(at);
    at = lastEnd = end;
  };

  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code <= 32) {
      at = skipWhitespace(text, at);
    } else if (code === dash && text.charCodeAt(at + 1) === dash) {
      const end = skipLineComment(text, at);
      if (startsItsLine(text, at)) {
        commentLines.push({ start: at, end });
        if (endsStatement(text.slice(at, end))) finish();
      }
      at = end;
    } else if (code === slash && text.charCodeAt(at + 1) === star) {
      at = skipBlockComment(text, at);
    } else if (code === semicolon && state.parentheses === 0 && state.blocks === 0) {
      const copies = state.copy === 'from stdin';
      finish();
      at++;
      if (copies) {
        const rest = skipBlanks(text, at);
        if (rest < endOfLine(text, at)) behindCopies.push({ start: rest, end: endOfLine(text, at) });
        at = takeCopyData(text, at, statements);
      }
    } else if (code === backslash) {
      const end = endOfLine(text, at);
      metaCommands.push({ start: at, end });
      at = end;
    } else if (isIdentifierStart(code)) {
      const end = skipIdentifier(text, at);
      const next = text.charCodeAt(end);
      const word = end - at <= longestWord ? text.slice(at, end).toLowerCase() : '';
      if (next === quote && (word === 'e' || word === 'b' || word === 'x' || word === 'n')) {
        token(skipQuoted(text, end, quote, word === 'e'));
      } else if (word === 'u' && next === ampersand && isQuote(text.charCodeAt(end + 1))) {
        token(skipQuoted(text, end + 1, text.charCodeAt(end + 1), false));
      } else {
        token(end);
        noteWord(state, word, text, end);
      }
    } else if (isQuote(code)) {
      token(skipQuoted(text, at, code, false));
    } else if (code === dollar) {
      token(skipDollarQuote(text, at));
    } else if (code >= zero && code <= nine) {
      token(skipNumber(text, at));
    } else {
      token(at + 1);
      if (code === openParenthesis) state.parentheses++;
      else if (code === closeParenthesis && state.parentheses > 0) state.parentheses--;
    }
  }
  finish();
  return { statements, commentLines, metaCommands, behindCopies };
}

interface StatementState {
  start: number;
  parentheses: number;
  /** Depth of BEGIN ATOMIC and of CASE within it. */
  blocks: number;
  words: number;
  creates: 'no' | 'create' | 'routine';
  copy: 'no' | 'copy' | 'from' | 'from stdin';
}

const newState = (start: number): StatementState => ({
  start,
  parentheses: 0,
  blocks: 0,
  words: 0,
  creates: 'no',
  copy: 'no',
});

/** Follows the few words that decide where a statement ends. */
function noteWord(state: StatementState, word: string, text: string, end: number): void {
  const place = state.words++;
  if (state.parentheses > 0) return;
  if (place === 0) {
    if (word === 'create') state.creates = 'create';
    else if (word === 'copy') state.copy = 'copy';
  } else if (state.creates === 'create') {
    if (word === 'function' || word === 'procedure') state.creates = 'routine';
    else if (word !== 'or' && word !== 'replace') state.creates = 'no';
  } else if (state.creates === 'routine') {
    if (word === 'begin' && state.blocks === 0 && nextWord(text, end) === 'atomic') state.blocks = 1;
    else if (word === 'case' && state.blocks > 0) state.blocks++;
    else if (word === 'end' && state.blocks > 0) state.blocks--;
  } else if (state.copy === 'copy') {
    if (word === 'from') state.copy = 'from';
  } else if (state.copy === 'from') {
    state.copy = word === 'stdin' ? 'from stdin' : 'no';
  }
}

function nextWord(text: string, from: number): string {
  const at = skipBlanks(text, from);
  return text.slice(at, skipIdentifier(text, at)).toLowerCase();
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

function startsItsLine(text: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && (text[before] === ' ' || text[before] === '\t' || text[before] === '\ufeff'))
    before--;
  return before < 0 || text[before] === '\n' || text[before] === '\r';
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
const [zero, nine, openParenthesis, closeParenthesis] = [48, 57, 40, 41];
