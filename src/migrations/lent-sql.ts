import { readFileSync } from 'node:fs';
import type { QualifiedName } from '../db/identifiers.ts';
import { splitSql } from '../sql/split.ts';
import { leadingWords } from '../sql/tokens.ts';
import { changesJournal, leaveJournal } from './journal-guard.ts';
import type { MigrationSql } from './module.ts';
import { controlsTransaction } from './prepare.ts';

/** `sql` as it is lent to the code of a migration. */
export interface LentSql {
  readonly sql: MigrationSql;
  /**
   * Takes it back, and waits for the queries under way: from now on it sends nothing. Says what the code left behind:
   * a query that it did not wait for, or never sent.
   */
  takeBack(): Promise<string | undefined>;
}

interface Lending {
  readonly transaction: boolean;
  readonly journal: QualifiedName;
  /** Whether the connection is there: the driver would end the process. */
  readonly isOpen: () => boolean;
}

const hints = new WeakMap<object, string>();

/** An error of the code that was lent `sql`, with what to do instead. */
export function refusal(message: string, hint: string): Error {
  const error = new Error(message);
  hints.set(error, hint);
  return error;
}

/** The hint of an error that lent `sql` has thrown. */
export function hintOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? hints.get(error) : undefined;
}

/** Lends `sql` to code that runs inside a transaction of ours, or outside of any; `journal` is not for it. */
export function lendSql(sql: MigrationSql, { transaction, journal, isOpen }: Lending): LentSql {
  let open = true;
  /** Queries that were not answered, with their text. */
  const unanswered = new Map<object, string>();

  const checkOpen = () => {
    if (!isOpen()) throw refusal('the connection is lost', 'see why, and run the command again');
    if (!open)
      throw refusal('sql was used after the migration had ended', 'wait for everything that it starts');
  };
  const track = (query: unknown, text: string, parts: readonly unknown[]) => {
    // As a part of another query it is not sent itself.
    for (const part of parts.flat()) unanswered.delete(part as object);
    if (!(query instanceof Promise)) return query;
    unanswered.set(query, text);
    const answered = () => void unanswered.delete(query);
    // The query's own `then` would send it.
    Promise.prototype.then.call(query, answered, answered);
    return query;
  };
  const query = (
    send: () => unknown,
    text: string,
    parts: readonly unknown[],
    starts = () => splitSql(text).statements.map(({ start }) => start),
  ) => {
    checkOpen();
    if (transaction) for (const start of starts()) forbidTransactionControl(text, start);
    else if (changesJournal(text, journal))
      throw refusal('this query changes the journal of eduschema', leaveJournal);
    const sent = send();
    // The driver looks four frames up for where a query was made: they are ours.
    if (sent instanceof Promise) Object.defineProperty(sent, 'origin', { value: new Error().stack ?? '' });
    return track(sent, text, parts);
  };
  const lend = <T extends object>(lent: T): T =>
    new Proxy(lent, {
      apply(target, self, args: unknown[]) {
        const [strings, ...parts] = args as [{ raw?: readonly string[] }, ...unknown[]];
        const send = () => Reflect.apply(target as () => unknown, self, args);
        // A template can be one statement only.
        return strings?.raw ? query(send, (strings as string[]).join('?'), parts, () => [0]) : send();
      },
      get(target, name) {
        if (withheld.has(name as string) || (transaction && name === 'begin'))
          return () => withhold(String(name));
        const found: unknown = Reflect.get(target, name);
        if (typeof found !== 'function') return found;
        const call = (...args: unknown[]) => Reflect.apply(found, target, args);
        if (name === 'unsafe')
          return (text: string, ...rest: unknown[]) => query(() => call(text, ...rest), text, []);
        if (name === 'file')
          return (path: string, ...rest: unknown[]) => {
            const text = readFileSync(path, 'utf8');
            const unsafe = Reflect.get(target, 'unsafe') as (...args: unknown[]) => unknown;
            return query(() => unsafe(text, ...rest), text, []);
          };
        if (!scopes.has(name as string)) return found;
        return (...args: unknown[]) => {
          checkOpen();
          const scoped = args.map((arg) =>
            typeof arg === 'function' ? (inner: object) => arg(lend(inner)) : arg,
          );
          return Promise.resolve(call(...scoped)).then((result) =>
            name === 'reserve' ? lend(result as object) : result,
          );
        };
      },
    });

  return {
    sql: lend(sql),
    async takeBack() {
      open = false;
      const left = [...unanswered];
      const unsent = left.find(([sent, text]) => !isSent(sent) && isStatement(text));
      const underWay = left.filter(([sent]) => isUnderWay(sent));
      await Promise.allSettled(underWay.map(([sent]) => (isCursor(sent) ? undefined : sent)));
      if (underWay[0]) return `it ended while a query was under way: ${firstLine(underWay[0][1])}`;
      return unsent && `it made a query that was never sent: ${firstLine(unsent[1])}`;
    },
  };
}

/** Functions of the driver that open a connection of their own, close ours, or end the transaction. */
const withheld = new Set(['end', 'close', 'listen', 'subscribe', 'prepare']);

/** Functions of the driver that lend a `sql` themselves. */
const scopes = new Set(['begin', 'savepoint', 'reserve']);

function withhold(name: string): never {
  throw refusal(
    `sql.${name}() is not there in a migration`,
    name === 'begin'
      ? 'it is in a transaction: sql.savepoint()'
      : 'the connection is not yours to end or to share',
  );
}

/** What the driver knows of a query: https://github.com/porsager/postgres/blob/v3.4.9/src/query.js. */
interface DriverQuery {
  readonly executed?: boolean;
  readonly active?: boolean;
  readonly cursorRows?: number;
}

const isSent = ({ executed = false }: DriverQuery) => executed;

/** Of a loop over its rows the query itself is never told the end. */
const isCursor = ({ cursorRows }: DriverQuery) => cursorRows !== undefined;

const isUnderWay = (query: DriverQuery) => isSent(query) && (!isCursor(query) || query.active === true);

const firstLine = (text: string) => text.trim().split('\n')[0] ?? '';

/** Parts of queries can be left over; statements that change something were meant. */
const changing =
  /^(insert|update|delete|merge|with|create|alter|drop|truncate|grant|revoke|comment|call|do|refresh|select|copy|reindex|vacuum|analyze)$/;

function isStatement(text: string): boolean {
  return changing.test(leadingWords(text, 0, 1)[0] ?? '');
}

/** `end` alone is more often the end of CASE. */
function forbidTransactionControl(text: string, start: number): void {
  const words = leadingWords(text, start, 3);
  const [first = ''] = words;
  if (first === 'end' || !controlsTransaction(words)) return;
  throw refusal(
    `${first.toUpperCase()} in code that runs in a transaction of eduschema's`,
    'leave it out, or write: export const transaction = false',
  );
}
