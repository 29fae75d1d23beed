import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutCopyData } from '../../src/sql/cut-copy-data.ts';
import { splitSql } from '../../src/sql/split.ts';

const isMarker = (line: string) => line.includes('migrate:');

/** Gives `bytes` in chunks of these sizes, in one buffer that is overwritten each time. */
function chunksOf(bytes: Buffer, sizes: readonly number[]): () => Buffer | undefined {
  const reused = Buffer.alloc(Math.max(...sizes));
  let at = 0;
  let turn = 0;
  return () => {
    if (at >= bytes.length) return undefined;
    const size = Math.min(sizes[turn++ % sizes.length] as number, bytes.length - at);
    bytes.copy(reused, 0, at, at + size);
    at += size;
    return reused.subarray(0, size);
  };
}

const cut = (text: string, sizes: readonly number[] = [1000]) =>
  cutCopyData(
    chunksOf(Buffer.from(text), sizes),
    isMarker,
    1e9,
    () => {
      throw new Error('too long');
    },
    Math.min(1024, ...sizes),
  );

/** What the statements are, and their data, from the cut text and the bytes. */
function readCut(text: string, sizes: readonly number[]) {
  const bytes = Buffer.from(text);
  const { text: shorter, gaps } = cut(text, sizes);
  return splitSql(shorter, isMarker).statements.map(({ start, end, data }) => {
    const gap = data && gaps.find(({ at }) => at === data.start);
    if (data) expect(data.end).toBe(data.start);
    return {
      text: shorter.slice(start, end),
      data: gap && bytes.subarray(gap.start, gap.end).toString(),
    };
  });
}

const readWhole = (text: string) =>
  splitSql(text, isMarker).statements.map(({ start, end, data }) => ({
    text: text.slice(start, end),
    data: data && text.slice(data.start, data.end),
  }));

describe('cutCopyData', () => {
  it('leaves the data on the disk and says where', () => {
    const text = 'SELECT 1;\nCOPY t FROM stdin;\nä\t1\n\\N\n\\.\nSELECT 2;\n';

    const { text: shorter, gaps } = cut(text, [3]);

    expect(shorter).toBe('SELECT 1;\nCOPY t FROM stdin;\n\\.\nSELECT 2;\n');
    expect(gaps).toEqual([{ at: 29, start: 29, end: 37 }]);
  });

  it('gives the whole text back, from its own and the data', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), sizes, (pieces, chunks) => {
        const text = pieces.join('');
        const bytes = Buffer.from(text);
        const { text: shorter, gaps } = cut(text, chunks);
        let whole = shorter;
        for (const { at, start, end } of [...gaps].reverse())
          whole = whole.slice(0, at) + bytes.subarray(start, end).toString() + whole.slice(at);
        expect(whole).toBe(text.replace(/^\ufeff/, ''));
      }),
      { numRuns: 3000 },
    );
  });

  it('agrees with the whole text on every statement and its data, whatever the chunks', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), sizes, (pieces, chunks) => {
        const text = pieces.join('').replace(/^\ufeff/, '');
        expect(readCut(text, chunks)).toEqual(readWhole(text));
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    'COPY t FROM stdin -- migrate:down\n;\n1\n\\.\nSELECT 1;',
    'COPY t FROM stdin\n   -- migrate:down\n;\n1;\n2;\n',
    'SELECT 1\n \t -- migrate:down\nCOPY t FROM stdin;\n1;\n\\.\n',
    'SELECT $abcdefgh$; COPY t FROM stdin;\n$abcdefgh$; COPY t FROM stdin;\n1\n\\.\n',
    'CREATE FUNCTION f() BEGIN /* ; */ ATOMIC SELECT 1; COPY t FROM stdin;\n1; END;\n\\.\nSELECT 1;',
    "SELECT 'a''; COPY t FROM stdin;\n'; COPY t FROM stdin; -- x\n\\.x\n\\.\r\nSELECT E'\\'; COPY t FROM stdin;\n';",
    "SELECT U&'x; COPY t FROM stdin;\n', e'\\', 1; COPY t FROM /* x; */ stdin;\n'; 1\n\\",
  ])('agrees at every size of chunk on %j', (text) => {
    for (let size = 1; size <= 24; size++) expect(readCut(text, [size])).toEqual(readWhole(text));
  });

  it('takes time in proportion to the text: otherwise these would take minutes', () => {
    for (const unit of [
      "'",
      '/* ',
      '$a$ ',
      'COPY t FROM stdin;\n',
      'COPY t FROM stdin;\n\\.\n',
      '\\.',
      ' ',
      "E'\\",
      'begin ',
    ])
      cut(unit.repeat(200_000), [64 * 1024]);
    cut(`COPY t FROM stdin;\n${'\\.x'.repeat(300_000)}`, [64 * 1024]);
  });

  it('refuses more text than it was allowed', () => {
    const read = chunksOf(Buffer.from('SELECT 1;'.repeat(100)), [10]);
    expect(() =>
      cutCopyData(read, isMarker, 500, () => {
        throw new Error('too long');
      }),
    ).toThrow('too long');
  });
});

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

const piece = fc.oneof(
  fc.constantFrom(
    ...[
      ';',
      "'",
      '"',
      '$$',
      '$a$',
      '$ab',
      '/*',
      '*/',
      '--',
      '\n',
      '\r\n',
      '\\',
      '(',
      ')',
      ' ',
      "E'",
      "U&'",
      'x',
    ],
    ...['COPY t FROM stdin;\n', 'COPY t FROM stdin;', 'copy t (a) from /* x */ stdin with csv;\r\n'],
    ...[
      '\\.\n',
      '\\.\r\n',
      '\\.',
      '\\.x\n',
      'a\tb\\.\n',
      '\\N\n',
      '1;\n',
      '\ufeff',
      ':x',
      ":'x'",
      '::',
      '$(n)',
    ],
    ...[
      'create function f() begin atomic ',
      'begin ',
      'atomic ',
      'end',
      'case ',
      '교',
      '😀',
      '\\i x\n',
      '\\if y\n',
    ],
    ...['\n-- migrate:down\n', '\n  -- migrate:up', 'E', 'U', '&', '$', '-', '/', '*', ':', '='],
  ),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
);
