import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { describeCatalogue } from '../../helpers/catalogue.ts';
import { withDatabase } from '../../helpers/database.ts';
import { eduschema } from '../../helpers/eduschema.ts';
import { findPsql } from '../../helpers/psql.ts';
import { makeLibrary } from './library.ts';

const psql = findPsql();

it.skipIf(!psql)(
  'the script of a split, run by psql, comes to the same as the split, materialized views included',
  withDatabase(async ({ sql, url }) => {
    await makeLibrary(sql, 300);
    await sql.unsafe(
      'CREATE MATERIALIZED VIEW per_reader AS SELECT reader_id, count(*) FROM logs GROUP BY 1',
    );
    const run = (line: string) => eduschema(`partitions ${line}`, { env: { DATABASE_URL: url } });
    const convert = 'convert logs --by at --method split --unit quarter --ahead 1mo';

    const { stdout } = await run(`${convert} --dry-run`);
    execFileSync(psql as string, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', url], {
      input: stdout,
      stdio: ['pipe', 'ignore', 'pipe'],
    });

    const byHand = await describeCatalogue(sql);
    expect((await run('undo logs --yes')).exitCode).toBe(0);
    expect((await run(`${convert} --yes`)).exitCode).toBe(0);
    expect(await describeCatalogue(sql)).toEqual(byHand);
    expect(await sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 300 }]);
  }),
  60_000,
);
