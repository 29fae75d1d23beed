import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { eduschema } from '../../helpers/eduschema.ts';
import { codes } from '../checked.ts';
import { boundsOf, ensureIn, month } from '../logs.ts';
import { plainShop, richShop, type Shop, withShop } from './shop.ts';

const convert = ({ url }: Shop, more = '') =>
  eduschema(`partitions convert events --by at --yes ${more}`, { env: { DATABASE_URL: url } });

describe('the proof of an attachment', () => {
  it(
    'is the file that the rows are in; their counts and checksums are compared when that is asked for',
    withShop(plainShop, async (shop) => {
      const before = await shop.sql<{ month: string; rows: number }[]>`
        SELECT to_char(at AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-01') AS month, count(*)::int AS rows FROM events GROUP BY 1 ORDER BY 1`;
      const { fileNode } = await shop.describe();

      const { exitCode, json } = await convert(shop, '--verify --json');

      const { rows, summary } = json();
      expect(exitCode).toBe(0);
      expect(rows.map(({ from, rowsBefore, rows: now }) => ({ month: from, rows: now, rowsBefore }))).toEqual(
        before.map(({ month: from, rows: count }) => ({ month: from, rows: count, rowsBefore: count })),
      );
      for (const { checksum, checksumBefore } of rows) {
        expect(checksum).toMatch(/^[0-9a-f]{16}$/);
        expect(checksumBefore).toBe(checksum);
      }
      expect(summary).toMatchObject({ rows: 2000, fileNode, fileNodeBefore: fileNode });
    }),
  );

  it(
    'can be asked for later, beside rows that came since, and is a table for a person',
    withShop(plainShop, async (shop) => {
      await convert(shop);
      await shop.sql`INSERT INTO events (item, at) SELECT 1, now() + n * interval '1 day' FROM generate_series(1, 90) n`;

      const { exitCode, stdout } = await convert(shop, '--verify');

      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/^from +rows in events_before_\d{4}_\d\d +rows in events +checksum of both\n20/);
      expect(stdout).toMatch(
        /20\d\d rows in events_before_\d{4}_\d\d, the same through public\.events\n$|2,0\d\d rows in events_before/,
      );
    }),
  );

  it(
    'names the period in which a row is not found through the table',
    withShop(plainShop, async (shop) => {
      const { converted } = await shop.convert();
      const old = converted[0]?.name.name ?? '';
      // Where a partition begins is looked at by the server alone: this goes past it.
      const partition = (is: boolean) =>
        `UPDATE pg_class SET relispartition = ${is} WHERE oid = '${old}'::regclass`;
      await shop.sql.unsafe(`SET allow_system_table_mods = on; ${partition(false)}`);
      await shop.connect({ max: 1 }).unsafe(`INSERT INTO ${old} (id, item, at) VALUES (0, 1, '2091-05-05')`);
      await shop.sql.unsafe(partition(true));

      const { exitCode, json } = await convert(shop, '--verify --json');

      expect(exitCode).toBe(2);
      expect(json().error).toMatchObject({
        code: 'proof-failed',
        message: `public.${old} has other rows than are read through public.events`,
        details: { periods: [{ day: '2091-05-01', rows: [1, 0] }] },
      });
    }),
  );

  it(
    'is not there for a table that was never attached',
    withShop('CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at)', async (shop) => {
      const { exitCode, json } = await convert(shop, '--verify --json');

      expect([exitCode, json().error]).toMatchObject([
        2,
        { code: 'table-unsuitable', message: 'no partition of public.events was a table once' },
      ]);
    }),
  );
});

describe('after a conversion', () => {
  it(
    'ensure makes the months that follow, and check finds nothing',
    withShop(plainShop, async (shop) => {
      await shop.convert({ ahead: '1mo' });
      const before = await boundsOf(shop.sql, 'events');

      const { made } = await ensureIn(shop, { sources: { flags: { ahead: '6mo' } }, tables: ['events'] });

      const after = await boundsOf(shop.sql, 'events');
      expect(after.slice(0, before.length)).toEqual(before);
      expect(after.at(-1)).toMatchObject({ from: month(6), to: month(7) });
      expect(made.map(({ from }) => from?.slice(0, 10))).toEqual(
        after.slice(before.length).map(({ from }) => from),
      );
      await shop.sql`INSERT INTO events (item, at) SELECT 1, now() + n * interval '1 month' FROM generate_series(0, 6) n`;
      expect(await codes(shop)).toEqual([]);
    }),
  );

  it(
    'and its undo, pg_dump writes what it wrote before',
    withShop(
      async ({ createUser }) => richShop((await createUser()).name),
      async (shop) => {
        const [{ version }] = await shop.sql<
          [{ version: number }]
        >`SELECT current_setting('server_version_num')::int / 10000 AS version`;
        const path = [18, 17, 16, 15]
          .map((major) => `/usr/lib/postgresql/${major}/bin/pg_dump`)
          .find(existsSync);
        // It dumps no server that is newer than itself.
        if (!path || Number(path.split('/')[4]) < version) return;
        const dump = () =>
          execFileSync(path, ['-d', shop.url], { encoding: 'utf8', maxBuffer: 1e8 })
            .split('\n')
            // A word of each dump's own.
            .filter((line) => !/^\\(un)?restrict /.test(line));
        const before = dump();

        await shop.convert({ widen: ['events_code', 'events_serial'], dropIncoming: ['of_event'] });
        expect(dump()).not.toEqual(before);
        await shop.undo();

        expect(dump()).toEqual(before);
      },
    ),
    60_000,
  );
});
