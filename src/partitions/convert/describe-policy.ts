/** SQL for the fields of a PolicyDescription, of a row `p` of pg_policy. */
export const policyFields = `'name', p.polname, 'permissive', p.polpermissive, 'command', p.polcmd,
  'roles', (SELECT coalesce(jsonb_agg(pg_get_userbyid(r) ORDER BY 1), '[]') FROM unnest(p.polroles) r WHERE r <> 0),
  'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid),
  'comment', obj_description(p.oid, 'pg_policy')`;
