import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import { columnList, commentOn, withOptions } from './statements.ts';
import type {
  PolicyDescription,
  PublicationDescription,
  RuleDescription,
  TableDescription,
  TriggerDescription,
} from './table-description.ts';

/** Takes off the table what can be on one table alone: triggers, rules, its place in publications. */
export function takeOff(table: TableDescription): string[] {
  const name = quoteName(table);
  return [
    ...table.triggers.map((trigger) => `DROP TRIGGER ${quoteIdentifier(trigger.name)} ON ${name}`),
    ...table.rules.map((rule) => `DROP RULE ${quoteIdentifier(rule.name)} ON ${name}`),
    ...table.publications
      .filter(({ listed }) => listed)
      .map((publication) => `ALTER PUBLICATION ${quoteIdentifier(publication.name)} DROP TABLE ${name}`),
  ];
}

/** Puts on whatever bears the table's name now what the table had as described, but policies. */
export function putOn(table: TableDescription): string[] {
  return [
    ...table.triggers.flatMap((trigger) => putTrigger(table, trigger)),
    ...table.rules.flatMap((rule) => putRule(table, rule)),
    ...table.publications.flatMap((publication) => putPublication(table, publication)),
  ];
}

const stateOf: Readonly<Record<string, string>> = {
  D: 'DISABLE',
  R: 'ENABLE REPLICA',
  A: 'ENABLE ALWAYS',
};

function putTrigger(
  table: QualifiedName,
  { name, definition, enabled, comment }: TriggerDescription,
): string[] {
  const state = stateOf[enabled];
  const own = quoteIdentifier(name);
  return [
    definition,
    ...(state ? [`ALTER TABLE ${quoteName(table)} ${state} TRIGGER ${own}`] : []),
    ...commentOn(`TRIGGER ${own} ON ${quoteName(table)}`, comment),
  ];
}

function putRule(table: QualifiedName, { name, definition, enabled, comment }: RuleDescription): string[] {
  const state = stateOf[enabled];
  const own = quoteIdentifier(name);
  return [
    withoutSemicolon(definition),
    ...(state ? [`ALTER TABLE ${quoteName(table)} ${state} RULE ${own}`] : []),
    ...commentOn(`RULE ${own} ON ${quoteName(table)}`, comment),
  ];
}

function putPublication(
  table: QualifiedName,
  { name, listed, columns, filter }: PublicationDescription,
): string[] {
  if (!listed) return [];
  const list = columns === null ? '' : ` ${columnList(columns)}`;
  const where = filter === null ? '' : ` WHERE (${filter})`;
  return [`ALTER PUBLICATION ${quoteIdentifier(name)} ADD TABLE ${quoteName(table)}${list}${where}`];
}

const commands: Readonly<Record<string, string>> = {
  r: 'SELECT',
  a: 'INSERT',
  w: 'UPDATE',
  d: 'DELETE',
  '*': 'ALL',
};

/** Creates a policy on whatever bears the name `table`. */
export function putPolicy(table: QualifiedName, policy: PolicyDescription): string[] {
  const { name, permissive, command, roles, comment } = policy;
  const own = quoteIdentifier(name);
  const kind = permissive ? '' : ' AS RESTRICTIVE';
  const to = roles.length === 0 ? 'PUBLIC' : roles.map(quoteIdentifier).join(', ');
  return [
    `CREATE POLICY ${own} ON ${quoteName(table)}${kind} FOR ${commands[command]} TO ${to}${conditionsOf(policy)}`,
    ...commentOn(`POLICY ${own} ON ${quoteName(table)}`, comment),
  ];
}

function conditionsOf({ using, check }: PolicyDescription): string {
  return `${using === null ? '' : ` USING (${using})`}${check === null ? '' : ` WITH CHECK (${check})`}`;
}

/** Whether policies are the same, whatever the order. */
export const samePolicies = (
  one: readonly PolicyDescription[],
  other: readonly PolicyDescription[],
): boolean => JSON.stringify(one) === JSON.stringify(other);

/**
 * Binds what was bound to the table as described to whatever bears its name now. Views and functions keep their oid,
 * rights and comments.
 */
export function rebind({ dependents }: TableDescription): string[] {
  return [
    ...dependents.views.map(
      ({ definition, options, ...view }) =>
        `CREATE OR REPLACE VIEW ${quoteName(view)}${withOptions(options)} AS ${withoutSemicolon(definition)}`,
    ),
    ...dependents.functions.map(({ definition }) => withoutSemicolon(definition)),
    ...dependents.policies.map(
      (policy) =>
        `ALTER POLICY ${quoteIdentifier(policy.name)} ON ${quoteName(policy.table)}${conditionsOf(policy)}`,
    ),
    ...dependents.rules.map(({ definition }) =>
      withoutSemicolon(definition).replace(/^CREATE RULE/, 'CREATE OR REPLACE RULE'),
    ),
  ];
}

/**
 * Locks the views that are to be replaced, before the table: whoever reads a view locks it first, and the table next.
 * LOCK TABLE would lock the tables of a view as well; giving the owner what he has locks the view alone.
 */
export const lockViews = ({ dependents }: TableDescription): string[] =>
  dependents.views.map((view) => `ALTER VIEW ${quoteName(view)} OWNER TO ${quoteIdentifier(view.owner)}`);

const withoutSemicolon = (text: string) => text.trim().replace(/;$/, '');
