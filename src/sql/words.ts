import { skipBlanks, skipIdentifier, skipQuoted } from './tokens.ts';

/** A word of SQL outside quotes in lower case, a quoted identifier with its quotes, or one character. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const [doubleQuote, apostrophe] = [34, 39];

/** The first `most` words from `at`, comments left out; a string stands as one. */
export function listWords(text: string, at: number, end: number, most = 40): Word[] {
  const words: Word[] = [];
  for (let from = skipBlanks(text, at); from < end && words.length < most; ) {
    const to = Math.min(endOfWord(text, from), end);
    const word = text.slice(from, to);
    words.push({ text: word[0] === '"' ? word : word.toLowerCase(), start: from, end: to });
    from = skipBlanks(text, to);
  }
  return words;
}

function endOfWord(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code === doubleQuote || code === apostrophe) return skipQuoted(text, at, code, false);
  return Math.max(skipIdentifier(text, at), at + 1);
}

/** Reads words one after the other. */
export interface WordReader {
  /** Takes the words when they come next, in this order. */
  take(...expected: string[]): boolean;
  /** Takes a name with its schema, as SQL; undefined when none comes. */
  takeName(): string | undefined;
  /** Whether a word comes, now or later. */
  has(word: string): boolean;
  /** Where the last word that was taken ends. */
  readonly end: number;
}

/** A reader of `words`. */
export function readWords(words: readonly Word[]): WordReader {
  let next = 0;
  const isName = (word: Word | undefined) => word !== undefined && /^["a-z_\u0080-\uffff]/.test(word.text);
  return {
    take(...expected) {
      if (!expected.every((text, index) => words[next + index]?.text === text)) return false;
      next += expected.length;
      return true;
    },
    takeName() {
      if (!isName(words[next])) return undefined;
      let name = words[next++]?.text ?? '';
      while (words[next]?.text === '.' && isName(words[next + 1])) {
        name += `.${words[next + 1]?.text}`;
        next += 2;
      }
      return name;
    },
    has: (word) => words.slice(next).some(({ text }) => text === word),
    get end() {
      return words[next - 1]?.end ?? 0;
    },
  };
}

/** The identifier that a part of a name means: folded to lower case unless quoted. */
export function identifierOf(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase();
}
