import fc from 'fast-check';
import { loadModule, parseSync } from 'libpg-query';
import { beforeAll, describe, expect, it } from 'vitest';
import { groupStatements } from '../../src/sql/group.ts';
import { splitSql } from '../../src/sql/split.ts';

const statementsOf = (text: string) =>
  splitSql(text).statements.map(({ start, end }) => text.slice(start, end));

describe('splitSql', () => {
  it.each([
    ['a semicolon in a string', "SELECT ';'; SELECT 2", ["SELECT ';'", 'SELECT 2']],
    ['a doubled quote', "SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;'", 'SELECT 2']],
    ['a backslash in a standard string', "SELECT '\\'; SELECT 2", ["SELECT '\\'", 'SELECT 2']],
    ['a backslash in an escape string', "SELECT E'\\';'; SELECT 2", ["SELECT E'\\';'", 'SELECT 2']],
    [
      'an escape string that goes on in the next line',
      "SELECT E'a' -- b'\n \n'\\'; SELECT 1'; SELECT 2",
      ["SELECT E'a' -- b'\n \n'\\'; SELECT 1'", 'SELECT 2'],
    ],
    [
      'a string behind an escape string, in its line',
      "SELECT E'a' '\\'; SELECT 2",
      ["SELECT E'a' '\\'", 'SELECT 2'],
    ],
    ['an identifier that ends in e', "SELECT name'\\'; SELECT 2", ["SELECT name'\\'", 'SELECT 2']],
    ['a Unicode string', "SELECT U&'\\0041;'; SELECT 2", ["SELECT U&'\\0041;'", 'SELECT 2']],
    ['a quoted identifier', 'SELECT 1 AS "a;""b"; SELECT 2', ['SELECT 1 AS "a;""b"', 'SELECT 2']],
    ['a dollar quote', 'DO $$ BEGIN; END $$; SELECT 2', ['DO $$ BEGIN; END $$', 'SELECT 2']],
    ['a dollar quote with a tag', 'SELECT $a$ $$;$b$ $a$; SELECT 2', ['SELECT $a$ $$;$b$ $a$', 'SELECT 2']],
    ['a Hangul tag', 'SELECT $교육$;$교육$; SELECT 2', ['SELECT $교육$;$교육$', 'SELECT 2']],
    ['a dollar inside an identifier', 'SELECT a$b$; SELECT c$b$', ['SELECT a$b$', 'SELECT c$b$']],
    ['a parameter', 'PREPARE p AS SELECT $1; SELECT 2', ['PREPARE p AS SELECT $1', 'SELECT 2']],
    ['a nested comment', 'SELECT 1 /* a /* ; */ ; */; SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['a line comment', 'SELECT 1 -- ;\n, 2; SELECT 3', ['SELECT 1 -- ;\n, 2', 'SELECT 3']],
    [
      'a rule of several commands',
      'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3',
      ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)', 'SELECT 3'],
    ],
    [
      'a BEGIN ATOMIC body',
      'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3',
      [
        'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END',
        'SELECT 3',
      ],
    ],
    [
      'a function called begin',
      'CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; SELECT 2',
      ['CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'SELECT 2'],
    ],
    ['empty statements', ';;SELECT 1;;', ['SELECT 1']],
    ['a byte order mark', '\ufeffSELECT 1', ['SELECT 1']],
    ['nothing', ' -- only a comment\n', []],
  ])('understands %s', (_, text, expected) => {
    expect(statementsOf(text)).toEqual(expected);
  });

  it('takes the data behind COPY from its own lines', () => {
    const text = "COPY t (a) FROM stdin;\n1;'\n\\.\nSELECT 1;";
    const [copy, select] = splitSql(text).statements;

    expect(text.slice(copy?.start, copy?.end)).toBe('COPY t (a) FROM stdin');
    expect(text.slice(copy?.data?.start, copy?.data?.end)).toBe("1;'\n");
    expect(text.slice(select?.start, select?.end)).toBe('SELECT 1');
  });

  it('takes no data behind a COPY from elsewhere', () => {
    expect(
      statementsOf("COPY t FROM '/stdin'; SELECT 1; COPY (SELECT a FROM stdin) TO stdout; SELECT 2"),
    ).toHaveLength(4);
  });

  it('finds psql commands', () => {
    const text = '\\restrict abc\nSELECT 1;\n\\unrestrict abc\n';
    const { metaCommands, statements } = splitSql(text);

    expect(metaCommands.map(({ start, end }) => text.slice(start, end))).toEqual([
      '\\restrict abc',
      '\\unrestrict abc',
    ]);
    expect(statements).toHaveLength(1);
  });

  const piece = fc.oneof(
    fc.constantFrom(
      ';',
      "'",
      '"',
      '$$',
      '$a$',
      '/*',
      '*/',
      '--',
      '\n',
      '\\',
      '(',
      ')',
      ' ',
      "E'",
      "U&'",
      'COPY t FROM stdin;\n',
      '\\.\n',
      'begin atomic',
      'end',
      'case',
      ':',
      '::',
      ':x',
      ":'x'",
      ':=',
      '$(',
      '$(name)',
      '\\set x 1\n',
      '\\if true\n',
      '\\endif\n',
      '\\ir a.sql\n',
      '교',
      '😀',
    ),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  );

  it('loses nothing of any text: between the statements are white space, comments, semicolons and psql commands', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const text = pieces.join('');
        const { statements, metaCommands } = splitSql(text);
        let at = 0;
        for (const { start, end, data } of statements) {
          expect(start).toBeGreaterThanOrEqual(at);
          expect(end).toBeGreaterThan(start);
          at = data?.end ?? end;
        }
        const taken = [
          ...statements.map(({ start, end, data }) => [start, data?.end ?? end] as const),
          ...metaCommands
            .filter(({ start }) => !statements.some((s) => s.start < start && start < s.end))
            .map(({ start, end }) => [start, end] as const),
        ];
        let rest = text;
        for (const [start, end] of taken.sort((a, b) => b[0] - a[0]))
          rest = `${rest.slice(0, start)}\n${rest.slice(end)}`;
        const between = rest.replace(/^\ufeff/, '').replace(/\\\.\r?(\n|$)/g, '\n');
        expect(splitSql(between).statements).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it('finds colons and placeholders outside of quotes and comments alone', () => {
    const text =
      "SELECT :a, a::int, ':b', $$:c$$, \":d\", a[1:2], f(x := 1), :::e -- :f $(g)\n, $(h), '$(i)', x$(j);";
    const { colons, placeholders } = splitSql(text);

    expect(colons.map((at) => text.slice(at, at + 2))).toEqual([':a', ':2', ':e']);
    expect(placeholders.map((at) => text.slice(at, at + 4))).toEqual(['$(h)']);
  });

  it('takes time in proportion to the text: otherwise these would take minutes', () => {
    for (const unit of [
      '/* ',
      "'",
      '$a$ ',
      '-- x\n',
      '"',
      'COPY t FROM stdin;\n',
      '(',
      "E'\\",
      'a ',
      '$',
      'begin atomic ',
      ':',
      ':x ',
      '$(',
      '\\set x\n',
    ]) {
      splitSql(unit.repeat(500_000));
    }
  });
});

describe('splitSql and the parser of PostgreSQL', () => {
  beforeAll(async () => {
    await loadModule();
  });

  const value = fc.constantFrom(
    '1',
    "'a;b'",
    "E'\\';'",
    '$$;$$',
    '$x$ $$; $x$',
    '"a;" ',
    "U&'d\\0061;'",
    '(SELECT 1)',
    '1e5',
    "'it''s'",
    'CASE WHEN true THEN 1 END',
  );
  const space = fc.constantFrom(' ', '\n', ' /* ; */ ', ' -- ;\n', '\t');
  const statement = fc.oneof(
    fc.tuple(space, value).map(([s, v]) => `SELECT${s}${v.replace('"a;" ', '1')}`),
    fc.tuple(space, space, value).map(([a, b, v]) => `SELECT${a}1,${b}${v.replace('"a;" ', '2')}`),
    fc.constantFrom(
      'CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END',
      'CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END',
      'DO $do$ BEGIN PERFORM 1; END $do$',
      'CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)',
      'CREATE TABLE t (a int DEFAULT 1, "b;" text)',
      'PREPARE p AS SELECT $1::int',
      "COMMENT ON TABLE t IS 'a;b'",
    ),
  );

  it('agree on where statements begin and end', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(space, statement, space), { minLength: 1, maxLength: 8 }), (parts) => {
        const text = parts.map(([before, sql, after]) => `${before}${sql}${after};`).join('');
        const bytes = Buffer.from(text);
        const { stmts } = parseSync(text) as { stmts: { stmt_location?: number; stmt_len?: number }[] };
        const theirs = stmts.map(({ stmt_location = 0, stmt_len }) =>
          bytes
            .subarray(stmt_location, stmt_len === undefined ? undefined : stmt_location + stmt_len)
            .toString(),
        );

        const ours = statementsOf(text);

        expect(ours).toHaveLength(theirs.length);
        for (const [index, own] of ours.entries())
          expect(theirs[index]?.trim().startsWith(own.trim())).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('groupStatements', () => {
  it('puts many small statements into few messages, which together are all of them', () => {
    const text = Array.from({ length: 1050 }, (_, i) => `SELECT ${i};`).join('\n');
    const { statements } = splitSql(text);
    const groups = groupStatements(text, statements);

    expect(groups).toHaveLength(11);
    expect(groups.flatMap(({ from, to }) => statements.slice(from, to))).toEqual(statements);
  });

  it('lets COPY, and what lies around psql commands, stand alone', () => {
    const text = 'SELECT 1;\nCOPY t FROM stdin;\n1\n\\.\nSELECT 2;\n\\unrestrict x\nSELECT 3; SELECT 4;';
    const groups = groupStatements(text, splitSql(text).statements);

    expect(groups.map(({ start, end }) => text.slice(start, end))).toEqual([
      'SELECT 1',
      'COPY t FROM stdin',
      'SELECT 2',
      'SELECT 3; SELECT 4',
    ]);
  });
});
