import type { TransactionSql } from 'postgres';
import type { Parameter } from './parameter.ts';
import type { Random } from './random.ts';
import type { Lookup, Table } from './table.ts';

/** A seed in TypeScript: tables that are filled from numbers, or code that runs. */
export type Seed = TableSeed | CodeSeed;

/** A seed of tables. All that it writes is one transaction. */
export interface TableSeed<Name extends string = string> {
  /** Numbers that the command line can change. */
  readonly parameters?: Readonly<Record<Name, Parameter>>;
  /** The migration that must be applied, as in `1.13.0`. */
  readonly requires?: string;
  /** The lists and tables, each behind those that it refers to. The same for the same context, and asks nothing. */
  tables(context: SeedContext<Name>): readonly (Table | Lookup)[];
  /** Makes room before anything is planned, partitions mostly; in a transaction of its own, each time that rows are to be written. */
  prepare?(sql: SeedSql, context: SeedContext<Name>): Promise<unknown>;
  /** The last thing in the transaction that writes the rows. */
  finish?(sql: SeedSql, context: SeedContext<Name>, loaded: SeedLoaded): Promise<unknown>;
  /** Tables that triggers of these write to: their statistics are made anew as well. */
  readonly triggered?: readonly string[];
  /** After the rows were removed by `--reset`, or never written: undoes what `prepare` made for them. */
  undo?(sql: SeedSql): Promise<unknown>;
}

/** A seed that is code. */
export interface CodeSeed {
  readonly requires?: string;
  /** `once`, recorded, or `always`, with each `eduschema seed`. `once` without it. */
  readonly when?: 'once' | 'always';
  /** Runs in a transaction, which also records it. */
  run(sql: SeedSql, context: SeedContext): Promise<unknown>;
}

/** postgres.js's `sql` in a transaction of a seed. */
export type SeedSql = TransactionSql;

/** What a seed is made from. */
export interface SeedContext<Name extends string = string> {
  /** The number behind `--seed`. */
  readonly seed: number;
  /** The time that counts as now, in milliseconds since 1970: `--as-of`. */
  readonly asOf: number;
  /** The values of the parameters. */
  readonly values: Readonly<Record<Name, number>>;
  /** The runs before this one that added rows, oldest first. */
  readonly earlier: readonly EarlierRun<Name>[];
  /** The numbers for a name. */
  random(name: string): Random;
  /** Aborted when somebody interrupts: long computations end then. */
  readonly signal: AbortSignal | undefined;
  /** How many rows runs before this one gave to the table: the number of the first row of this one. */
  before(table: string): number;
}

/** A run that is recorded. */
export interface EarlierRun<Name extends string = string> {
  readonly asOf: number;
  readonly values: Readonly<Record<Name, number>>;
  /** How many rows the table had before it and how many it added. */
  rowsOf(table: string): { readonly first: number; readonly rows: number };
}

/** What was written, for `finish`. */
export interface SeedLoaded {
  /** The first and last key that this run gave to rows of the table; undefined when it gave none. */
  keysOf(table: string): { readonly first: bigint; readonly last: bigint } | undefined;
}

/** Types a seed of tables in an editor; returns it unchanged. */
export function defineSeed<const Name extends string>(seed: TableSeed<Name>): TableSeed<Name>;
/** Types a seed that is code in an editor; returns it unchanged. */
export function defineSeed(seed: CodeSeed): CodeSeed;
/** Types a seed in an editor; returns it unchanged. */
export function defineSeed(seed: Seed): Seed {
  return seed;
}
