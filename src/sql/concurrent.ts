import { identifierOf, listWords, readWords, type WordReader } from './words.ts';

/** A statement that works in several transactions of its own, and can leave half of its work behind. */
export type ConcurrentStatement =
  | CreateIndexConcurrently
  | { readonly kind: 'drop-index' /** As it stands in the statement. */; readonly index: string }
  | {
      readonly kind: 'reindex';
      readonly what: 'index' | 'table' | 'schema' | 'database' | 'system';
      /** As it stands in the statement; undefined for the current database. */
      readonly name: string | undefined;
    }
  | { readonly kind: 'detach-partition'; readonly parent: string; readonly partition: string };

export interface CreateIndexConcurrently {
  readonly kind: 'create-index';
  /** The index's name; undefined when PostgreSQL chooses one. */
  readonly index: string | undefined;
  /** As it stands in the statement. */
  readonly table: string;
  readonly ifNotExists: boolean;
  readonly unique: boolean;
  /** From behind the table's name to the end: ` USING btree (title) WHERE ...`. */
  readonly definition: string;
}

/** Reads a statement that says CONCURRENTLY; undefined for all others (REFRESH ... CONCURRENTLY is one transaction). */
export function parseConcurrent(statement: string): ConcurrentStatement | undefined {
  if (!/concurrently/i.test(statement)) return undefined;
  const reader = readWords(listWords(statement, 0, statement.length));
  if (reader.take('create')) return parseCreateIndex(reader, statement);
  if (reader.take('drop', 'index', 'concurrently')) {
    reader.take('if', 'exists');
    const index = reader.takeName();
    return index === undefined ? undefined : { kind: 'drop-index', index };
  }
  if (reader.take('reindex')) return parseReindex(reader);
  if (reader.take('alter', 'table')) return parseDetach(reader);
  return undefined;
}

function parseCreateIndex(reader: WordReader, statement: string): CreateIndexConcurrently | undefined {
  const unique = reader.take('unique');
  if (!reader.take('index', 'concurrently')) return undefined;
  const ifNotExists = reader.take('if', 'not', 'exists');
  const index = reader.take('on') ? undefined : reader.takeName();
  if (index !== undefined) reader.take('on');
  reader.take('only');
  const table = reader.takeName();
  if (table === undefined) return undefined;
  return {
    kind: 'create-index',
    index: index === undefined ? undefined : identifierOf(index),
    table,
    ifNotExists,
    unique,
    definition: statement.slice(reader.end),
  };
}

function parseReindex(reader: WordReader): ConcurrentStatement | undefined {
  if (!reader.has('concurrently')) return undefined;
  if (reader.take('(')) while (!reader.take(')') && (reader.takeName() ?? reader.take(','))) {}
  for (const what of ['index', 'table', 'schema', 'database', 'system'] as const) {
    if (!reader.take(what)) continue;
    reader.take('concurrently');
    return { kind: 'reindex', what, name: reader.takeName() };
  }
  return undefined;
}

function parseDetach(reader: WordReader): ConcurrentStatement | undefined {
  reader.take('if', 'exists');
  reader.take('only');
  const parent = reader.takeName();
  if (parent === undefined || !reader.take('detach', 'partition')) return undefined;
  const partition = reader.takeName();
  return partition !== undefined && reader.take('concurrently')
    ? { kind: 'detach-partition', parent, partition }
    : undefined;
}
