import { quoteText } from './quote.ts';

/** psql's variables that a file has set. */
export type Variables = Map<string, string>;

/** A psql command: its name with the backslash, and what stands behind it. */
export interface PsqlCommand {
  readonly name: string;
  readonly rest: string;
}

/** Takes a psql command apart. */
export function parseCommand(text: string): PsqlCommand {
  const name = /^\\(?:[^\s\\]+|\\)/.exec(text)?.[0] ?? '\\';
  return { name, rest: text.slice(name.length).replace(/\r$/, '') };
}

/** What psql makes of a command's arguments, or why it cannot be honoured. */
export type Arguments =
  | { readonly words: readonly string[]; readonly problem?: never }
  | { readonly words?: never; readonly problem: string };

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', b: '\b', r: '\r', f: '\f' };

const part =
  /(?<blank>\s+)|'(?<quoted>(?:[^'\\]|\\[\s\S]|'')*)'|(?<double>"[^"]*")|(?<variable>:(?:'[\w\u0080-\uffff]+'|"[\w\u0080-\uffff]+"|\{\?[\w\u0080-\uffff]+\}|[\w\u0080-\uffff]+))|(?<plain>[^\s'"`\\])/y;

/**
 * Splits a command's arguments as psql does: blanks separate, single quotes hold together and know backslash escapes,
 * variables are replaced outside of them.
 */
export function parseArguments(rest: string, variables: Variables): Arguments {
  const words: string[] = [];
  let word: string | undefined;
  part.lastIndex = 0;
  while (part.lastIndex < rest.length) {
    const at = part.lastIndex;
    const found = part.exec(rest)?.groups;
    if (!found) return { problem: problemOf(rest.charAt(at)) };
    if (found.blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (found.quoted !== undefined) {
      word = (word ?? '') + decodeEscapes(found.quoted);
    } else {
      const text = found.double ?? found.plain ?? variableText(found.variable ?? '', variables);
      word = (word ?? '') + (text ?? found.variable);
    }
  }
  if (word !== undefined) words.push(word);
  return { words };
}

function problemOf(character: string): string {
  if (character === '`') return 'runs a program';
  if (character === '\\') return 'has another command behind it';
  return `has a ${character} that is not closed`;
}

function decodeEscapes(quoted: string): string {
  return quoted.replace(/''|\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])/g, (whole, code?: string) => {
    if (code === undefined) return "'";
    if (/^x./.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 255);
    return escapes[code] ?? whole.slice(1);
  });
}

const variableForm =
  /:(?:'(?<literal>[\w\u0080-\uffff]+)'|"(?<identifier>[\w\u0080-\uffff]+)"|\{\?(?<test>[\w\u0080-\uffff]+)\}|(?<raw>[\w\u0080-\uffff]+))/y;

/** The variable that begins at `at` in SQL text, as it is written; undefined where none does. */
export function variableAt(text: string, at: number): string | undefined {
  variableForm.lastIndex = at;
  return variableForm.exec(text)?.[0];
}

/** Whether the text of the variable goes into the SQL as it is. */
export function isRaw(variable: string): boolean {
  return /^:[^'"{]/.test(variable);
}

/** What psql puts in the place of `:x`, `:'x'`, `:"x"` or `:{?x}`; undefined leaves it as it is, when x is not set. */
export function variableText(variable: string, variables: Variables): string | undefined {
  variableForm.lastIndex = 0;
  const found = variableForm.exec(variable)?.groups ?? {};
  if (found.test !== undefined) return variables.has(found.test) ? 'TRUE' : 'FALSE';
  const value = variables.get(found.literal ?? found.identifier ?? found.raw ?? '');
  if (value === undefined || found.raw !== undefined) return value;
  return quoteText(value, found.literal !== undefined ? 'literal' : 'identifier');
}

/** psql's truth: true, yes, on and 1, false, no, off and 0, and what begins like them; undefined for anything else. */
export function parseBoolean(text: string): boolean | undefined {
  const value = text.toLowerCase();
  if (value === '') return undefined;
  if ('true'.startsWith(value) || 'yes'.startsWith(value) || value === 'on' || value === '1') return true;
  if ('false'.startsWith(value) || 'no'.startsWith(value) || value === '0') return false;
  return value === 'of' || value === 'off' ? false : undefined;
}
