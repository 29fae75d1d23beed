import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { indexesToWiden } from './attach-steps.ts';
import { type Choices, type PlannedPartition, shown } from './choices.ts';
import { twinOf, wideOf, workSuffix } from './names.ts';
import type { Obstacle } from './obstacles.ts';
import { asideOf } from './swap.ts';
import type { TableDescription } from './table-description.ts';
import { identitiesOf } from './twin.ts';

/** Names that the conversion needs and somebody else has; what an earlier run made is none of them. */
export async function listTakenNames(
  sql: Sql,
  table: TableDescription,
  choices: Choices,
  partitions: readonly PlannedPartition[],
): Promise<Obstacle[]> {
  const here = ({ schema }: QualifiedName) => schema === table.schema;
  const names = [
    asideOf(table, choices).name,
    twinOf(table.name),
    ...table.indexes.flatMap(({ name }) => [
      twinOf(name),
      asideOf({ schema: table.schema, name }, choices).name,
    ]),
    ...indexesToWiden(table, choices).map(({ name }) => wideOf(name)),
    ...identitiesOf(table)
      .filter(here)
      .map(({ name }) => twinOf(name)),
    ...partitions.map(({ name }) => name.name),
  ];
  const rows = await sql.unsafe<{ name: string }[]>(
    `WITH ours AS (
       SELECT to_regclass($3)::oid AS oid UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($3))
     SELECT c.relname AS name FROM pg_class c
     WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
       AND c.relname IN (SELECT jsonb_array_elements_text($2::text::jsonb)) AND c.oid NOT IN (SELECT oid FROM ours WHERE oid IS NOT NULL)
       AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = c.oid
                       AND (x.indrelid IN (SELECT oid FROM ours) OR x.indrelid = to_regclass($4) AND c.relname ~ '${workSuffix}$'))
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i'
                       AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM ours))
     ORDER BY 1`,
    [table.schema, JSON.stringify(names), quoteName(twinOf<QualifiedName>(table)), quoteName(table)],
  );
  return rows.map(({ name }) => ({
    what: `${shown({ schema: table.schema, name })} exists already, and the conversion needs its name`,
    remedy: 'rename it',
  }));
}
