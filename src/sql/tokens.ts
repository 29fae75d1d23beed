/** The end of white space that starts at `at`. */
export function skipWhitespace(text: string, at: number): number {
  let end = at;
  while (end < text.length && text.charCodeAt(end) <= 32) end++;
  return end;
}

const lineEnd = /[\r\n]/g;

/** The end of a `--` comment, before its line end: a carriage return ends it as well. */
export function skipLineComment(text: string, at: number): number {
  lineEnd.lastIndex = at;
  return lineEnd.exec(text)?.index ?? text.length;
}

const commentEdge = /\/\*|\*\//g;

/** The end of a block comment; they nest in PostgreSQL. */
export function skipBlockComment(text: string, at: number): number {
  let depth = 0;
  commentEdge.lastIndex = at;
  for (let edge = commentEdge.exec(text); edge; edge = commentEdge.exec(text)) {
    depth += edge[0] === '/*' ? 1 : -1;
    if (depth === 0) return commentEdge.lastIndex;
  }
  return text.length;
}

/** The end of a quoted string or identifier. A doubled quote stands for itself; so does `\'` in an `E''` string. */
export function skipQuoted(text: string, at: number, quote: number, escapes: boolean): number {
  const mark = String.fromCharCode(quote);
  if (escapes) return skipEscaped(text, at, quote);
  let end = text.indexOf(mark, at + 1);
  while (end >= 0 && text.charCodeAt(end + 1) === quote) end = text.indexOf(mark, end + 2);
  return end < 0 ? text.length : end + 1;
}

function skipEscaped(text: string, at: number, quote: number): number {
  let end = at + 1;
  while (end < text.length) {
    const code = text.charCodeAt(end);
    if (code === 92) end += 2;
    else if (code !== quote) end++;
    else if (text.charCodeAt(end + 1) === quote) end += 2;
    else {
      const next = continuation(text, end + 1);
      if (next === undefined || text.charCodeAt(next) !== quote) return end + 1;
      end = next + 1;
    }
  }
  return text.length;
}

/** Where a string goes on that was closed: behind blanks and `--` comments with a line end, read as it began. */
function continuation(text: string, at: number): number | undefined {
  let end = at;
  for (;;) {
    const start = end;
    end = skipWhitespace(text, end);
    if (end > at && text.startsWith('--', end)) end = skipLineComment(text, end);
    if (end === start) return /[\r\n]/.test(text.slice(at, end)) ? end : undefined;
  }
}

const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;

/** The end of a dollar-quoted string, or of a lone `$`, as in the parameter `$1`. */
export function skipDollarQuote(text: string, at: number): number {
  dollarTag.lastIndex = at;
  const tag = dollarTag.exec(text)?.[0];
  if (tag === undefined) return at + 1;
  const end = text.indexOf(tag, at + tag.length);
  return end < 0 ? text.length : end + tag.length;
}

/** The end of an unquoted identifier or keyword; `$` and digits may stand in it. */
export function skipIdentifier(text: string, at: number): number {
  let end = at;
  while (end < text.length && continuesIdentifier(text.charCodeAt(end))) end++;
  return end;
}

function continuesIdentifier(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 36 ||
    code >= 128
  );
}

/** The end of white space and comments that start at `at`. */
export function skipBlanks(text: string, at: number): number {
  let end = at;
  for (;;) {
    const start = end;
    end = skipWhitespace(text, end);
    if (text.startsWith('--', end)) end = skipLineComment(text, end);
    else if (text.startsWith('/*', end)) end = skipBlockComment(text, end);
    if (end === start) return end;
  }
}

/** The first `count` words that follow each other from `at`, in lower case; comments between them do not count. */
export function leadingWords(text: string, at: number, count: number): string[] {
  const words: string[] = [];
  for (let from = at; words.length < count; ) {
    const start = skipBlanks(text, from);
    const end = skipIdentifier(text, start);
    if (end === start) break;
    words.push(text.slice(start, end).toLowerCase());
    from = end;
  }
  return words;
}
