import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { Column, ForeignKey, TableFacts } from '../archive/table-facts.ts';
import { type Restored, writeMark } from '../retain/marker.ts';
import { frozenConstraint } from '../retain/queries.ts';
import type { Ends } from './situation.ts';

/** Name of the constraint that spares ATTACH the look at each row. */
export const boundConstraint = 'eduschema_bound';

/** What a table is attached by. */
export interface JoinFacts {
  readonly name: QualifiedName;
  readonly parent: QualifiedName;
  readonly column: string;
  readonly ends: Ends;
  readonly default: QualifiedName | null;
  /** Foreign keys of the parent, and those that the table has already, by name. */
  readonly foreignKeys: readonly ForeignKey[];
  readonly present: readonly string[];
  /** Columns that COPY writes, of the parent. */
  readonly columns: readonly string[];
  /** What people wrote in the comment, and the mark that is to stand in it. */
  readonly text: string;
  readonly restored: Restored;
}

const shown = ({ schema, name }: QualifiedName) => `${schema}.${name}`;

/** The condition that rows between the ends meet, as PostgreSQL itself writes that of a partition. */
export function boundCondition(column: string, { from, to }: Ends): string {
  const key = quoteIdentifier(column);
  return [
    `${key} IS NOT NULL`,
    ...(from === null ? [] : [`${key} >= ${quoteLiteral(from)}`]),
    ...(to === null ? [] : [`${key} < ${quoteLiteral(to)}`]),
  ].join(' AND ');
}

/** Statements that make a retired table fit to be attached again: it takes rows, and has the columns that came since. */
export function renderThaw(name: QualifiedName, missing: readonly Column[]): string[] {
  const table = quoteName(name);
  const columns = missing.map(({ name: column, type, collation, default: value, generated, notNull }) =>
    [
      `ADD COLUMN ${quoteIdentifier(column)} ${type}`,
      collation && `COLLATE ${collation}`,
      generated ? `GENERATED ALWAYS AS (${value}) ${generated.toUpperCase()}` : value && `DEFAULT ${value}`,
      notNull && 'NOT NULL',
    ]
      .filter(Boolean)
      .join(' '),
  );
  return [`ALTER TABLE ${table} ${[`DROP CONSTRAINT IF EXISTS ${frozenConstraint}`, ...columns].join(', ')}`];
}

/** Attaches a table that has its rows, keys and the constraint of its bounds: no row is looked at again. */
export function planJoin(facts: JoinFacts): Step[] {
  const { name, parent, ends, column } = facts;
  const [table, whole] = [quoteName(name), quoteName(parent)];
  const keys = facts.foreignKeys.flatMap((key): Step[] => {
    const validate = {
      title: `check the foreign key ${key.name} of ${shown(name)}`,
      transaction: true,
      statements: [
        {
          sql: `ALTER TABLE ${table} VALIDATE CONSTRAINT ${quoteIdentifier(key.name)}`,
          why: 'reads both tables while others write',
          locks: [`SHARE UPDATE EXCLUSIVE on ${shown(name)}`, `ROW SHARE on ${shown(key.references)}`],
        },
      ],
    };
    if (facts.present.includes(key.name)) return [validate];
    const add = {
      title: `add the foreign key ${key.name} to ${shown(name)}`,
      transaction: true,
      statements: [
        {
          sql: `ALTER TABLE ${table} ADD CONSTRAINT ${quoteIdentifier(key.name)} ${key.definition} NOT VALID`,
          why: 'ATTACH takes it for its own, instead of checking each row under its locks',
          locks: [`SHARE ROW EXCLUSIVE on ${shown(name)}`, `SHARE ROW EXCLUSIVE on ${shown(key.references)}`],
        },
      ],
    };
    return [add, validate];
  });
  const comment = writeMark(facts.text, { restored: facts.restored }) as string;
  const attach: Step = {
    title: `attach ${shown(name)} to ${shown(parent)}`,
    transaction: true,
    statements: [
      ...moveLate(facts),
      {
        sql: `ALTER TABLE ${whole} ATTACH PARTITION ${table} ${boundOf(ends)}`,
        why: 'its bounds are proven by a constraint, so its rows are not read',
        locks: [
          `SHARE UPDATE EXCLUSIVE on ${shown(parent)}`,
          `ACCESS EXCLUSIVE on ${shown(name)}`,
          ...(facts.default ? [`ACCESS EXCLUSIVE on ${shown(facts.default)}, which is read`] : []),
          ...facts.foreignKeys.map(({ references }) => `SHARE ROW EXCLUSIVE on ${shown(references)}`),
        ],
      },
      {
        sql: `ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${boundConstraint}`,
        why: 'it has done its work',
      },
      {
        sql: `COMMENT ON TABLE ${table} IS ${quoteLiteral(comment)}`,
        why: `so that retain leaves it, as ${column} is old`,
      },
    ],
  };
  return [...keys, attach];
}

/** `FOR VALUES FROM (...) TO (...)`. */
function boundOf({ from, to }: Ends): string {
  const lower = from === null ? 'MINVALUE' : quoteLiteral(from);
  const upper = to === null ? 'MAXVALUE' : quoteLiteral(to);
  return `FOR VALUES FROM (${lower}) TO (${upper})`;
}

/** Rows that came for the range while it had no partition wait in the default one, and would forbid the attaching. */
function moveLate({ name, default: waiting, column, ends, columns }: JoinFacts): Step['statements'] {
  if (!waiting) return [];
  const list = columns.map(quoteIdentifier).join(', ');
  return [
    {
      sql: `LOCK TABLE ${quoteName(waiting)} IN SHARE ROW EXCLUSIVE MODE`,
      why: 'no more rows come for the range',
      locks: [`SHARE ROW EXCLUSIVE on ${shown(waiting)}`],
    },
    {
      sql: `WITH late AS (DELETE FROM ${quoteName(waiting)} WHERE ${boundCondition(column, ends)} RETURNING ${list})
INSERT INTO ${quoteName(name)} (${list}) SELECT ${list} FROM late`,
      why: 'rows that came late for the range; the triggers that count them are not asked again',
    },
  ];
}

/** The table for the rows of an archive: like the parent as it is now, and nothing that checks or counts. */
export function renderEmpty(name: QualifiedName, parent: QualifiedName): string {
  const including = ['DEFAULTS', 'CONSTRAINTS', 'GENERATED', 'STORAGE', 'COMPRESSION', 'STATISTICS'];
  return `CREATE TABLE ${quoteName(name)} (LIKE ${quoteName(parent)} ${including.map((what) => `INCLUDING ${what}`).join(' ')})`;
}

/** Why the rows of an archive do not fit into a table of these columns; undefined when they do. */
export function misfitOf(archived: TableFacts, now: TableFacts): string | undefined {
  const gone = archived.columns.find(
    ({ name, generated }) => generated === null && !now.columns.some((column) => column.name === name),
  );
  if (gone) return `it has no column ${gone.name} any more`;
  const computed = now.columns.find(
    ({ name, generated }) =>
      generated !== null &&
      archived.columns.some((column) => column.name === name && column.generated === null),
  );
  if (computed) return `its column ${computed.name} is computed now`;
  const demanded = now.columns.find(
    ({ name, notNull, default: value }) =>
      notNull && value === null && !archived.columns.some((column) => column.name === name),
  );
  if (demanded) return `its column ${demanded.name} came since, takes no NULL and has no default`;
  return undefined;
}
