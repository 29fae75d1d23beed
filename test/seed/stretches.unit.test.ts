import { describe, expect, it } from 'vitest';
import { column } from '../../src/seed/column.ts';
import { createPlace } from '../../src/seed/context.ts';
import type { Leaf } from '../../src/seed/leaves.ts';
import { createRowSource } from '../../src/seed/rows.ts';
import { createStretches, type Sorting } from '../../src/seed/stretches.ts';
import { table } from '../../src/seed/table.ts';

const made = table('rows', {
  rows: 5000,
  columns: { n: column.integer((row) => row), t: column.text('가나다') },
});

const sourceOf = () =>
  createRowSource(
    made,
    { first: 0, rows: 5000 },
    (name) => createPlace(1, name, { keyOf: () => () => {}, sizeOf: () => 0 }),
    undefined,
  );

const leaf = (name: string): Leaf => ({ name: { schema: 'public', name }, from: 0, to: 0 });
const leaves = [leaf('a'), leaf('b'), leaf('c')];

/** All pieces as they would be sent: where to, and the numbers of the rows. */
async function piecesOf(sorting: Sorting, bytes: number, signal?: AbortSignal) {
  const make = createStretches(sourceOf(), sorting, signal);
  const pieces: { leaf: string | undefined; numbers: number[] }[] = [];
  const ends: number[] = [];
  for (let stretch = await make(bytes); stretch; stretch = await make(bytes)) {
    for (const { leaf: into, data } of stretch.pieces)
      pieces.push({
        leaf: into?.name.name,
        numbers: data
          .toString()
          .trimEnd()
          .split('\n')
          .map((line) => Number(line.split('\t')[0])),
      });
    ends.push(stretch.next);
  }
  return { pieces, ends };
}

const numbers = Array.from({ length: 5000 }, (_, row) => row);

describe('stretches', () => {
  it('hold each row once and in its order, whatever their length', async () => {
    for (const bytes of [1, 1000, 10_000_000]) {
      const { pieces, ends } = await piecesOf({}, bytes);
      expect(pieces.flatMap((piece) => piece.numbers)).toEqual(numbers);
      expect(ends.at(-1)).toBe(5000);
    }
  });

  it('send each row to its partition, in the order that is asked for', async () => {
    const orderOf = (row: number) => (row * 7919) % 97;
    const { pieces } = await piecesOf({ leafOf: (row) => leaves[row % 3] as Leaf, orderOf }, 20_000);

    expect(pieces.flatMap((piece) => piece.numbers).sort((a, b) => a - b)).toEqual(numbers);
    for (const piece of pieces) {
      expect(piece.numbers.every((row) => leaves[row % 3]?.name.name === piece.leaf)).toBe(true);
      const sorted = [...piece.numbers].sort((a, b) => orderOf(a) - orderOf(b) || a - b);
      expect(piece.numbers).toEqual(sorted);
    }
  });

  it('are made again in the same memory only when the one before the last is done with', async () => {
    const make = createStretches(sourceOf(), { leafOf: () => leaves[0] as Leaf }, undefined);
    const first = await make(5000);
    const text = first?.pieces[0]?.data.toString();
    await make(5000);

    expect(first?.pieces[0]?.data.toString()).toBe(text);
  });

  it('refuse an order that is none, and stop when somebody interrupts', async () => {
    await expect(piecesOf({ orderOf: () => -1 }, 1000)).rejects.toThrow('the order of a row is -1');
    await expect(piecesOf({}, 1000, AbortSignal.abort())).rejects.toThrow();
  });
});
