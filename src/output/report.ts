/** What a command found or did: facts, and how to show them. `--json` prints the facts, a terminal the rest. */
export interface Report {
  readonly columns?: readonly Column[];
  /** One object a row; the same keys in each. */
  readonly rows: readonly object[];
  /** How many rows the table shows, the last ones; JSON has all. */
  readonly shown?: number | undefined;
  /** Facts about the whole. */
  readonly summary: Readonly<Record<string, unknown>>;
  /** The same in words, for a person; shown below the table. */
  readonly message?: string | undefined;
  /** Text to print instead of table and message: a script, a URL. */
  readonly text?: string | undefined;
  /** Things to know that are no failure; to stderr, even when nobody is there. */
  readonly warnings?: readonly string[] | undefined;
  /** True when what was found should fail a build: exit 1. */
  readonly failing?: boolean | undefined;
}

/** A column of a table. `value` turns the row's fact into words. */
export interface Column {
  readonly key: string;
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly show?: (value: never, row: never) => string;
  readonly colour?: (value: never) => Colour | undefined;
}

export type Colour = 'green' | 'yellow' | 'red' | 'gray';
