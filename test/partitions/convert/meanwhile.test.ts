import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { WorkEvent } from '../../../src/db/work-settings.ts';
import { openClient } from '../../helpers/clients.ts';
import { until } from '../../helpers/process.ts';
import { startWriter } from '../../helpers/writer.ts';
import { plainShop, withShop } from './shop.ts';

const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

describe('while others are at work', () => {
  it(
    'nobody who writes fails or waits for long, and identities go on',
    withShop(plainShop, async (shop) => {
      const writer = startWriter(shop, `INSERT INTO events (item, note) VALUES (2, 'written')`);
      await sleep(200);

      const { lockedMs } = await shop.convert();
      await shop.undo();
      await shop.convert();

      const { written, errors } = await writer.stop();
      expect(errors).toEqual([]);
      expect(lockedMs).toBeGreaterThan(0);
      const [found] = await shop.sql`
        SELECT count(*)::int AS count, count(DISTINCT id)::int AS ids, max(id)::int AS highest,
               (SELECT count FROM items WHERE id = 2)::int AS counted FROM events`;
      expect(found).toEqual({
        count: 2000 + written,
        ids: 2000 + written,
        highest: 2000 + written,
        counted: written,
      });
    }),
    60_000,
  );

  it(
    'an index and a column that somebody adds after the twin was made are in it',
    withShop(plainShop, async (shop) => {
      const told: string[] = [];
      let adding: Promise<unknown> | undefined;
      const onProgress = (event: WorkEvent) => {
        if (event.type === 'log') told.push(event.message);
        if (event.type === 'started' && event.name.startsWith('build'))
          adding ??= shop.sql
            .unsafe('CREATE INDEX CONCURRENTLY events_note ON events (note); ')
            .then(() =>
              shop.sql.unsafe(
                `ALTER TABLE events ADD COLUMN more int DEFAULT 7; COMMENT ON COLUMN events.more IS 'late'`,
              ),
            );
      };

      await shop.convert({}, { onProgress });

      await adding;
      expect(told).toContain('somebody changed public.events meanwhile: its twin is made anew');
      const { columns, indexes } = await shop.describe();
      expect(columns.at(-1)).toMatchObject({ name: 'more', default: '7', comment: 'late' });
      expect(indexes.map(({ name }) => name).sort()).toEqual(['events_item', 'events_note', 'events_pkey']);
    }),
  );

  it(
    'what somebody changes at the very moment of the swap is seen under the lock',
    withShop(plainShop, async (shop) => {
      const other = await openClient(shop, 'other');
      let begun: Promise<unknown> | undefined;
      const events: string[] = [];
      const onProgress = (event: WorkEvent) => {
        events.push(event.type);
        // Reads, so that the swap has to wait, and changes the table then.
        if (event.type === 'started' && event.name.startsWith('make 3'))
          begun ??= other.begin('SELECT count(*) FROM events').then(async () => {
            await until('the swap waits', () => events.includes('retrying'));
            await other.sql.unsafe('ALTER TABLE events ADD COLUMN more int; COMMIT');
          });
      };

      await shop.convert({}, { onProgress });

      await begun;
      expect((await shop.describe()).columns.map(({ name }) => name)).toContain('more');
      expect((await shop.contents()).count).toBe(2000);
    }),
  );

  it(
    'two at once: one works, the other finds it done',
    withShop(plainShop, async (shop) => {
      const results = await Promise.all([shop.convert(), shop.convert()]);

      expect(results.map(({ steps }) => steps.length > 0).sort()).toEqual([false, true]);
      expect(results.map(({ partitions }) => partitions)).toEqual([
        results[0].partitions,
        results[0].partitions,
      ]);
    }),
  );

  it(
    'without its lock in time it says who is in the way, what is refused until then, and goes on later',
    withShop(plainShop, async (shop) => {
      const other = await openClient(shop, 'report');
      let begun: Promise<unknown> | undefined;
      const onProgress = (event: WorkEvent) => {
        if (event.type === 'started' && event.name.startsWith('make 3'))
          begun ??= other.begin('SELECT count(*) FROM events');
      };

      const failing = shop.convert({}, { onProgress, lockDeadlineSeconds: 4 });

      await expect(failing).rejects.toMatchObject({
        code: 'database-error',
        excerpt: expect.stringContaining('report'),
        hint: expect.stringMatching(
          /until it is done or undone, public\.events refuses rows with at from \d{4}-\d\d-01 on/,
        ),
      });
      await begun;
      await shop.sql`INSERT INTO events (item) VALUES (1)`;
      await other.sql.unsafe('COMMIT');
      await shop.convert();
      expect((await shop.contents()).count).toBe(2001);
    }),
  );

  it(
    'an end that has passed since an earlier run was cut off is replaced by a later one',
    withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(
        `ALTER TABLE events ADD CONSTRAINT eduschema_before
        CHECK (at IS NOT NULL AND at < date_trunc('day', now() AT TIME ZONE 'Asia/Seoul') AT TIME ZONE 'Asia/Seoul') NOT VALID`.replace(
          /date_trunc.*?'Asia\/Seoul'\) AT TIME ZONE 'Asia\/Seoul'/,
          `'${day(0)} 00:00+09'`,
        ),
      );
      await expect(shop.sql`INSERT INTO events (item) VALUES (1)`).rejects.toThrow('eduschema_before');

      await shop.convert();

      await shop.sql`INSERT INTO events (item) VALUES (1)`;
      expect((await shop.contents()).count).toBe(2001);
    }),
  );

  it(
    'an end that comes near while the rows are read is replaced by a later one, and nothing is refused',
    withShop(plainShop, async (shop) => {
      const other = await openClient(shop, 'vacuum');
      const from = day(3);
      const left = (Date.parse(`${from}T00:00:00+09:00`) - Date.now()) / 1000;
      // Said by a run that was cut off, so that the lock can be taken before the rows are read.
      await shop.sql.unsafe(
        `ALTER TABLE events ADD CONSTRAINT eduschema_before CHECK (at IS NOT NULL AND at < '${from} 00:00+09') NOT VALID`,
      );
      const told: string[] = [];
      let holding: Promise<unknown> | undefined;
      const onProgress = (event: WorkEvent) => {
        if (event.type === 'log') {
          told.push(event.message);
          other.sql.unsafe('COMMIT').then(() => {});
        }
        if (event.type === 'done' && event.name.startsWith('build'))
          holding ??= other.begin('LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE');
      };

      // Held until the end is near, some seconds from now.
      await shop.convert({ unit: 'day', from }, { onProgress, nearSeconds: left - 7 });

      await holding;
      expect(told).toEqual([expect.stringContaining(`${from} comes near: the first partition ends before`)]);
      await shop.sql`INSERT INTO events (item, at) VALUES (1, ${`${from}T12:00:00+09:00`})`;
    }),
    60_000,
  );

  it(
    'rows behind the end that come before the CHECK are no failure of the application: it goes again',
    withShop(plainShop, async (shop) => {
      let inserting: Promise<unknown> | undefined;
      const onProgress = (event: WorkEvent) => {
        if (event.type === 'started' && event.name.startsWith('build'))
          inserting ??= shop.sql`INSERT INTO events (item, at) VALUES (1, now() + interval '5 years')`.then(
            () => {},
          );
      };

      await expect(shop.convert({}, { onProgress })).rejects.toMatchObject({
        code: 'table-unsuitable',
        hint: expect.stringContaining('--from'),
      });

      await inserting;
      await shop.sql`INSERT INTO events (item, at) VALUES (1, now() + interval '6 years')`;
      await shop.sql`DELETE FROM events WHERE at > now() + interval '1 year'`;
      await shop.convert();
      expect((await shop.contents()).count).toBe(2000);
    }),
  );

  it(
    'a build that ran out of disk is taken away and made again',
    withShop(plainShop, async (shop) => {
      await shop.sql.unsafe(`INSERT INTO events (item, at) SELECT 1, now() - i * interval '1 second' FROM generate_series(1, 150000) i;
        ALTER DATABASE ${shop.name} SET temp_file_limit = '100kB'; ALTER DATABASE ${shop.name} SET maintenance_work_mem = '1MB'`);

      await expect(shop.convert()).rejects.toMatchObject({
        code: 'database-error',
        message: expect.stringMatching(/cannot build events_pkey_wide_eduschema.* \(53400\)/),
      });

      await shop.sql.unsafe(`ALTER DATABASE ${shop.name} RESET temp_file_limit`);
      const { steps } = await shop.convert();
      expect(steps.map(({ title }) => title)).toContain(
        'drop events_pkey_wide_eduschema, which was not built to its end',
      );
      expect((await shop.contents()).count).toBe(152_000);
    }),
    60_000,
  );
});
