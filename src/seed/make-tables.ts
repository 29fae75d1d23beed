import { EduschemaError } from '../errors.ts';
import { byAuthor } from './by-author.ts';
import type { SeedContext, TableSeed } from './define-seed.ts';
import type { Lookup, Table } from './table.ts';

/** The lists and tables of a seed. Throws `seed-invalid`, with the file's name, when it makes anything else. */
export function makeTables(file: string, seed: TableSeed, context: SeedContext): readonly (Table | Lookup)[] {
  const made: unknown = byAuthor(file, 'tables', () => seed.tables(context));
  if (Array.isArray(made) && made.every((one) => ['table', 'lookup'].includes(one?.kind))) return made;
  throw new EduschemaError('seed-invalid', `tables of ${file} returns no list of tables`, {
    hint: 'return what table() and lookup() make, as in [schools, pupils], and no promise of it; nothing was changed',
    details: { file },
  });
}
