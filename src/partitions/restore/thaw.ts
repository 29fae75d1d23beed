import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { applyCopySettings } from '../archive/copy-settings.ts';
import { readInside } from '../archive/table-facts.ts';
import type { PartitionedTable } from '../catalogue.ts';
import { boundConstraint, dropExclusions } from '../ensure/plan-leaf.ts';
import { confirmSameRows } from '../retain/archive-partition.ts';
import { type Restored, writeMark } from '../retain/marker.ts';
import type { Candidate } from '../retain/queries.ts';
import { refuseOrphans, setComment } from './load.ts';
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
    const missing = parent.columns.filter(
      (column) => !own.columns.some((other) => other.name === column.name),
    );
    for (const statement of renderThaw(name, missing)) await sql.unsafe(statement);
    await sql.unsafe(
      `ALTER TABLE ${quoteName(name)} DROP CONSTRAINT IF EXISTS ${boundConstraint}, ADD CONSTRAINT ${boundConstraint} CHECK (${boundCondition(table.column, ends)})`,
    );
    await sql.unsafe(dropExclusions(quoteName(name)).sql);
    await dropTwins(sql, found.oid, name);
    await setComment(sql, name, writeMark(found.marks.text, { restored }) as string);
  });
}

/** A concurrent detach leaves a constraint that says what ours says; newer servers may leave none. */
async function dropTwins(sql: TransactionSql, oid: number, name: QualifiedName): Promise<void> {
  const twins = await sql<{ name: string }[]>`
    SELECT t.conname AS name FROM pg_constraint o JOIN pg_constraint t ON t.conrelid = o.conrelid AND t.contype = 'c'
    WHERE o.conrelid = ${oid} AND o.conname = ${boundConstraint} AND t.oid <> o.oid
      AND pg_get_constraintdef(t.oid) = pg_get_constraintdef(o.oid)`;
  for (const twin of twins)
    await sql.unsafe(`ALTER TABLE ${quoteName(name)} DROP CONSTRAINT ${quoteIdentifier(twin.name)}`);
}
