import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import { columnList, withOptions } from './statements.ts';
import type { IndexDefinition } from './table-description.ts';

/** Whether a unique index must take the partition key in: in a partitioned table it is unique within a partition only. */
export function lacksKey({ unique, keys }: IndexDefinition, column: string): boolean {
  return unique && !keys.includes(column);
}

/** The index with `column` as its last key, and what it must be called is left to the caller. */
export function widenIndex<Index extends IndexDefinition>(index: Index, column: string): Index {
  if (!lacksKey(index, column)) return index;
  return { ...index, keys: [...index.keys, column], using: widenUsing(index.using, column) };
}

/** Whether `using`, as the server prints it, is the index with `column` as its last key: it quotes names only where it must. */
export function isWidened(using: string, index: IndexDefinition, column: string): boolean {
  const wide = widenIndex(index, column).using;
  const end = endOfParentheses(wide, wide.indexOf('('));
  const plain = `${wide.slice(0, end - quoteIdentifier(column).length)}${column}${wide.slice(end)}`;
  return using === wide || using === plain;
}

/** Puts a column behind the last key of an index definition from USING on. */
export function widenUsing(using: string, column: string): string {
  const end = endOfParentheses(using, using.indexOf('('));
  return `${using.slice(0, end)}, ${quoteIdentifier(column)}${using.slice(end)}`;
}

/** Where the parenthesis that opens at `start` is closed; quotes of both kinds are passed over. */
function endOfParentheses(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === "'" || character === '"') {
      // A doubled quote closes and opens again. Definitions have no backslashes but in E'' strings, where they are doubled.
      at = text.indexOf(character, at + 1);
      if (at < 0) break;
    } else if (character === '(') depth++;
    else if (character === ')' && --depth === 0) return at;
  }
  throw new Error(`unbalanced parentheses in ${text}`);
}

/** `CREATE INDEX` of the definition under another name, or one that the server chooses (null), on another table. */
export function createIndex(
  { unique, using, tablespace }: IndexDefinition,
  name: string | null,
  table: QualifiedName,
  concurrently = false,
): string {
  const create = `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${concurrently ? 'CONCURRENTLY ' : ''}`;
  return `${create}${name === null ? '' : `${quoteIdentifier(name)} `}ON ${quoteName(table)} ${inTablespace(using, tablespace)}`;
}

/** TABLESPACE stands before WHERE, which is always the last and begins outside quotes and parentheses. */
function inTablespace(using: string, tablespace: string | null): string {
  if (tablespace === null) return using;
  const end = endOfKeysAndOptions(using);
  return `${using.slice(0, end)} TABLESPACE ${quoteIdentifier(tablespace)}${using.slice(end)}`;
}

function endOfKeysAndOptions(using: string): number {
  let end = endOfParentheses(using, using.indexOf('(')) + 1;
  for (;;) {
    const [clause] = /^ (?:INCLUDE |NULLS NOT DISTINCT|WITH )/.exec(using.slice(end)) ?? [];
    if (clause === undefined) return end;
    end += clause.length;
    if (clause.endsWith('T')) continue;
    end = endOfParentheses(using, end) + 1;
  }
}

/** `ALTER TABLE ... ADD CONSTRAINT` for the constraint that the index belongs to, with an index of its own; null: the server names it. */
export function addKeyConstraint(index: IndexDefinition, name: string | null, table: QualifiedName): string {
  const { constraint, keys, includes, options, nullsNotDistinct, tablespace } = index;
  const kind =
    constraint?.type === 'p' ? 'PRIMARY KEY' : `UNIQUE${nullsNotDistinct ? ' NULLS NOT DISTINCT' : ''}`;
  const parts = [
    `ALTER TABLE ${quoteName(table)} ADD ${name === null ? '' : `CONSTRAINT ${quoteIdentifier(name)} `}${kind} ${columnList(keys as string[])}`,
    includes.length > 0 ? ` INCLUDE ${columnList(includes)}` : '',
    withOptions(options),
    tablespace === null ? '' : ` USING INDEX TABLESPACE ${quoteIdentifier(tablespace)}`,
    deferral(index),
  ];
  return parts.join('');
}

/** `ALTER TABLE ... ADD CONSTRAINT ... USING INDEX`, which gives the index the constraint's name. */
export function addKeyUsingIndex(
  index: IndexDefinition,
  indexName: string,
  name: string,
  table: QualifiedName,
): string {
  const kind = index.constraint?.type === 'p' ? 'PRIMARY KEY' : 'UNIQUE';
  return `ALTER TABLE ${quoteName(table)} ADD CONSTRAINT ${quoteIdentifier(name)} ${kind} USING INDEX ${quoteIdentifier(indexName)}${deferral(index)}`;
}

function deferral({ constraint }: IndexDefinition): string {
  if (!constraint?.deferrable) return '';
  return ` DEFERRABLE${constraint.deferred ? ' INITIALLY DEFERRED' : ''}`;
}
