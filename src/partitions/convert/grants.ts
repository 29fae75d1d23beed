import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Grant, OwnedSequence, TableDescription } from './table-description.ts';

/** Gives `target` the rights on the table as described, whatever default privileges gave it. */
export function grantTable(
  target: QualifiedName,
  { owner, grants, hasPlainRights, defaultGrantees, columns }: TableDescription,
): string[] {
  const on = `TABLE ${quoteName(target)}`;
  const whole =
    hasPlainRights && defaultGrantees.length === 0 ? [] : replaceGrants(on, owner, grants, defaultGrantees);
  const single = columns.flatMap((column) =>
    column.grants.map((grant) => giveGrant(on, grant, ` (${quoteIdentifier(column.name)})`)),
  );
  return [...whole, ...single];
}

/** Gives the sequence `target` the rights on the sequence as described. */
export function grantSequence(
  target: QualifiedName,
  { owner, grants, hasPlainRights }: OwnedSequence,
  { defaultGrantees }: TableDescription,
): string[] {
  if (hasPlainRights && defaultGrantees.length === 0) return [];
  return replaceGrants(`SEQUENCE ${quoteName(target)}`, owner, grants, defaultGrantees);
}

/** Takes from `target` what default privileges gave: rights are those of the partitioned table. */
export function revokeDefaults(target: QualifiedName, { defaultGrantees }: TableDescription): string[] {
  if (defaultGrantees.length === 0) return [];
  return [`REVOKE ALL ON TABLE ${quoteName(target)} FROM ${defaultGrantees.map(roleOf).join(', ')}`];
}

/** Takes from `target` every right on the table, and on its columns, that the description names. */
export function revokeAll(target: QualifiedName, { grants, columns }: TableDescription): string[] {
  const on = `TABLE ${quoteName(target)}`;
  const from = (given: readonly Grant[]) =>
    [...new Set(given.map(({ grantee }) => grantee))].map(roleOf).join(', ');
  return [
    ...(grants.length > 0 ? [`REVOKE ALL ON ${on} FROM ${from(grants)}`] : []),
    ...columns
      .filter((column) => column.grants.length > 0)
      .map((column) => `REVOKE ALL (${quoteIdentifier(column.name)}) ON ${on} FROM ${from(column.grants)}`),
  ];
}

function replaceGrants(
  on: string,
  owner: string,
  grants: readonly Grant[],
  defaultGrantees: readonly (string | null)[],
): string[] {
  const from = [...new Set([null, owner, ...defaultGrantees])].map(roleOf).join(', ');
  return [`REVOKE ALL ON ${on} FROM ${from}`, ...grants.map((grant) => giveGrant(on, grant))];
}

function giveGrant(on: string, { grantee, privileges, grantable }: Grant, columns = ''): string {
  const rights = privileges.map((privilege) => `${privilege}${columns}`).join(', ');
  return `GRANT ${rights} ON ${on} TO ${roleOf(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`;
}

const roleOf = (name: string | null) => (name === null ? 'PUBLIC' : quoteIdentifier(name));
