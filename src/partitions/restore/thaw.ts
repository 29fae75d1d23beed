import { quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { applyCopySettings } from '../archive/copy-settings.ts';
import { readInside, type TableFacts } from '../archive/table-facts.ts';
import type { PartitionedTable } from '../catalogue.ts';
import { boundConstraint, dropExclusions } from '../ensure/plan-leaf.ts';
import { confirmSameRows } from '../retain/archive-partition.ts';
import { type Restored, writeMark } from '../retain/marker.ts';
import type { Candidate } from '../retain/queries.ts';
import { refuseOrphans } from './load.ts';
import { boundCondition, renderThaw } from './plan.ts';
import type { RestoreSource } from './restore.ts';

/**
 * Makes a retired table that was not dropped yet fit to be attached again. With an archive it must still hold the same
 * rows. Throws `archive-differs` and `rows-orphaned`, and changes nothing then.
 */
export async function thaw(
  worker: Worker,
  table: PartitionedTable,
  { archive, name, ends }: RestoreSource,
  found: Candidate,
  restored: Restored,
): Promise<void> {
  const shown = `${name.schema}.${name.name}`;
  await worker.transaction(`let ${shown} take rows again`, async (sql) => {
    await sql.unsafe(`LOCK TABLE ${quoteName(name)} IN ACCESS EXCLUSIVE MODE`);
    await applyCopySettings(sql);
    const [own, parent] = [await readInside(sql, found.oid), await readInside(sql, table.oid)];
    const gone = own.columns.find((column) => !parent.columns.some((other) => other.name === column.name));
    if (gone)
      throw new EduschemaError(
        'archive-differs',
        `${shown} has a column ${gone.name}, which ${table.name.schema}.${table.name.name} no longer has`,
        { hint: `drop it there as well, or leave ${shown} the table that it is` },
      );
    if (archive) await confirmSameRows(worker.session, sql, name, own.columns, archive);
    await refuseOrphans(sql, name, parent.foreignKeys);
    for (const statement of planThaw(table, { name, ends }, found, restored, { own, parent }).statements)
      await sql.unsafe(statement.sql);
  });
}

/** What the retired table and its parent are made of. */
export interface ThawFacts {
  readonly own: TableFacts;
  readonly parent: TableFacts;
}

/** The step that lets a retired table take rows again, whose rows were compared and fit. */
export function planThaw(
  table: PartitionedTable,
  { name, ends }: Pick<RestoreSource, 'name' | 'ends'>,
  found: Candidate,
  restored: Restored,
  { own, parent }: ThawFacts,
): Step {
  const quoted = quoteName(name);
  const shown = `${name.schema}.${name.name}`;
  const missing = parent.columns.filter((column) => !own.columns.some((other) => other.name === column.name));
  const statements = [
    ...renderThaw(name, missing),
    `ALTER TABLE ${quoted} DROP CONSTRAINT IF EXISTS ${boundConstraint}, ADD CONSTRAINT ${boundConstraint} CHECK (${boundCondition(table.column, ends)})`,
  ];
  return {
    title: `let ${shown} take rows again`,
    transaction: true,
    statements: [
      ...statements.map((sql) => ({
        sql,
        why: 'it takes rows, of its bounds alone',
        locks: [`ACCESS EXCLUSIVE on ${shown}, which nobody uses`],
      })),
      dropExclusions(quoted),
      { sql: dropTwins(quoted), why: 'a concurrent detach left what says the same' },
      {
        sql: `COMMENT ON TABLE ${quoted} IS ${quoteLiteral(writeMark(found.marks.text, { restored }) as string)}`,
        why: 'for the next run, should this one end here',
      },
    ],
  };
}

/** A concurrent detach leaves a constraint that says what ours says; newer servers may leave none. */
function dropTwins(table: string): string {
  const name = quoteLiteral(table);
  return `DO $eduschema$ DECLARE twin name; BEGIN
  FOR twin IN SELECT t.conname FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_constraint t ON t.conrelid = o.conrelid AND t.contype = 'c'
              WHERE o.conrelid = ${name}::pg_catalog.regclass AND o.conname = '${boundConstraint}' AND t.oid <> o.oid
                AND pg_catalog.pg_get_constraintdef(t.oid) = pg_catalog.pg_get_constraintdef(o.oid) LOOP
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', ${name}, twin);
  END LOOP; END $eduschema$`;
}
