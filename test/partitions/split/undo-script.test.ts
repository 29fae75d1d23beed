import { expect, it } from 'vitest';
import { withDatabase } from '../../helpers/database.ts';
import { eduschema } from '../../helpers/eduschema.ts';
import { makeLibrary } from './library.ts';

it(
  'the undo of a split is not written as a script, which would lose the rows that came since',
  withDatabase(async ({ sql, url }) => {
    await makeLibrary(sql, 100);
    const run = (line: string) => eduschema(`partitions ${line}`, { cwd: '/', env: { DATABASE_URL: url } });
    const converted = await run('convert logs --by at --method split --unit year --ahead 1mo --yes');
    expect([converted.exitCode, converted.stderr]).toEqual([0, expect.not.stringContaining('error')]);

    const { exitCode, stderr } = await run('undo logs --dry-run');

    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('cannot be written as a script')]);
    expect((await run('undo logs --yes')).exitCode).toBe(0);
    expect(await sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 100 }]);
  }),
);
