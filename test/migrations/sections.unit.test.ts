import { describe, expect, it } from 'vitest';
import { parseSections } from '../../src/migrations/sections.ts';
import { findPlace } from '../../src/sql/excerpt.ts';

const parse = (text: string) => {
  const { up, down, requires } = parseSections(text, (at) => ({
    file: 'f.sql',
    line: findPlace(text, at).line,
  }));
  const texts = (section: typeof up | undefined) =>
    section?.statements.map(({ start, end }) => text.slice(start, end));
  return { up: texts(up), down: texts(down), transaction: up.transaction, requires };
};

describe('parseSections', () => {
  it('takes a file without markers as all up', () => {
    expect(parse('SELECT 1;')).toEqual({
      up: ['SELECT 1'],
      down: undefined,
      transaction: true,
      requires: undefined,
    });
  });

  it('reads both sections and their options', () => {
    expect(parse('-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 2;')).toEqual({
      up: ['SELECT 1'],
      down: ['SELECT 2'],
      transaction: false,
      requires: undefined,
    });
    expect(parse('\ufeff--migrate:up requires:1.2.0\r\nSELECT 1;\r\n').requires).toBe('1.2.0');
  });

  it('ends a statement at a marker, semicolon or not', () => {
    expect(parse('-- migrate:up\nSELECT 1\n-- migrate:down\nSELECT 2')).toMatchObject({
      up: ['SELECT 1'],
      down: ['SELECT 2'],
    });
  });

  it('takes a marker for text inside a string, a function, a comment, and COPY data', () => {
    const inside = [
      "SELECT '\n-- migrate:down\n'",
      'DO $$\n-- migrate:down\nBEGIN END $$',
      'SELECT 1 /*\n-- migrate:down\n*/, 2',
    ];
    const text = `-- migrate:up\n${inside.join(';\n')};\nCOPY t FROM stdin;\n-- migrate:down\n\\.\n`;

    expect(parse(text)).toMatchObject({ up: [...inside, 'COPY t FROM stdin'], down: undefined });
  });

  it('takes a down section without a statement for none', () => {
    expect(parse('-- migrate:up\nSELECT 1;\n-- migrate:down\n-- nothing\n').down).toBeUndefined();
  });

  it.each([
    ['-- migrate:down\nSELECT 1;', '"migrate:down" before "migrate:up" at line 1 of f.sql'],
    ['SELECT 1;\n-- migrate:up\nSELECT 2;', 'a statement before "migrate:up" at line 1 of f.sql'],
    ['-- migrate:up\n-- migrate:up\n', 'a second "migrate:up" at line 2 of f.sql'],
    ['-- migrate:up\n-- migrate:down\n-- migrate:down\n', 'a third marker "migrate:down" at line 3 of f.sql'],
    ['-- migrate:dwon\nSELECT 1;', '"migrate:dwon" is not known at line 1 of f.sql'],
    ['-- migrate:up transaktion:false\n', '"transaktion:false" is not known at line 1 of f.sql'],
    [
      '-- migrate:up\n-- migrate:down placeholders:true\n',
      'placeholders: behind "migrate:down" at line 2 of f.sql',
    ],
    [
      'SELECT 1;\nSET standard_conforming_strings = off;',
      'standard_conforming_strings is changed at line 2 of f.sql',
    ],
    [
      "SET LOCAL standard_conforming_strings TO 'off'",
      'standard_conforming_strings is changed at line 1 of f.sql',
    ],
    [
      "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false)",
      'standard_conforming_strings is changed at line 1 of f.sql',
    ],
  ])('refuses %j', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it('takes another client_encoding where every character is ASCII, and UTF-8 everywhere', () => {
    expect(parse('SET client_encoding = latin1;').up).toHaveLength(1);
    expect(parse("SET client_encoding = 'UTF8';\nSET NAMES 'utf-8';\nSELECT '교육';").up).toHaveLength(3);
  });

  it('skips the \\restrict of pg_dump', () => {
    expect(parse('\\restrict abc\nSELECT 1;\n\\unrestrict abc\n').up).toEqual(['SELECT 1']);
  });
});
