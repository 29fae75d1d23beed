import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { withSuffix } from '../partition-name.ts';
import { type Choices, named, shown } from './choices.ts';
import { addKeyConstraint, createIndex, lacksKey, widenIndex } from './keys.ts';
import { twinOf, workSuffix } from './names.ts';
import { planned } from './statements.ts';
import type { TableDescription } from './table-description.ts';

interface CopiedIndex {
  readonly oid: number;
  readonly name: string;
  readonly isConstraint: boolean;
  readonly lacksKey: boolean;
}

/**
 * Attaches an empty copy of the table to the twin, and takes it back: what the server would refuse at the swap it
 * refuses here, and an index that it would build there, as none of the table's fits, is found. The twin has no foreign
 * keys yet: to take one over locks the table that it references. Throws `proof-failed`.
 */
export async function rehearseAttach(
  worker: Worker,
  table: TableDescription,
  choices: Choices,
): Promise<void> {
  const copy = { schema: table.schema, name: withSuffix(table.name, `_copy${workSuffix}`) };
  const title = `rehearse that ${shown(table)} becomes a partition`;
  const over = Symbol('over');
  await worker
    .transaction(title, async (sql) => {
      const listIndexes = () =>
        sql.unsafe<CopiedIndex[]>(
          `SELECT x.indexrelid::int8::float8 AS oid, c.relname AS name, o.oid IS NOT NULL AS "isConstraint",
             x.indisunique AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attname = $2
               AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])) AS "lacksKey"
           FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid LEFT JOIN pg_constraint o ON o.conindid = c.oid AND o.conrelid = x.indrelid
           WHERE x.indrelid = to_regclass($1)`,
          [quoteName(copy), choices.column],
        );
      const send = (statements: readonly string[]) => worker.together(sql, title, planned('', statements));
      await send([
        `CREATE TABLE ${quoteName(copy)} (LIKE ${quoteName(table)} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING STATISTICS EXCLUDING COMMENTS)`,
      ]);
      const copied = await listIndexes();
      await send([
        ...copied
          .filter((index) => index.lacksKey)
          .map(({ name, isConstraint }) =>
            isConstraint
              ? `ALTER TABLE ${quoteName(copy)} DROP CONSTRAINT ${quoteIdentifier(name)}`
              : `DROP INDEX ${named(copy, name)}`,
          ),
        ...table.indexes
          .filter((index) => lacksKey(index, choices.column))
          .map((index) => {
            const wide = widenIndex(index, choices.column);
            const name = withSuffix(index.name, `_copy${workSuffix}`);
            return index.constraint ? addKeyConstraint(wide, name, copy) : createIndex(wide, name, copy);
          }),
        `ALTER TABLE ${quoteName(copy)} ALTER COLUMN ${quoteIdentifier(choices.column)} SET NOT NULL`,
      ]);
      const before = new Set((await listIndexes()).map(({ oid }) => oid));
      await send([
        `ALTER TABLE ${quoteName(twinOf<QualifiedName>(table))} ATTACH PARTITION ${quoteName(copy)} FOR VALUES FROM (MINVALUE) TO ('${choices.endLiteral}')`,
      ]);
      const built = (await listIndexes()).filter(({ oid }) => !before.has(oid));
      if (built.length > 0)
        throw new EduschemaError(
          'proof-failed',
          `the server would build ${built.map(({ name }) => name).join(', ')} while ${shown(table)} is locked, as it sees no index that fits`,
          { hint: 'nothing was changed; please report this with the definitions of the indexes' },
        );
      throw over;
    })
    .catch((error) => {
      if (error !== over) throw error;
    });
}
