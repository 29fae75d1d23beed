/** SQL for the name of the role with this OID. */
export const userOf = (oid: string) => `pg_get_userbyid(${oid})`;

/** SQL: whether an object belongs to an extension, whose version stands for it, or was made with a type. */
export const isMember = (catalogue: string, oid: string) =>
  `EXISTS (SELECT FROM member WHERE member.classid = '${catalogue}'::regclass AND member.objid = ${oid})`;

/** SQL for an access list as text that does not depend on the order in which rights were granted. */
export const accessList = (list: string) => `
  array_to_string(ARRAY(
    SELECT format('%s=%s%s/%s', CASE grantee WHEN 0 THEN '' ELSE quote_ident(${userOf('grantee')}) END, privilege_type,
                  CASE WHEN is_grantable THEN '*' END, ${userOf('grantor')}) COLLATE "C"
    FROM aclexplode(${list}) ORDER BY 1), ' ')`;

/**
 * A query for the rights on objects of a kind, for those where they are not what the owner's default is. `code` is
 * that of acldefault.
 */
export const accessFacts = (of: {
  readonly word: string;
  readonly name: string;
  readonly list: string;
  readonly owner: string;
  readonly code: string;
  readonly from: string;
}) => `
  SELECT 'privileges on ${of.word}', ${of.name}, ${accessList(of.list)}
  FROM ${of.from}${/\bWHERE\b/.test(of.from) ? ' AND' : ' WHERE'} ${of.list} IS NOT NULL
    AND ${accessList(of.list)} <> ${accessList(`acldefault('${of.code}', ${of.owner})`)}`;
