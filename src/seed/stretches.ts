import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Leaf } from './leaves.ts';
import { createOutput, type Output } from './output.ts';
import type { RowSource } from './rows.ts';

/** Rows that come one after the other, made ready to be sent. */
export interface Stretch {
  /** For one COPY each: the partition they go into, when there are partitions, and the rows. */
  readonly pieces: readonly { readonly leaf: Leaf | undefined; readonly data: Buffer }[];
  /** How many rows there are up to its end, and the number of the row behind it. */
  readonly rows: number;
  readonly next: number;
}

/** Where rows go, and in which order. */
export interface Sorting {
  /** The partition of a row. */
  readonly leafOf?: ((row: number, nth: number) => Leaf) | undefined;
  /** Rows of a stretch are sent in the order of this number, which is at most 2^32. */
  readonly orderOf?: ((row: number) => number) | undefined;
}

/** Made in one go, between which others have their turn. */
const stepBytes = 256 * 1024;

const mostOrder = 2 ** 32;

/** The place of a row in its stretch takes so many values, so that it fits behind its order in a number of 53 bits. */
const mostRows = 2 ** 20;

/**
 * Makes the rows of a source in stretches of about so many bytes, while others have their turn. Of a stretch the memory
 * is used again by the one after the next.
 */
export function createStretches(
  source: RowSource,
  { leafOf, orderOf }: Sorting,
  signal: AbortSignal | undefined,
): (bytes: number) => Promise<Stretch | undefined> {
  const rows = createOutput(2 * stepBytes);
  // One is sent while the next is made.
  const sorted: Output[] = [createOutput(0), createOutput(0)];
  const plain: Output[] = [rows, createOutput(2 * stepBytes)];
  const sorts = leafOf !== undefined || orderOf !== undefined;
  let turn = 0;
  return async (bytes) => {
    if (source.next >= source.end) return undefined;
    turn = 1 - turn;
    const out = sorts ? rows : (plain[turn] as Output);
    out.at = 0;
    const groups = new Map<Leaf | undefined, number[]>();
    const bounds: number[] = [0];
    let last: { leaf: Leaf | undefined; members: number[] } | undefined;
    const onRow = (row: number, nth: number, _: number, end: number) => {
      const leaf = leafOf?.(row, nth);
      if (last === undefined || last.leaf !== leaf) {
        const members = groups.get(leaf) ?? [];
        groups.set(leaf, members);
        last = { leaf, members };
      }
      const order = orderOf?.(row) ?? 0;
      if (!(order >= 0 && order <= mostOrder)) throw new RangeError(`the order of a row is ${order}`);
      last.members.push(order * mostRows + bounds.length - 1);
      bounds.push(end);
    };
    while (source.next < source.end && out.at < bytes && bounds.length < mostRows / 2) {
      signal?.throwIfAborted();
      source.fill(out, Math.min(stepBytes, bytes), sorts ? onRow : undefined);
      await nextTurn();
    }
    const pieces = sorts
      ? gather(out, groups, bounds, sorted[turn] as Output)
      : [{ leaf: undefined, data: out.bytes.subarray(0, out.at) }];
    return { pieces, rows: source.written, next: source.next };
  };
}

/** The rows of each group, one behind the other in their order. */
function gather(
  { bytes, at }: Output,
  groups: ReadonlyMap<Leaf | undefined, readonly number[]>,
  bounds: readonly number[],
  into: Output,
): Stretch['pieces'] {
  if (into.bytes.length < at) into.bytes = Buffer.allocUnsafe(Math.ceil(at * 1.1));
  into.at = 0;
  return [...groups].map(([leaf, members]) => {
    const start = into.at;
    for (const member of Float64Array.from(members).sort()) {
      const index = member % mostRows;
      const end = bounds[index + 1] as number;
      into.at += bytes.copy(into.bytes, into.at, bounds[index], end);
    }
    return { leaf, data: into.bytes.subarray(start, into.at) };
  });
}
