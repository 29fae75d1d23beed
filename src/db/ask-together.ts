import type { Sql } from 'postgres';

/** A query without parameters, and what its rows come to. */
export interface Question<T> {
  readonly sql: string;
  // biome-ignore lint/suspicious/noExplicitAny: whoever writes the query knows its rows.
  readonly read: (rows: any) => T;
}

/** Reads at UTC, as ISO 8601 has it. */
export const inUtc = [`SET LOCAL TimeZone = 'UTC'`, `SET LOCAL DateStyle = 'ISO, YMD'`];

/**
 * Asks in one message, which the server takes for one transaction, that reads alone: a far server is waited for once.
 * `settings` are statements that hold for the message.
 */
export async function askTogether<const T extends readonly unknown[]>(
  sql: Sql,
  settings: readonly string[],
  questions: { readonly [Place in keyof T]: Question<T[Place]> },
): Promise<T> {
  const asked = questions as readonly Question<unknown>[];
  const message = ['SET LOCAL transaction_read_only = on', ...settings, ...asked.map((one) => one.sql)];
  const results = (await sql.unsafe(message.join(';\n'))) as unknown as unknown[];
  const answers = results.slice(-asked.length);
  return asked.map(({ read }, index) => read(answers[index])) as unknown as T;
}
