import { quoteIdentifier, quoteLiteral } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';

/** Statements that are for the same, in their order. */
export function planned(
  why: string,
  statements: readonly string[],
  more: Pick<PlannedStatement, 'locks' | 'waitsFor'> = {},
): PlannedStatement[] {
  return statements.map((sql) => ({ sql, why, ...more }));
}

/** `(a, b)`, quoted. */
export function columnList(names: readonly string[]): string {
  return `(${names.map(quoteIdentifier).join(', ')})`;
}

/** ` WITH (fillfactor = '70')` from `fillfactor=70`; nothing for none. */
export function withOptions(options: readonly string[]): string {
  return options.length === 0 ? '' : ` WITH (${options.map(optionText).join(', ')})`;
}

/** `fillfactor = '70'` from `fillfactor=70`, as the catalogue has it. */
export function optionText(option: string): string {
  const at = option.indexOf('=');
  const name = option.slice(0, at).split('.').map(quoteIdentifier).join('.');
  return `${name} = ${quoteLiteral(option.slice(at + 1))}`;
}

/** `COMMENT ON what IS ...`, or nothing where there is no comment. */
export function commentOn(what: string, comment: string | null): string[] {
  return comment === null ? [] : [`COMMENT ON ${what} IS ${quoteLiteral(comment)}`];
}
