import { EduschemaError } from '../errors.ts';
import { checkIdentifier, type QualifiedName } from './identifiers.ts';

/**
 * Reads `table` or `schema.table`, each as it is or in double quotes, as a user types it: what is not quoted keeps its
 * case. Throws `usage` for more or fewer parts, and `config-invalid` for a name that PostgreSQL would cut.
 */
export function parseName(text: string, defaultSchema = 'public'): QualifiedName {
  const [, ...parts] =
    /^\s*(?:"((?:[^"]|"")+)"|([^."]+))(?:\.(?:"((?:[^"]|"")+)"|([^."]+)))?\s*$/.exec(text) ?? [];
  const [first, second] = [partOf(parts[0], parts[1]), partOf(parts[2], parts[3])];
  if (first === undefined)
    throw new EduschemaError('usage', `${text} is no table's name`, {
      hint: 'write it as table or schema.table, a name with a dot in double quotes',
    });
  const [schema, name] = second === undefined ? [defaultSchema, first] : [first, second];
  return { schema: checkIdentifier(schema, 'the schema'), name: checkIdentifier(name, 'the table') };
}

function partOf(quoted: string | undefined, plain: string | undefined): string | undefined {
  return quoted?.replaceAll('""', '"') ?? plain?.trim();
}

/** A column of a table. */
export interface ColumnName {
  readonly table: QualifiedName;
  readonly column: string;
}

/** Reads `table.column` or `schema.table.column`, as `parseName` reads a table. Throws `usage` for anything else. */
export function parseColumnName(text: string, defaultSchema = 'public'): ColumnName {
  const [, table, quoted, plain] = /^(.+)\.\s*(?:"((?:[^"]|"")+)"|([^."]+))\s*$/.exec(text) ?? [];
  const column = partOf(quoted, plain);
  if (table === undefined || column === undefined)
    throw new EduschemaError('usage', `${text} is no column's name`, {
      hint: 'write it as table.column or schema.table.column, a name with a dot in double quotes',
    });
  return { table: parseName(table, defaultSchema), column: checkIdentifier(column, 'the column') };
}
