import type { Sql } from 'postgres';
import { isServerError } from '../db/explain-error.ts';
import { quoteName, showName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import type { Choices } from './choices.ts';
import { keyParts } from './match.ts';
import { at } from './row-sql.ts';
import type { Scope } from './scope.ts';
import type { TableFacts } from './table-facts.ts';

/**
 * Throws `usage` for a key whose values cannot be compared, for an order that the server does not take, and for folds in a
 * database that is not in UTF8.
 */
export async function checkKey(sql: Pick<Sql, 'unsafe'>, scope: Scope, choices: Choices): Promise<void> {
  const root = scope.tables[0] as TableFacts;
  const { key, match, order } = choices;
  const shown = showName(root.name);
  if (match.length > 0) {
    const [found] = await sql.unsafe<[{ encoding: string }]>(
      `SELECT current_setting('server_encoding') AS encoding`,
    );
    if (found.encoding !== 'UTF8')
      throw new EduschemaError(
        'usage',
        `the database is in ${found.encoding}, and only UTF8 knows forms of Unicode`,
        {
          hint: 'use --match exact',
        },
      );
  }
  const from = `FROM ${quoteName(root.name)} t`;
  if (key.length > 0) {
    const parts = keyParts(root, key, match, 't').join(', ');
    await ask(
      sql,
      `SELECT ${parts} ${from} WHERE false GROUP BY ${parts}`,
      (reason) =>
        new EduschemaError('usage', `rows of ${shown} cannot be compared by ${key.join(', ')}: ${reason}`, {
          hint: 'choose columns whose type has an equality',
        }),
    );
  }
  await ask(
    sql,
    `SELECT ${root.columns
      .slice(0, 1)
      .map(({ name }) => at('t', name))
      .join('')} ${from} ${order.joins} WHERE false ORDER BY ${order.by}`,
    (reason) =>
      new EduschemaError(
        'usage',
        `--keep is "${order.shown}", by which rows of ${shown} cannot be put in order: ${reason}`,
        {
          hint: 'write oldest, newest, most-referenced, or what ORDER BY takes: "file_size DESC"',
        },
      ),
  );
}

async function ask(
  sql: Pick<Sql, 'unsafe'>,
  query: string,
  explain: (reason: string) => EduschemaError,
): Promise<void> {
  try {
    await sql.unsafe(query);
  } catch (error) {
    // 42: the statement is wrong. Whatever else it is has nothing to do with what was asked for.
    if (isServerError(error) && error.code.startsWith('42') && error.code !== '42501')
      throw explain(error.message);
    throw error;
  }
}
