/** What happened to the rows behind one reference. */
export interface Movement {
  /** Rows that referred to rows that went, and those that refer to the rows that stay in their place. */
  readonly before: number;
  readonly after: number;
  readonly moved: number;
  /** Of these, rows that came to refer to something else, as a trigger would have it. */
  readonly astray: number;
  /** Rows that would have come to refer to themselves, and refer to nothing now. */
  readonly cut: number;
  /** Rows that collided with another. */
  readonly gone: number;
}

/** What a batch or a whole run has done, counted. */
export interface Tally {
  removed: number;
  /** By the number of the reference. */
  readonly movements: Map<number, Movement>;
  /** By the number of the table: rows that collided, and whether something in them was different. */
  readonly collisions: Map<number, { readonly merged: number; readonly aside: number }>;
  /** Counters of the clusters before and after, by the number of the table and the column. */
  readonly sums: Map<string, { readonly before: number; readonly after: number }>;
  add(reference: number, more: Partial<Movement>): void;
  addCollisions(table: number, more: { readonly merged: number; readonly aside: number }): void;
  addSum(table: number, column: string, before: string, after: string): void;
  addAll(other: Tally): void;
}

const nothing: Movement = { before: 0, after: 0, moved: 0, astray: 0, cut: 0, gone: 0 };

/** A tally of nothing. */
export function createTally(): Tally {
  const movements = new Map<number, Movement>();
  const collisions = new Map<number, { merged: number; aside: number }>();
  const sums = new Map<string, { before: number; after: number }>();
  const tally: Tally = {
    removed: 0,
    movements,
    collisions,
    sums,
    add(reference, more) {
      const had = movements.get(reference) ?? nothing;
      const sum = (key: keyof Movement) => had[key] + (more[key] ?? 0);
      movements.set(reference, {
        before: sum('before'),
        after: sum('after'),
        moved: sum('moved'),
        astray: sum('astray'),
        cut: sum('cut'),
        gone: sum('gone'),
      });
    },
    addCollisions(table, more) {
      const had = collisions.get(table) ?? { merged: 0, aside: 0 };
      collisions.set(table, { merged: had.merged + more.merged, aside: had.aside + more.aside });
    },
    addSum(table, column, before, after) {
      addTo(`${table}.${column}`, Number(before), Number(after));
    },
    addAll(other) {
      tally.removed += other.removed;
      for (const [number, movement] of other.movements) tally.add(number, movement);
      for (const [table, counts] of other.collisions) tally.addCollisions(table, counts);
      for (const [key, { before, after }] of other.sums) addTo(key, before, after);
    },
  };
  function addTo(key: string, before: number, after: number) {
    const had = sums.get(key) ?? { before: 0, after: 0 };
    sums.set(key, { before: had.before + before, after: had.after + after });
  }
  return tally;
}
