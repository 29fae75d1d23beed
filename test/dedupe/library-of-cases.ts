import fc from 'fast-check';

/** A table that refers to the root, or to another child, in one of the ways that tables do. */
export interface Child {
  /** The number of the child that it refers to; -1 for the root. */
  readonly parent: number;
  readonly onDelete: 'CASCADE' | 'RESTRICT' | 'NO ACTION' | 'SET NULL';
  readonly kind:
    | 'plain'
    | 'keyless'
    | 'tagged'
    | 'unique'
    | 'one-to-one'
    | 'partial'
    | 'partitioned'
    | 'deferred'
    | 'by-code'
    | 'twice';
  /** What each row refers to, and its other value. */
  readonly rows: readonly (readonly [number, number])[];
}

/** A schema with its rows. */
export interface Case {
  readonly key: 'int' | 'text' | 'pair';
  /** Name, counter, parent. */
  readonly rows: readonly {
    readonly name: string | null;
    readonly hits: number | null;
    readonly parent: number;
  }[];
  readonly self: 'none' | 'plain' | 'unique';
  readonly children: readonly Child[];
  readonly keep: string;
  readonly fill: boolean;
  readonly match: string;
  readonly batchRows: number;
}

const names = ['a', 'A', 'a ', 'ａ', '가', '가'.normalize('NFD'), 'b', null];

const child = (number: number): fc.Arbitrary<Child> =>
  fc.record({
    parent: fc
      .integer({ min: -1, max: Math.max(-1, number - 1) })
      .map((parent) => (parent < number ? parent : -1)),
    onDelete: fc.constantFrom('CASCADE', 'RESTRICT', 'NO ACTION', 'SET NULL'),
    kind: fc.constantFrom(
      'plain',
      'keyless',
      'tagged',
      'unique',
      'one-to-one',
      'partial',
      'partitioned',
      'deferred',
      'by-code',
      'twice',
    ),
    rows: fc.array(fc.tuple(fc.nat(40), fc.nat(3)), { maxLength: 12 }),
  });

/** Any of them. */
export const anyCase: fc.Arbitrary<Case> = fc.record({
  key: fc.constantFrom('int', 'text', 'pair'),
  rows: fc.array(
    fc.record({
      name: fc.constantFrom(...names),
      hits: fc.option(fc.nat(9)),
      parent: fc.integer({ min: -20, max: 20 }),
    }),
    { minLength: 2, maxLength: 14 },
  ),
  self: fc.constantFrom('none', 'none', 'plain', 'unique'),
  children: fc
    .integer({ min: 0, max: 4 })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, n) => child(n)))),
  keep: fc.constantFrom('oldest', 'newest', 'most-referenced', 'hits DESC'),
  fill: fc.boolean(),
  match: fc.constantFrom('exact', 'normalized', 'nfc,space'),
  batchRows: fc.constantFrom(1, 2, 5, 100),
});

const keyOf = ({ key }: Case, n: number): string =>
  key === 'int' ? `${n}` : key === 'text' ? `'k${n}'` : `${n}, ${n % 3}`;

const literal = (text: string | null) => (text === null ? 'NULL' : `'${text}'`);

/** SQL that makes it in the schema of the search path, and the tables. */
export function render(one: Case): { readonly sql: string; readonly tables: string[] } {
  const { key, rows, self, children } = one;
  const type = key === 'text' ? 'text' : 'int';
  const pair = key === 'pair';
  const lines = [
    `CREATE TABLE root (id ${type} NOT NULL, ${pair ? 'id2 int NOT NULL, ' : ''}name text, hits int, note text, code text UNIQUE, parent ${type}${pair ? ', parent2 int' : ''}, PRIMARY KEY (id${pair ? ', id2' : ''}))`,
    ...rows.map(
      ({ name, hits }, n) =>
        `INSERT INTO root VALUES (${keyOf(one, n)}, ${literal(name)}, ${hits ?? 'NULL'}, ${n % 2 === 0 ? 'NULL' : `'note ${n}'`}, 'c${n}', NULL)`,
    ),
  ];
  if (self !== 'none') {
    lines.push(`ALTER TABLE root ADD FOREIGN KEY (parent${pair ? ', parent2' : ''}) REFERENCES root`);
    for (const [n, { parent }] of rows.entries())
      if (parent >= 0 && parent < rows.length)
        lines.push(
          `UPDATE root SET (parent${pair ? ', parent2' : ''}) = ROW(${keyOf(one, parent)}) WHERE code = 'c${n}'`,
        );
    if (self === 'unique') lines.push(`CREATE UNIQUE INDEX ON root (parent, note) WHERE note IS NOT NULL`);
  }
  for (const [n, one_] of children.entries()) lines.push(...renderChild(one, n, one_));
  return { sql: lines.join(';\n'), tables: ['root', ...children.map((_, n) => `c${n}`)] };
}

