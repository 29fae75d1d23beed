import type { FileRange, Statement, TextRange } from './split.ts';

/** Consecutive statements that can be sent as one message: `text.slice(start, end)`. */
export interface StatementGroup {
  readonly start: number;
  readonly end: number;
  /** The statements' indexes: from `from` up to, not including, `to`. */
  readonly from: number;
  readonly to: number;
  /** The data of the one statement in the group, a COPY. */
  readonly copy: TextRange | FileRange | undefined;
}

/** A message of a hundred statements is already as fast as one of all; see bench/. */
const mostStatements = 100;
const mostCharacters = 256 * 1024;

/** Groups statements into messages. A COPY with its data, and what lies around a psql command, stand alone. */
export function groupStatements(text: string, statements: readonly Statement[]): StatementGroup[] {
  const groups: StatementGroup[] = [];
  for (const [index, statement] of statements.entries()) {
    const group = groups.at(-1);
    if (group && fits(text, group, statement)) {
      groups[groups.length - 1] = { ...group, end: statement.end, to: index + 1 };
    } else {
      groups.push({
        start: statement.start,
        end: statement.end,
        from: index,
        to: index + 1,
        copy: statement.data,
      });
    }
  }
  return groups;
}

function fits(text: string, group: StatementGroup, next: Statement): boolean {
  return (
    !group.copy &&
    !next.data &&
    group.to - group.from < mostStatements &&
    next.end - group.start <= mostCharacters &&
    !text.slice(group.end, next.start).includes('\\')
  );
}
