import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EduschemaError } from '../../src/errors.ts';
import { expandSql, type SourceFile } from '../../src/migrations/expand.ts';
import { locate } from '../../src/sql/source-map.ts';
import { splitSql } from '../../src/sql/split.ts';

const fileOf = (path: string, text: string): SourceFile => ({
  path,
  file: path,
  text,
  gaps: [],
  checksum: '',
});

function expand(text: string, included: Record<string, string> = {}) {
  return expandSql(fileOf('/m/1_x.sql', text), {
    root: { path: '/m', shown: 'm' },
    placeholders: { name: "it's" },
    load: (path) => fileOf(path, included[path.slice(3)] ?? ''),
    longest: 1e6,
  });
}

const piece = fc.oneof(
  fc.constantFrom(
    ...[
      ';',
      "'",
      '"',
      '$$',
      '/*',
      '*/',
      '--',
      '\n',
      '\\',
      '(',
      ')',
      ' ',
      "E'",
      '교',
      '😀',
      'SELECT 1;\n',
      'a[1:2]',
    ],
    ...[
      'COPY t FROM stdin;\n',
      '\\.\n',
      ':x',
      ":'x'",
      ':"x"',
      ':{?x}',
      '::',
      ':=',
      '$(name)',
      '$("name")',
      '$(',
    ],
    ...[
      '\\set x 1\n',
      "\\set x 'a:b'\n",
      '\\set y :x\n',
      '\\unset x\n',
      '\\if true\n',
      '\\if :x\n',
      '\\else\n',
    ],
    ...[
      '\\endif\n',
      '\\elif off\n',
      '\\echo hi\n',
      '\\ir a.sql\n',
      '\\i b.sql\n',
      '\n-- migrate:up\n',
      '\\connect x\n',
    ],
  ),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
);

const texts = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

describe('expandSql', () => {
  it('of any text ends, with an error of ours or with text whose every stretch is where the map says', () => {
    let expanded = 0;
    fc.assert(
      fc.property(texts, texts, (text, included) => {
        const files = { 'a.sql': included, 'b.sql': 'SELECT 2' };
        let result: ReturnType<typeof expand>;
        try {
          result = expand(text, files);
        } catch (error) {
          expect(error).toBeInstanceOf(EduschemaError);
          expect((error as Error).message).toMatch(/ at line \d+ of (\/m\/1_x|m\/[ab]|\/m\/[ab])\.sql/);
          return;
        }
        expanded++;
        for (const [index, { at, source, from, stands }] of result.map.entries()) {
          const end = result.map[index + 1]?.at ?? result.text.length;
          const stretch = result.text.slice(at, end);
          if (!stands) expect(source.text.slice(from, from + stretch.length)).toBe(stretch);
          expect(locate(result.map, at)).toEqual({ source, at: from });
        }
      }),
      { numRuns: 3000 },
    );
    expect(expanded).toBeGreaterThan(300);
  });

  it('leaves no command behind that it understood', () => {
    fc.assert(
      fc.property(texts, (text) => {
        let result: string;
        try {
          result = expand(text).text;
        } catch {
          return;
        }
        const left = splitSql(result).metaCommands.map(({ start, end }) => result.slice(start, end));
        expect(left.filter((command) => /^\\(set|if|endif|else|ir?|echo)\b/.test(command))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it('of a text without commands and placeholders is the text', () => {
    const text = "SELECT a[1:n], b::int, ':x' FROM t; -- :x\nCOPY t FROM stdin;\n:x\n\\.\nSELECT 2;";
    expect(expand(text).text).toBe(text);
  });

  it('refuses what doubles with every step', () => {
    const doubling = Array.from({ length: 40 }, (_, n) => `\\set v${n + 1} ':v${n} :v${n}'\n`).join('');
    expect(() => expand(`\\set v0 x\n${doubling}SELECT :v40;`)).toThrow(EduschemaError);
    const files = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`${n}.sql`, `\\ir ${n + 1}.sql\n\\ir ${n + 1}.sql\n`]),
    );
    expect(() => expand('\\ir 0.sql\n', files)).toThrow(/inclusion/);
  });
});
