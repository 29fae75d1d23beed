import { type SqlParts, splitSql } from './split.ts';

/** Whether a statement that began before `at` has no end before it. */
export function isInsideStatement(text: string, { statements }: SqlParts, at: number): boolean {
  const statement = statements.findLast(({ start }) => start < at);
  if (!statement) return false;
  if (at < statement.end) return true;
  return !statement.data && !/;/.test(withoutComments(text.slice(statement.end, at)));
}

const withoutComments = (between: string) => between.replace(/--[^\r\n]*|\/\*[\s\S]*?\*\//g, '');

/** Whether a quote or a comment reaches to the end of a text. */
export function endsOpen(text: string): boolean {
  const sentinel = '\n\\sentinel';
  return splitSql(text + sentinel).metaCommands.at(-1)?.start !== text.length + 1;
}
