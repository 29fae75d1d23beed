import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hideLiterals } from '../../src/sql/hide-literals.ts';

describe('a statement shown without its literals', () => {
  it.each([
    ["UPDATE t SET a = 'secret', b = 42 WHERE c = -1.5e-7", 'UPDATE t SET a = ?, b = ? WHERE c = -?'],
    ["SELECT 'it''s', E'a\\'b', U&'\\0041', B'101', N'x'", 'SELECT ?, ?, ?, ?, ?'],
    ["SELECT $1, $23, $$body$$, $q$ it's $$ $q$", 'SELECT $1, $23, ?, ?'],
    ['SELECT "col 1", t2.x3 FROM "it\'s 4"', 'SELECT "col 1", t2.x3 FROM "it\'s 4"'],
    ['SELECT .5, 1., 0x1F, 1_000, a[3], x::numeric(10,2)', 'SELECT ?, ?, ?, ?, a[?], x::numeric(?,?)'],
    ["SELECT a -- of 'anna' 77\nFROM t /* 5 /* 6 */ 7 */ LIMIT 8", 'SELECT a  FROM t   LIMIT ?'],
    ["COPY t FROM STDIN (DELIMITER '|')", 'COPY t FROM STDIN (DELIMITER ?)'],
  ])('%s', (statement, shown) => {
    expect(hideLiterals(statement).replace(/ +/g, ' ')).toBe(shown.replace(/ +/g, ' '));
  });

  it.each(["SELECT 'cut off her", 'SELECT $$cut off her', "SELECT E'cut \\", 'SELECT $tag$ her'])(
    'hides what was cut off within a literal: %s',
    (statement) => {
      expect(hideLiterals(statement)).toBe('SELECT ?');
    },
  );

  it('leaves the rest out where a backslash makes the end of a string doubtful', () => {
    expect(hideLiterals("SELECT 'it\\'s secret 42', 'more'")).toBe('SELECT ? …');
  });

  it('never shows a literal, wherever the text is cut', () => {
    const literal = fc.oneof(
      fc.string().map((text) => `'${text.replaceAll("'", "''").replaceAll('\\', '')}SECRET'`),
      fc.string().map((text) => `E'${text.replace(/['\\]/g, '\\$&')}SECRET'`),
      fc.string().map((text) => `$q$${text.replaceAll('$', '')}SECRET$q$`),
      fc.nat().map((value) => `${value}`),
    );
    fc.assert(
      fc.property(
        fc.array(literal, { minLength: 1, maxLength: 5 }),
        fc.nat({ max: 200 }),
        (literals, cut) => {
          const shown = hideLiterals(`SELECT ${literals.join(', ')}`.slice(0, 7 + cut));

          expect(shown).not.toMatch(/SECRE|\d/);
        },
      ),
    );
  });
});
