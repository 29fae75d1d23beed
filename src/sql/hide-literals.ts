import { skipBlanks, skipDollarQuote, skipIdentifier, skipQuoted } from './tokens.ts';

const [apostrophe, doubleQuote, dollar] = [39, 34, 36];
const number = /(?:\d\w*(?:\.\w*)?|\.\d\w*)(?:(?<=e)[+-]\d+)?/iy;
const parameter = /\$\d+/y;
/** What may stand before a string, and belongs to it: `E'...'`, `U&'...'`. */
const prefix = /^(?:e|b|x|n)$/i;

/**
 * The text of a statement without what people put into it: strings, numbers and dollar-quoted texts become `?`,
 * comments go. The text may be cut off anywhere. Where a string's end cannot be told, the rest is left out.
 */
export function hideLiterals(text: string): string {
  let shown = '';
  let at = 0;
  while (at < text.length) {
    const start = at;
    const code = text.charCodeAt(at);
    at = skipBlanks(text, start);
    if (at > start) {
      shown += ' ';
    } else if (code === apostrophe) {
      at = skipQuoted(text, start, apostrophe, false);
      shown += '?';
      // Without standard_conforming_strings the string goes on, and what follows is part of it.
      if (text.slice(start, at).includes("\\'")) return `${shown} …`;
    } else if (code === doubleQuote) {
      at = skipQuoted(text, start, doubleQuote, false);
      shown += text.slice(start, at);
    } else if (code === dollar) {
      at = matchEnd(parameter, text, start) ?? skipDollarQuote(text, start);
      shown += at - start > 1 && !/\d/.test(text[start + 1] ?? '') ? '?' : text.slice(start, at);
    } else if (matchEnd(number, text, start) !== undefined) {
      at = matchEnd(number, text, start) as number;
      shown += '?';
    } else {
      at = Math.max(skipIdentifier(text, start), start + 1);
      const word = text.slice(start, at);
      const unicode = /^u$/i.test(word) && text.startsWith("&'", at);
      if (unicode) at++;
      if (unicode || (prefix.test(word) && text.charCodeAt(at) === apostrophe)) {
        at = skipQuoted(text, at, apostrophe, /^e$/i.test(word));
        shown += '?';
      } else {
        shown += word;
      }
    }
  }
  return shown;
}

function matchEnd(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}
