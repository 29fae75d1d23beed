/** SQL for a JSON list of `item`, in the order of `order`. `from` may refer to the table described as `c`. */
export function listOf(item: string, order: string, from: string): string {
  return `(SELECT coalesce(jsonb_agg(${item} ORDER BY ${order}), '[]') FROM ${from})`;
}

/** SQL for a JSON list of Grant, in an order of its own; none for an access list that is null. */
export function grantsOf(acl: string): string {
  return `(SELECT coalesce(jsonb_agg(g.item ORDER BY g.item::text), '[]') FROM (
    SELECT jsonb_build_object('grantee', CASE WHEN e.grantee <> 0 THEN pg_get_userbyid(e.grantee) END, 'grantable', e.is_grantable,
      'privileges', jsonb_agg(DISTINCT e.privilege_type)) AS item
    FROM aclexplode(${acl}) e GROUP BY e.grantee, e.is_grantable) g)`;
}
