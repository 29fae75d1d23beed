import { quoteIdentifier, quoteLiteral, quoteName, showName } from '../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import { boundCondition, elsewhere, joinRanges } from './bound-condition.ts';
import type { EnsureFacts } from './decide.ts';
import { withoutOurs, writeMarker } from './marker.ts';
import type { NewPartition } from './names.ts';
import { boundConstraint, planLeaf } from './plan-leaf.ts';
import { planRowSecurity } from './plan-row-security.ts';

/** Tables made in one transaction. Nobody sees them and nobody waits. */
const madeTogether = 24;

/** Partitions attached in one transaction, which holds locks that writers of referenced tables wait for. */
const attachedTogether = 8;

/** The name of the CHECK on the default partition that saves ATTACH a scan of it. */
export const elsewhereConstraint = 'eduschema_elsewhere';

/** Steps that make tables to be attached, each with a comment that says whose it is. */
export function planTables(facts: EnsureFacts, parts: readonly NewPartition[]): Step[] {
  return inGroups(parts, madeTogether).map((group) => ({
    title: `make ${countOf(group.length, 'table')} for ${showName(facts.table.name)}`,
    transaction: true,
    statements: group.flatMap((part) => planTable(facts, part)),
  }));
}

/** The statements that make one; `state` is what its comment says of it. */
export function planTable(
  { table, sibling, surroundings: { user, defaultGrantees, excludes } }: EnsureFacts,
  part: Pick<NewPartition, 'name' | 'from' | 'to'>,
  state: 'made' | 'copy' = 'made',
): PlannedStatement[] {
  const bound = boundCondition(table.column, part);
  return [
    ...planLeaf({ parent: table.name, name: part.name, bound, user, defaultGrantees, excludes }, sibling),
    {
      sql: `COMMENT ON TABLE ${quoteName(part.name)} IS ${quoteLiteral(writeMarker({ of: table.name, state }))}`,
      why: 'until it is attached, the comment says whose it is',
    },
  ];
}

/** Steps that attach tables for which no rows wait. `check`: a CHECK says so, and the default partition is not scanned. */
export function planQuiet(
  facts: EnsureFacts,
  parts: readonly NewPartition[],
  proof: 'empty' | 'scan' | 'check',
): Step[] {
  const groups = inGroups(parts, attachedTogether);
  const isProven = proof === 'check' && facts.fallback !== undefined && parts.length > 0;
  const attach = groups.map((group, index) => ({
    title: `attach ${countOf(group.length, 'partition')} to ${showName(facts.table.name)}`,
    transaction: true,
    statements: [
      ...planAttach(facts, group),
      ...(isProven && index === groups.length - 1 ? [dropElsewhere(facts)] : []),
    ],
  }));
  return isProven ? [...planElsewhere(facts, parts), ...attach] : attach;
}

/** The statements that attach tables, in a transaction that holds whatever locks it needs besides. */
export function planAttach(
  facts: EnsureFacts,
  parts: readonly Pick<NewPartition, 'name' | 'from' | 'to'>[],
): PlannedStatement[] {
  const { table, sibling, fallback } = facts;
  const comment = withoutOurs(sibling?.comment ?? null);
  const security = parts.flatMap(({ name }) => (sibling ? planRowSecurity(quoteName(name), sibling) : []));
  return [
    ...security,
    ...parts.flatMap((part) => [
      {
        sql: `ALTER TABLE ${quoteName(table.name)} ATTACH PARTITION ${quoteName(part.name)} FOR VALUES FROM (${quoteLiteral(part.from)}) TO (${quoteLiteral(part.to)})`,
        why: `attach ${part.name.name}`,
        locks: attachLocks(facts),
        ...(fallback ? { waitsFor: `whoever uses ${showName(fallback.name)}` } : {}),
      },
      {
        sql: `ALTER TABLE ${quoteName(part.name)} DROP CONSTRAINT ${boundConstraint}`,
        why: 'its bound says the same',
      },
      {
        sql: `COMMENT ON TABLE ${quoteName(part.name)} IS ${comment === null ? 'NULL' : quoteLiteral(comment)}`,
        why: 'it is attached',
      },
    ]),
  ];
}

function attachLocks({ table, fallback, surroundings }: EnsureFacts): string[] {
  return [
    `SHARE UPDATE EXCLUSIVE on ${showName(table.name)}`,
    ...(fallback ? [`ACCESS EXCLUSIVE on ${showName(fallback.name)}`] : []),
    ...new Set(
      surroundings.foreignKeys.map(({ references }) => `SHARE ROW EXCLUSIVE on ${unquoted(references)}`),
    ),
  ];
}

/** As a person reads it. */
const unquoted = (name: string) => name.replaceAll('"', '');

function planElsewhere(facts: EnsureFacts, parts: readonly NewPartition[]): Step[] {
  const name = (facts.fallback as NonNullable<EnsureFacts['fallback']>).name;
  const check = `ADD CONSTRAINT ${boundIdentifier} CHECK (${elsewhere(facts.table.column, joinRanges(parts))}) NOT VALID`;
  return [
    {
      title: `say that ${showName(name)} has no rows of these`,
      transaction: true,
      statements: [
        {
          sql: `ALTER TABLE ${quoteName(name)} ${check}`,
          why: 'a CHECK, so that ATTACH does not scan the default partition while everybody waits',
          locks: [`ACCESS EXCLUSIVE on ${showName(name)}`],
        },
      ],
    },
    {
      title: `validate that ${showName(name)} has no rows of these`,
      transaction: false,
      statements: [
        {
          sql: `ALTER TABLE ${quoteName(name)} VALIDATE CONSTRAINT ${boundIdentifier}`,
          why: 'scan it while others read and write',
          locks: [`SHARE UPDATE EXCLUSIVE on ${showName(name)}`],
        },
      ],
    },
  ];
}

const boundIdentifier = quoteIdentifier(elsewhereConstraint);

function dropElsewhere({ fallback }: EnsureFacts): PlannedStatement {
  const name = (fallback as NonNullable<EnsureFacts['fallback']>).name;
  return {
    sql: `ALTER TABLE ${quoteName(name)} DROP CONSTRAINT ${boundIdentifier}`,
    why: 'the bounds of the others say the same',
    locks: [`ACCESS EXCLUSIVE on ${showName(name)}`],
  };
}

/** `1 partition`, `3 partitions`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function inGroups<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, n) =>
    list.slice(n * size, (n + 1) * size),
  );
}
