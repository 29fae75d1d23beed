import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { shown } from '../convert/choices.ts';
import { twinOf } from '../convert/names.ts';
import type { Steps } from '../convert/steps.ts';
import type { TableDescription } from '../convert/table-description.ts';

/** Extended statistics of a relation, by their names. */
export async function listStatistics(
  sql: Pick<Sql, 'unsafe'>,
  table: QualifiedName,
): Promise<QualifiedName[]> {
  return sql.unsafe<QualifiedName[]>(
    `SELECT n.nspname AS schema, s.stxname AS name FROM pg_catalog.pg_statistic_ext s
     JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
     WHERE s.stxrelid = to_regclass(${quoteLiteral(quoteName(table))}) ORDER BY 2`,
  );
}

/** Analyses the twin with its partitions, unless that was done: the first query after the swap is to be planned well. */
export async function analyzeTwin(worker: Worker, table: TableDescription, steps: Steps): Promise<void> {
  const twin = twinOf<QualifiedName>(table);
  const [known] = await worker.session.sql.unsafe<[{ known: boolean }]>(
    `SELECT reltuples >= 0 AS known FROM pg_catalog.pg_class WHERE oid = to_regclass(${quoteLiteral(quoteName(twin))})`,
  );
  if (known.known) return;
  const title = `analyze ${shown(twin)} and its partitions`;
  await steps.run(title, () => worker.alone(title, `ANALYZE ${quoteName(twin)}`));
}
