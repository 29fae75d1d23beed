import { quoteIdentifier, quoteName, showName } from '../db/identifiers.ts';
import type { Step } from '../db/plan.ts';
import type { Worker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { comparison, type SplitPlace, strayTexts } from './queries.ts';
import { showColumn } from './source.ts';

/** Renaming the column with the texts, once nobody can write it any more and all of it is in the tables. */
export function renameStep({ source }: SplitPlace, name: string): Step {
  const table = quoteName(source.table);
  const lock = `ACCESS EXCLUSIVE on ${showName(source.table)}`;
  return {
    title: `rename ${showColumn(source)} to ${name}`,
    transaction: true,
    statements: [
      {
        sql: `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`,
        why: 'nobody changes a text while all of them are proved once more',
        locks: [lock],
        waitsFor: `whoever reads or writes ${showName(source.table)}`,
      },
      {
        sql: `ALTER TABLE ${table} RENAME COLUMN ${quoteIdentifier(source.column)} TO ${quoteIdentifier(name)}`,
        why: 'the texts stay, under a name that nobody uses',
        locks: [lock],
      },
    ],
  };
}

/** Carries it out. Throws `proof-failed` when a text was changed since the tags were proved; nothing is renamed then. */
export async function renameColumn(worker: Worker, place: SplitPlace, name: string): Promise<void> {
  const { title, statements } = renameStep(place, name);
  await worker.transaction(title, async (sql) => {
    await worker.together(sql, title, statements.slice(0, 1));
    // Here the server refuses to read a table of which policies hide rows: nothing would be proved of them.
    await sql.unsafe(
      `SET LOCAL row_security = off; SELECT FROM ${quoteName(place.source.table)} LIMIT 0; SET LOCAL row_security = on`,
    );
    const [found] = await sql.unsafe<{ missing: number }[]>(comparison(place, []));
    const [stray] = await sql.unsafe(`${strayTexts(place)} LIMIT 1`);
    if (found?.missing !== 0 || stray)
      throw new EduschemaError(
        'proof-failed',
        `${showColumn(place.source)} was changed meanwhile: it is not renamed`,
        {
          hint: 'run the command again',
        },
      );
    await worker.together(sql, title, statements.slice(1));
  });
}
