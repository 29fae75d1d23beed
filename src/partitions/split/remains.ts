import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import { captureTriggers } from './capture.ts';
import { ownComment } from './own-comment.ts';
import { changesOf } from './pair.ts';
import { stateTableOf } from './run-state.ts';

/** What there is of the conversion of a table, beside its twin. */
export interface Remains {
  /** Something of ours is there. */
  readonly any: boolean;
  /** Names that the conversion needs, and that relations of others have. */
  readonly taken: readonly string[];
}

/** Looks for what a conversion made, or left: a person may have dropped a part of it. */
export async function findRemains(sql: Pick<Sql, 'unsafe'>, table: QualifiedName): Promise<Remains> {
  const names = [changesOf(table), stateTableOf(table)];
  const found = await sql.unsafe<{ name: string; ours: boolean }[]>(
    `SELECT c.relname AS name, coalesce(pg_catalog.obj_description(c.oid, 'pg_class') LIKE '${ownComment}%', false) AS ours
     FROM pg_catalog.pg_class c
     WHERE c.oid IN (${names.map((name) => `to_regclass(${quoteLiteral(quoteName(name))})`).join(', ')})
     UNION ALL
     SELECT t.tgname, true FROM pg_catalog.pg_trigger t
     WHERE t.tgrelid = to_regclass(${quoteLiteral(quoteName(table))}) AND t.tgname IN (${Object.values(captureTriggers).map(quoteLiteral).join(', ')})`,
  );
  return {
    any: found.some(({ ours }) => ours),
    taken: found.filter(({ ours }) => !ours).map(({ name }) => name),
  };
}
