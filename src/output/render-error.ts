import { EduschemaError } from '../errors.ts';
import { paintWith } from './render-report.ts';

/** An error in words: message, excerpt, hint. Anything but an EduschemaError is a bug, shown with its stack. */
export function renderError(error: unknown, colours: boolean): string {
  const paint = paintWith(colours);
  if (!(error instanceof EduschemaError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `${paint.red('this is a bug in eduschema:')} ${redact(stack)}\n${paint.cyan('hint:')} please report it with the lines above\n`;
  }
  const lines = [`${paint.red(redact(error.message))}`];
  if (error.excerpt) lines.push(redact(error.excerpt));
  if (error.hint) lines.push(`${paint.cyan('hint:')} ${redact(error.hint)}`);
  return `${lines.join('\n')}\n`;
}

/** `{ ok: false, error: { code, message, hint } }`, with the details of the error. */
export function renderErrorJson(error: unknown): string {
  const known = error instanceof EduschemaError;
  const document = {
    ok: false,
    error: {
      code: known ? error.code : 'bug',
      message: redact(error instanceof Error ? error.message : String(error)),
      hint: known ? (error.hint === undefined ? null : redact(error.hint)) : 'please report it',
      ...(known && error.details ? { details: redactAll(error.details) } : {}),
      ...(known ? {} : { stack: redact((error as Error | undefined)?.stack ?? '') }),
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/**
 * Takes passwords out of connection URLs and of `password=...`, wherever they stand in a text. A password may hold
 * an `@` that should have been encoded: what is hidden reaches to the last one of the word.
 */
export function redact(text: string): string {
  return text
    .replace(/(\b[a-z]+:\/\/[^\s:/@]*):\S*@/gi, '$1:***@')
    .replace(/\b(password=)('[^']*'|[^\s&]+)/gi, '$1***');
}

/** The same in every text of a value. */
function redactAll(value: unknown): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map(redactAll);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, redactAll(part)]));
}
