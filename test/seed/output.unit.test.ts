import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKeyWriter, createListWriter } from '../../src/seed/keys.ts';
import {
  createOutput,
  type Output,
  writeBytes,
  writeDigits,
  writeHex,
  writeInteger,
  writeText,
} from '../../src/seed/output.ts';
import { createTimeWriter, writeDate } from '../../src/seed/output-time.ts';

/** What `write` writes, from a buffer that is too small. */
function written(write: (out: Output) => void): string {
  const out = createOutput(1);
  write(out);
  return out.bytes.toString('utf8', 0, out.at);
}

/** As https://www.postgresql.org/docs/current/sql-copy.html says. */
const escaped = (text: string) =>
  text.replace(
    /[\\\b\t\n\v\f\r]/g,
    (sign) => `\\${{ '\\': '\\', '\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r' }[sign]}`,
  );

describe('values for COPY', () => {
  it('has texts in UTF-8, with escapes where COPY wants them', () => {
    const character = fc.oneof(
      fc.integer({ min: 1, max: 127 }),
      fc.integer({ min: 128, max: 0xd7ff }),
      fc.integer({ min: 0xe000, max: 0x10ffff }),
    );
    fc.assert(
      fc.property(fc.array(character), (characters) => {
        const text = String.fromCodePoint(...characters);
        expect(written((out) => writeText(out, text))).toBe(escaped(text));
      }),
    );
    expect(written((out) => writeText(out, '교육\t자료 😀\\N'))).toBe('교육\\t자료 😀\\\\N');
  });

  it('refuses what PostgreSQL cannot store', () => {
    expect(() => written((out) => writeText(out, 'a\0'))).toThrow('zero byte');
    expect(() => written((out) => writeText(out, 'a\ud800'))).toThrow('half a character');
  });

  it('has whole numbers as they are', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(written((out) => writeInteger(out, value))).toBe(String(value));
      }),
    );
    for (const value of [0, 9, 10, 2 ** 31 - 1, 2 ** 31, -(2 ** 53 - 1)])
      expect(written((out) => writeInteger(out, value))).toBe(String(value));
    expect(written((out) => writeDigits(out, 7, 3))).toBe('007');
    expect(written((out) => writeHex(out, 0xbeef))).toBe('0000beef');
  });

  it('has times as PostgreSQL shows them under UTC', () => {
    const write = createTimeWriter();
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          const iso = date.toISOString();
          const fraction = iso.slice(19, 23).replace(/\.?0+$/, '');
          expect(written((out) => write(out, date.getTime()))).toBe(
            `${iso.slice(0, 10)} ${iso.slice(11, 19)}${fraction}+00`,
          );
          expect(written((out) => writeDate(out, Math.floor(date.getTime() / 86_400_000)))).toBe(
            iso.slice(0, 10),
          );
        },
      ),
    );
  });

  it('has bytes of any length', () => {
    for (const length of [0, 5, 100])
      expect(written((out) => writeBytes(out, Buffer.alloc(length, 65)))).toBe('A'.repeat(length));
  });
});

describe('keys', () => {
  it('go on in the range of a later run', () => {
    const write = createKeyWriter('t', [
      { firstRow: 0, rows: 3, firstKey: 11n },
      { firstRow: 3, rows: 0, firstKey: 14n },
      { firstRow: 3, rows: 2, firstKey: 100n },
    ]);
    const keys = [0, 4, 2, 3].map((row) => written((out) => write(out, row)));

    expect(keys).toEqual(['11', '101', '13', '100']);
    expect(() => written((out) => write(out, 5))).toThrow('refers to row 5 of t, which has 5 rows');
    expect(() => written((out) => write(out, -1))).toThrow('refers to row -1');
  });

  it('are exact beyond what a number of JavaScript holds', () => {
    const write = createKeyWriter('t', [{ firstRow: 0, rows: 3, firstKey: 9_223_372_036_854_775_800n }]);

    expect(written((out) => write(out, 2))).toBe('9223372036854775802');
  });

  it('of nothing are refused', () => {
    expect(() => createKeyWriter('t', [])(createOutput(1), 0)).toThrow('which has 0 rows');
    expect(() => createListWriter('l', [5n])(createOutput(1), 1)).toThrow('which has 1 entries');
  });
});
