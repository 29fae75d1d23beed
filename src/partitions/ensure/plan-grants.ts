import { quoteIdentifier } from '../../db/identifiers.ts';
import type { Grant, Leaf } from './leaf.ts';

/**
 * Statements after which a new table gives the rights that its sibling gives, and no others: default privileges would
 * open a way around the parent, its triggers and its row security.
 */
export function planGrants(
  table: string,
  { owner, grants, isOwnerCut, columnGrants }: Leaf,
  defaultGrantees: readonly (string | null)[],
): string[] {
  const others = defaultGrantees.filter((grantee) => grantee !== owner);
  const own = (grants ?? []).filter(({ grantee }) => grantee === owner);
  const wanted = [
    ...(grants ?? []).filter(({ grantee }) => grantee !== owner),
    ...(isOwnerCut ? own : []),
    ...columnGrants,
  ];
  const groups = new Map<string, Grant[]>();
  for (const right of wanted) {
    const key = JSON.stringify([right.grantee, right.grantable, right.column]);
    groups.set(key, [...(groups.get(key) ?? []), right]);
  }
  const revoked = [...others, ...(isOwnerCut ? [owner] : [])];
  return [
    ...(revoked.length > 0 ? [`REVOKE ALL ON TABLE ${table} FROM ${revoked.map(roleOf).join(', ')}`] : []),
    ...[...groups.values()].map((group) => grant(table, group)),
  ];
}

function grant(table: string, group: readonly Grant[]): string {
  const [{ grantee, grantable, column }] = group as readonly [Grant];
  const on = column === null ? '' : ` (${quoteIdentifier(column)})`;
  const rights = group.map(({ privilege }) => `${privilege}${on}`).join(', ');
  return `GRANT ${rights} ON TABLE ${table} TO ${roleOf(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`;
}

/** A role as SQL; null is everybody. */
export function roleOf(role: string | null): string {
  return role === null ? 'PUBLIC' : quoteIdentifier(role);
}