function renderChild(one: Case, n: number, { parent, onDelete, kind, rows }: Child): string[] {
  const table = `c${n}`;
  const target = parent < 0 ? undefined : one.children[parent];
  const ofChild = target !== undefined && !['keyless', 'tagged', 'partitioned'].includes(target.kind);
  const byCode = kind === 'by-code' && !ofChild;
  const pair = one.key === 'pair' && !ofChild && !byCode;
  const type = ofChild ? 'int' : byCode || one.key === 'text' ? 'text' : 'int';
  const refs = pair ? 'ref, ref2' : 'ref';
  const columns = `ref ${type}${pair ? ', ref2 int' : ''}`;
  const to = ofChild ? `c${parent} (id)` : byCode ? 'root (code)' : 'root';
  const foreign = `FOREIGN KEY (${refs}) REFERENCES ${to} ON DELETE ${kind === 'tagged' && onDelete === 'SET NULL' ? 'CASCADE' : onDelete}`;
  const also = kind === 'twice' && !pair;
  const twice = also ? `, other ${type}, FOREIGN KEY (other) REFERENCES ${to}` : '';
  const key =
    {
      keyless: '',
      tagged: `, PRIMARY KEY (${refs}, x)`,
      partitioned: ', PRIMARY KEY (id, x)',
    }[kind as 'keyless'] ?? ', PRIMARY KEY (id)';
  const unique =
    {
      unique: `, UNIQUE (${refs}, x)`,
      'one-to-one': `, UNIQUE (${refs})`,
      twice: also ? `, UNIQUE (ref, other)` : '',
    }[kind as 'unique'] ?? '';
  const lines = [
    `CREATE TABLE ${table} (id int, ${columns}, x int${twice}${key}${unique}, ${foreign}${kind === 'deferred' ? ' DEFERRABLE INITIALLY DEFERRED' : ''})${kind === 'partitioned' ? ' PARTITION BY LIST (x)' : ''}`,
  ];
  if (kind === 'partitioned')
    lines.push(
      `CREATE TABLE ${table}_0 PARTITION OF ${table} FOR VALUES IN (0)`,
      `CREATE TABLE ${table}_1 PARTITION OF ${table} DEFAULT`,
    );
  if (kind === 'partial') lines.push(`CREATE UNIQUE INDEX ON ${table} (${refs}, (x % 2)) WHERE x > 0`);
  const parents = ofChild ? target.rows.length : one.rows.length;
  for (const [i, [ref, x]] of rows.entries()) {
    if (parents === 0) continue;
    const place = (m: number) => m % parents;
    const value = (m: number) => (ofChild ? `${place(m)}` : byCode ? `'c${place(m)}'` : keyOf(one, place(m)));
    const nothing = kind !== 'tagged' && ref > 36;
    const refValue = nothing ? (pair ? 'NULL, NULL' : 'NULL') : value(ref);
    const guard =
      ofChild && !nothing ? ` WHERE EXISTS (SELECT FROM c${parent} WHERE id = ${place(ref)})` : '';
    lines.push(
      `INSERT INTO ${table} SELECT ${i}, ${refValue}, ${x}${also ? `, ${ofChild ? 'NULL' : value(ref + x)}` : ''}${guard} ON CONFLICT DO NOTHING`,
    );
  }
  return lines;
}
