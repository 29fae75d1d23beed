import { quoteIdentifier } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import type { Leaf, RowPolicy } from './leaf.ts';
import { roleOf } from './plan-grants.ts';

/** Statements that give a table the row security of its sibling. They come after its rows, which it might refuse. */
export function planRowSecurity(
  table: string,
  { name, rowSecurity, forceRowSecurity, policies }: Leaf,
): PlannedStatement[] {
  const changes = [
    ...(rowSecurity ? ['ENABLE ROW LEVEL SECURITY'] : []),
    ...(forceRowSecurity ? ['FORCE ROW LEVEL SECURITY'] : []),
  ];
  const statements = [
    ...policies.map((policy) => createPolicy(table, policy)),
    ...(changes.length > 0 ? [`ALTER TABLE ${table} ${changes.join(', ')}`] : []),
  ];
  return statements.map((sql) => ({ sql, why: `as ${name.name}` }));
}

function createPolicy(table: string, { name, permissive, command, roles, using, check }: RowPolicy): string {
  return [
    `CREATE POLICY ${quoteIdentifier(name)} ON ${table}`,
    `AS ${permissive ? 'PERMISSIVE' : 'RESTRICTIVE'} FOR ${command} TO ${roles.map(roleOf).join(', ')}`,
    ...(using === null ? [] : [`USING (${using})`]),
    ...(check === null ? [] : [`WITH CHECK (${check})`]),
  ].join(' ');
}
