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
