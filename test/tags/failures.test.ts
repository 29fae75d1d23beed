import { describe, expect, it } from 'vitest';
import { parseColumnName, parseName } from '../../src/db/parse-name.ts';
import { openClient } from '../helpers/clients.ts';
import { startProcess, until } from '../helpers/process.ts';
import { type Library, withLibrary } from './library.ts';

/** Many texts, of three tags each. */
async function fill({ sql }: Library, count: number): Promise<void> {
  await sql`INSERT INTO materials (id) SELECT generate_series(1, ${count}::int)`;
  await sql`INSERT INTO materials_old SELECT n, 't' || n % 50 || ', T' || n % 7 || ' ,u' || n % 11 FROM generate_series(1, ${count}::int) n`;
}

/** What the texts mean, asked in another way than the command does. */
const expected = `SELECT DISTINCT id, lower(btrim(name)) AS name FROM materials_old, regexp_split_to_table(tags_string, ',') AS name`;
const found = `SELECT material_id AS id, lower(tags.name) AS name FROM material_tags JOIN tags ON tags.id = tag_id`;

async function differing({ sql }: Library): Promise<number> {
  const [row] = await sql.unsafe<{ n: number }[]>(
    `SELECT count(*)::int AS n FROM ((${expected} EXCEPT ${found}) UNION ALL (${found} EXCEPT ${expected})) AS d`,
  );
  return row?.n ?? -1;
}

describe('tags split, when something is wrong', () => {
  it(
    'goes on after it was killed, in each of its batches',
    withLibrary(async (library) => {
      await fill(library, 6000);
      const links = async () =>
        (await library.sql<{ n: number }[]>`SELECT count(*)::int AS n FROM material_tags`)[0]?.n ?? 0;
      const seen: number[] = [];
      for (let kills = 0; kills < 20; kills++) {
        const before = await links();
        const run = startProcess('tags split --batch 500', library.folder, { DATABASE_URL: library.url });
        await until(
          'a batch is in, or it is over',
          async () => (await links()) > before || run.child.exitCode !== null,
        );
        run.child.kill('SIGKILL');
        const { exitCode } = await run.ended;
        seen.push(await links());
        if (exitCode === 0) break;
      }
      await library.split();
      expect(await differing(library)).toBe(0);
      expect(seen.filter((count) => count > 0 && count < 17_000).length).toBeGreaterThan(1);
    }),
  );

  it(
    'goes on when its session is ended on the server',
    withLibrary(async (library) => {
      await fill(library, 30_000);
      const running = library.split({ batch: 30_000 });
      running.catch(() => {});
      await until('it is at work', async () => {
        const ended = await library.sql`
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'eduschema worker' AND query ~ 'INSERT INTO "public"."material_tags"'`;
        return ended.length > 0;
      });
      await expect(running).rejects.toMatchObject({ code: 'connection-failed' });
      await library.split();
      expect(await differing(library)).toBe(0);
    }),
  );

  it(
    'two at once do the work once',
    withLibrary(async (library) => {
      await fill(library, 2000);
      const results = await Promise.all([library.split(), library.split()]);
      expect(results.filter(({ added }) => added === 0)).toHaveLength(1);
      expect(await differing(library)).toBe(0);
    }),
  );

  it(
    'goes on beside writers, whose last words are in the tables',
    withLibrary(async (library) => {
      await fill(library, 3000);
      let stopped = false;
      const writer = (async () => {
        for (let n = 0; !stopped && n < 400; n++)
          await library.sql`UPDATE materials_old SET tags_string = ${`w${n}, x`} WHERE id = ${(n * 71) % 3000}`;
      })();
      const first = library.split({ batch: 100 }).catch((error: unknown) => error);
      await first;
      stopped = true;
      await writer;
      const { proof } = await library.split();
      // Tags of texts that were replaced meanwhile may have got in: nobody may take them for wrong.
      expect(proof.missing).toBe(0);
    }),
  );

  it(
    'waits for a table that somebody holds, and names who it is',
    withLibrary(async (library) => {
      await fill(library, 10);
      const holder = await openClient(library, 'somebody');
      await holder.begin('LOCK TABLE material_tags IN ACCESS EXCLUSIVE MODE');
      await expect(library.split({}, { lockDeadlineSeconds: 4 })).rejects.toMatchObject({
        code: 'database-error',
        details: { blockers: [expect.objectContaining({ application: 'somebody' })] },
      });
    }),
  );

  it(
    'says which right is missing',
    withLibrary(async (library) => {
      await fill(library, 10);
      const { target, name } = await library.createUser();
      await library.sql.unsafe(
        `GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${name}; GRANT INSERT ON tags TO ${name}`,
      );
      const { splitTags } = await import('../../src/tags/split.ts');
      const asUser = library.open(
        (database) =>
          splitTags(
            database,
            { tags: parseColumnName('tags.name'), links: parseName('material_tags') },
            'public',
            {},
          ),
        target,
      );
      await expect(asUser).rejects.toMatchObject({
        code: 'permission-denied',
        details: { reason: 'permission denied for table material_tags' },
      });
    }),
  );

  it.each([
    ['DROP TABLE material_tags', {}, 'table-missing', /no table public.material_tags/],
    ['DROP TABLE materials_old', {}, 'table-missing', /materials_old.tags_string, nor materials.tags/],
    ['', { from: 'materials_old.words' }, 'table-unsuitable', /no column words/],
    ['', { from: 'nowhere.tags' }, 'table-missing', /no table public.nowhere/],
    ['', { from: 'materials_old.id' }, 'table-unsuitable', /is bigint, which is neither text nor an array/],
    ['', { id: 'number' }, 'table-unsuitable', /no column number/],
    [
      'ALTER TABLE materials_old DROP CONSTRAINT materials_old_pkey',
      {},
      'table-unsuitable',
      /no primary key of one column/,
    ],
    [
      'ALTER TABLE material_tags DROP CONSTRAINT material_tags_pkey',
      {},
      'table-unsuitable',
      /no unique key over material_id and tag_id/,
    ],
    [
      'ALTER TABLE material_tags DROP CONSTRAINT material_tags_tag_id_fkey',
      {},
      'table-unsuitable',
      /no foreign key of one column to public.tags/,
    ],
    [
      'ALTER TABLE material_tags DROP CONSTRAINT material_tags_material_id_fkey',
      {},
      'table-unsuitable',
      /does not say whose tags/,
    ],
    [
      'ALTER TABLE material_tags ADD since date NOT NULL',
      {},
      'table-unsuitable',
      /column since of public.material_tags must have a value/,
    ],
    [
      'ALTER TABLE tags ADD color text NOT NULL',
      {},
      'table-unsuitable',
      /column color of public.tags must have a value/,
    ],
    [
      'CREATE VIEW v AS SELECT * FROM materials_old',
      { from: 'v.tags_string' },
      'table-unsuitable',
      /public.v is no table/,
    ],
  ] as const)('refuses before anything is changed: %s %j', async (change, wishes, code, message) =>
    withLibrary(async (library) => {
      await library.put('a');
      if (change) await library.sql.unsafe(change);
      const { from, ...others } = wishes as { from?: string; id?: string };
      const options = { ...others, ...(from === undefined ? {} : { from: parseColumnName(from) }) };
      await expect(library.split(options)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    })(),
  );
});
