import { endsOpen } from './open-ends.ts';
import { isRaw, type Variables, variableAt, variableText } from './psql-command.ts';
import { splitSql } from './split.ts';

/** Variables that name each other can double with each step. */
const longestValue = 64 * 1024;

/**
 * What psql puts in the place of a variable. It reads the value of `:x` again: a variable in it is replaced as well.
 * Undefined leaves it as it is. Throws what `refuse` gives for a value that would change how the text behind it is read.
 */
export function resolveVariable(
  variable: string,
  variables: Variables,
  refuse: () => Error,
  within: readonly string[] = [],
): string | undefined {
  const value = variableText(variable, variables);
  if (value === undefined || !isRaw(variable)) return value;
  const { metaCommands, colons } = splitSql(value);
  if (metaCommands.length > 0 || endsOpen(value)) throw refuse();
  const open = [...within, variable];
  let text = '';
  let cursor = 0;
  for (const colon of colons) {
    const inner = variableAt(value, colon);
    if (!inner || open.includes(inner)) continue;
    text += value.slice(cursor, colon) + (resolveVariable(inner, variables, refuse, open) ?? inner);
    cursor = colon + inner.length;
    if (text.length > longestValue) throw refuse();
  }
  return text + value.slice(cursor);
}
