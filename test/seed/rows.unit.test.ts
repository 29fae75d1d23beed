import { describe, expect, it } from 'vitest';
import { column, references } from '../../src/seed/column.ts';
import { createPlace, type Targets } from '../../src/seed/context.ts';
import { createKeyWriter } from '../../src/seed/keys.ts';
import { createOutput } from '../../src/seed/output.ts';
import { createRowSource } from '../../src/seed/rows.ts';
import { lookup, type Table, table } from '../../src/seed/table.ts';

const parents = table('parents', { rows: 10, key: 'id', columns: { name: column.text('x') } });
const keys = createKeyWriter('parents', [{ firstRow: 0, rows: 10, firstKey: 101n }]);
const targets: Targets = { keyOf: () => keys, sizeOf: () => 10 };

const all = table('all', {
  rows: 400,
  key: 'id',
  columns: {
    text: column.text((row) => `제목 ${row}\t`),
    constant: column.text('같다'),
    number: column.integer(-5, 5),
    computed: column.integer((row) => (row % 7 === 0 ? null : row * 1000)),
    yes: column.boolean(0.3),
    at: column.time(Date.parse('2026-01-01Z'), Date.parse('2026-02-01Z')),
    day: column.date((row) => row * 86_400_000),
    choice: column.oneOf(['a', 1, true, null], [4, 3, 2, 1]),
    joined: column.join('/', column.integer(0, 9), column.hex(), '.pdf'),
    maybe: column.nullable(0.5, column.text('there')),
    id128: column.uuid(),
    ready: column.encoded(() => column.encode('a\\b')),
    parent: references(parents),
    chosen: references(parents, (row) => (row % 2 === 0 ? row % 10 : null)),
  },
});

function rowsOf(made: Table, first: number, rows: number): string {
  const writeKey = createKeyWriter(made.name, [{ firstRow: 0, rows: 1_000_000, firstKey: 1n }]);
  const source = createRowSource(
    made,
    { first, rows },
    (name) => createPlace(1, `${made.name}.${name}`, targets),
    made.key === undefined ? undefined : writeKey,
  );
  const out = createOutput(16);
  while (source.next < source.end) source.fill(out, 500);
  return out.bytes.toString('utf8', 0, out.at);
}

describe('rows', () => {
  it('are the same in any pieces and any order', () => {
    const whole = rowsOf(all, 0, 400);
    const pieces = [3, 1, 0, 2].map((piece) => ({ piece, text: rowsOf(all, piece * 100, 100) }));

    expect(pieces.sort((a, b) => a.piece - b.piece).map(({ text }) => text)).toEqual(
      [0, 1, 2, 3].map(
        (piece) =>
          `${whole
            .split('\n')
            .slice(piece * 100, piece * 100 + 100)
            .join('\n')}\n`,
      ),
    );
    expect(whole.split('\n')[8]).toMatchInlineSnapshot(
      `"9	제목 8\\t	같다	4	8000	f	2026-01-21 14:19:19.147+00	1970-01-09	t	/6748e4a6b.pdf	there	625f308c-1109-4d35-b886-8843f98ce184	a\\\\b	108	109"`,
    );
  });

  it('hold what their columns say', () => {
    const rows = rowsOf(all, 0, 400)
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    const column = (index: number) => rows.map((row) => row[index] ?? '');
    const share = (values: string[], wanted: string) =>
      values.filter((value) => value === wanted).length / 400;

    expect(rows.every((row) => row.length === 15)).toBe(true);
    expect(column(0)).toEqual(Array.from({ length: 400 }, (_, row) => String(row + 1)));
    expect(new Set(column(3))).toEqual(new Set(Array.from({ length: 11 }, (_, index) => String(index - 5))));
    expect(column(4).slice(0, 3)).toEqual(['\\N', '1000', '2000']);
    expect([...new Set(column(8))].sort()).toEqual(['1', '\\N', 'a', 't']);
    expect(share(column(8), 'a')).toBeCloseTo(0.4, 1);
    expect(share(column(10), 'there')).toBeCloseTo(0.5, 1);
    expect(
      column(11).every((id) =>
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id),
      ),
    ).toBe(true);
    expect(new Set(column(11)).size).toBe(400);
    expect(column(13).every((key) => Number(key) >= 101 && Number(key) <= 110)).toBe(true);
  });

  it('come several times for one number, where the table says so', () => {
    const made = table('several', {
      rows: 4,
      repeat: (row) => row,
      columns: {
        row: column.integer((row) => row),
        nth: column.integer((_, nth) => nth),
        some: column.integer(0, 1e9),
      },
    });
    const lines = rowsOf(made, 0, 4)
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));

    expect(lines.map(([row, nth]) => [row, nth].join())).toEqual(['1,0', '2,0', '2,1', '3,0', '3,1', '3,2']);
    expect(new Set(lines.map(([, , some]) => some)).size).toBe(6);
  });

  it('that cannot be made are named', () => {
    const bad = (made: Parameters<typeof table>[1]['columns'][string]) => () =>
      rowsOf(table('bad', { rows: 3, columns: { fine: column.text('x'), wrong: made } }), 0, 3);
    const broken = column.integer((row) => (row === 2 ? 1.5 : 1));
    const throwing = column.text(() => {
      throw new Error('no such word');
    });

    expect(bad(broken)).toThrow('bad.wrong of row 2 cannot be made: 1.5 is no whole number');
    expect(bad(throwing)).toThrow('bad.wrong of row 0 cannot be made: no such word');
    expect(bad(column.time(() => Number.NaN))).toThrow('NaN is no time');
    expect(bad(references(parents, () => 99))).toThrow('refers to row 99 of parents');
  });
});

describe('a table', () => {
  it('is refused when it cannot be meant', () => {
    const columns = { name: column.text('x') };
    const wrong = (options: object) => () => table('t', { rows: 1, columns, ...options });

    expect(wrong({ rows: -1 })).toThrow('-1 is no number of rows');
    expect(wrong({ rows: 1.5 })).toThrow('1.5 is no number');
    expect(wrong({ columns: {} })).toThrow('no columns');
    expect(wrong({ key: 'name' })).toThrow('its key name is numbered');
    expect(wrong({ key: 'id', repeat: () => 2 })).toThrow('one row for each number');
    expect(wrong({ columns: { name: 'x' } })).toThrow('name is made by nothing');
  });

  it('that is a list is refused when its entries do not fit', () => {
    const wrong = (values: Record<string, string>[]) => () => lookup('t', { key: 'id', by: 'name', values });

    expect(wrong([{ title: 'a' }])).toThrow('have no name');
    expect(wrong([{ name: 'a' }, { name: 'a' }])).toThrow('the same name');
    expect(wrong([{ name: 'a' }, { name: 'b', more: 'c' }])).toThrow('different columns');
  });
});
