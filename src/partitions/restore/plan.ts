import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import type { Column, ForeignKey, TableFacts } from '../archive/table-facts.ts';
import type { DefaultPartition } from '../ensure/default-partition.ts';
import { boundConstraint } from '../ensure/plan-leaf.ts';
import { takeOut } from '../ensure/plan-move.ts';
import { type Restored, writeMark } from '../retain/marker.ts';
import { frozenConstraint } from '../retain/queries.ts';
import type { Ends } from './situation.ts';

/** What a table is attached by. */
export interface JoinFacts {
  readonly name: QualifiedName;
  readonly parent: QualifiedName;
  readonly column: string;
  readonly ends: Ends;
  readonly late: LateFacts | null;
  /** Foreign keys of the parent, and those that the table has already, by name. */
  readonly foreignKeys: readonly ForeignKey[];
  readonly present: readonly string[];
  /** Columns that COPY writes, of the parent. */
  readonly columns: readonly string[];
  /** What people wrote in the comment, and the mark that is to stand in it. */
  readonly text: string;
  readonly restored: Restored;
}

/** The default partition, in which rows may have come late for the range, and who may refer to them. */
export interface LateFacts extends Pick<DefaultPartition, 'name' | 'deleteTriggers'> {
  readonly referencedBy: readonly string[];
  /** Whether the session may set session_replication_role, and whose it is. */
  readonly mayReplicate: boolean;
  readonly user: string;
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
          ...(facts.late ? [`ACCESS EXCLUSIVE on ${shown(facts.late.name)}, which is read`] : []),
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
function moveLate({ name, late, column, ends, columns }: JoinFacts): Step['statements'] {
  if (!late) return [];
  const list = columns.map(quoteIdentifier).join(', ');
  const waiting = quoteName(late.name);
  const where = boundCondition(column, ends);
  const move = {
    sql: `WITH late AS (DELETE FROM ${waiting} WHERE ${where} RETURNING ${list})
INSERT INTO ${quoteName(name)} (${list}) SELECT ${list} FROM late`,
    why: 'rows that came late for the range; the triggers that count them are not asked again',
  };
  const isBound = late.referencedBy.length > 0 && !late.mayReplicate;
  return [
    { sql: 'SET LOCAL row_security = off', why: 'better an error than rows that a policy hides' },
    { sql: 'SET CONSTRAINTS ALL IMMEDIATE', why: 'no table is altered while checks of its rows are pending' },
    {
      sql: `LOCK TABLE ${waiting} IN SHARE ROW EXCLUSIVE MODE`,
      why: 'no more rows come for the range',
      locks: [`SHARE ROW EXCLUSIVE on ${shown(late.name)}`],
    },
    ...(isBound ? [refuseLate(late, where)] : takeOut(late, late.referencedBy, move)),
  ];
}

/** A foreign key may delete rows elsewhere when these are moved, and who works may not keep it from that. */
function refuseLate({ name, referencedBy, user }: LateFacts, where: string): PlannedStatement {
  const problem = `rows that came late for the range are in ${shown(name)}; ${referencedBy.join(', ')} may refer to them, and they cannot be moved without setting session_replication_role`;
  const hint = `run it as a superuser, or from 15 on: GRANT SET ON PARAMETER session_replication_role TO ${user}`;
  return {
    sql: `DO $eduschema$ BEGIN IF EXISTS (SELECT FROM ${quoteName(name)} WHERE ${where}) THEN
  RAISE EXCEPTION '%', ${quoteLiteral(problem)} USING ERRCODE = '42501', HINT = ${quoteLiteral(hint)}; END IF; END $eduschema$`,
    why: 'rows that came late for the range cannot be moved',
  };
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
