import { describe, expect, it } from 'vitest';
import type { WorkEvent } from '../../../src/db/work-settings.ts';
import { createDatabase, dropDatabase } from '../../helpers/database.ts';
import { startProcess } from '../../helpers/process.ts';
import { startWriter } from '../../helpers/writer.ts';
import { plainShop, type Shop, shopOf } from './shop.ts';

const write = `INSERT INTO events (item, note) VALUES (1, 'written meanwhile')`;

/** A shop of one round. */
async function inShop<T>(use: (shop: Shop) => Promise<T>): Promise<T> {
  const database = await createDatabase();
  try {
    await database.sql.unsafe(plainShop);
    return await use(shopOf(database));
  } finally {
    await dropDatabase(database);
  }
}

const isStart = (event: WorkEvent) => event.type === 'started';

/** Carries out `verb`, and ends the session that works when step number `step` begins. */
async function endSession(shop: Shop, verb: 'convert' | 'undo', step: number): Promise<void> {
  let starts = 0;
  let ending: Promise<unknown> = Promise.resolve();
  const onProgress = (event: WorkEvent) => {
    if (isStart(event) && starts++ === step)
      ending = shop.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'eduschema worker'`;
  };
  const running = verb === 'convert' ? shop.convert({}, { onProgress }) : shop.undo({ onProgress });
  // It may have been quicker than the end of its session.
  await running.catch(() => {});
  await ending;
}

/** Starts a process, and kills it when step number `step` begins. */
async function killProcess(shop: Shop, line: string, step: number): Promise<void> {
  const { child, ended } = startProcess(line, '/', { DATABASE_URL: shop.url });
  let told = '';
  child.stderr?.on('data', (text) => {
    told += text;
    if (told.split('"event":"started"').length - 1 > step) child.kill('SIGKILL');
  });
  await ended;
}

/** What an undisturbed run makes, step by step. */
async function control(): Promise<{
  titles: string[];
  undoTitles: string[];
  before: string[];
  after: string[];
}> {
  return inShop(async (shop) => {
    const before = await shop.catalogue();
    const converted = await shop.convert();
    const after = await shop.catalogue();
    await shop.sql.unsafe(
      `INSERT INTO events (item, at) SELECT 1, now() + i * interval '1 day' FROM generate_series(1, 150) i`,
    );
    const undone = await shop.undo();
    const titlesOf = ({ steps }: { steps: readonly { title: string }[] }) => steps.map(({ title }) => title);
    return { titles: titlesOf(converted), undoTitles: titlesOf(undone), before, after };
  });
}

describe('cut off at every step', () => {
  it('a conversion is completed by another run, and nobody who writes notices', async () => {
    const { titles, after } = await control();

    for (const step of titles.keys())
      await inShop(async (shop) => {
        const writer = startWriter(shop, write);

        await killProcess(shop, 'partitions convert events --by at --yes --json', step);
        await shop.convert();

        const { written, errors } = await writer.stop();
        expect(errors, titles[step]).toEqual([]);
        expect(await shop.catalogue(), titles[step]).toEqual(after);
        expect((await shop.contents()).count, titles[step]).toBe(2000 + written);
      });
  }, 240_000);

  it('a conversion can be undone, or completed when its session was ended', async () => {
    const { titles, before, after } = await control();

    for (const step of titles.keys())
      await inShop(async (shop) => {
        const writer = startWriter(shop, write);

        await endSession(shop, 'convert', step);
        await (step % 2 === 0 ? shop.undo() : shop.convert());

        const { written, errors } = await writer.stop();
        expect(errors, titles[step]).toEqual([]);
        expect(await shop.catalogue(), titles[step]).toEqual(step % 2 === 0 ? before : after);
        expect((await shop.contents()).count, titles[step]).toBe(2000 + written);
        if (step % 2 === 0) return;
        await shop.undo();
        expect(await shop.catalogue(), titles[step]).toEqual(before);
      });
  }, 240_000);

  it('an undo is completed by another run, and no row is lost or hidden meanwhile', async () => {
    const { undoTitles, before } = await control();

    for (const step of undoTitles.keys())
      await inShop(async (shop) => {
        await shop.convert();
        await shop.sql.unsafe(
          `INSERT INTO events (item, at) SELECT 1, now() + i * interval '1 day' FROM generate_series(1, 150) i`,
        );
        const writer = startWriter(shop, write);
        const contents = await shop.contents();

        await (step % 2 === 0
          ? endSession(shop, 'undo', step)
          : killProcess(shop, 'partitions undo events --yes --json', step));
        const between =
          await shop.sql`SELECT count(*)::int AS count FROM events WHERE note IS DISTINCT FROM 'written meanwhile'`;
        await shop.undo();

        const { written, errors } = await writer.stop();
        expect(errors, undoTitles[step]).toEqual([]);
        expect(between, undoTitles[step]).toEqual([{ count: 2150 }]);
        expect(await shop.catalogue(), undoTitles[step]).toEqual(before);
        expect((await shop.contents()).count, undoTitles[step]).toBe(2150 + written);
        await shop.sql`DELETE FROM events WHERE note = 'written meanwhile'`;
        expect((await shop.contents()).sum).toBe(contents.sum);
      });
  }, 240_000);

  it.each([
    ['at', 'at'],
    ['"When"', 'When'],
  ])('a conversion by %s builds no index again that was built to its end', (sql, by) =>
    inShop(async (shop) => {
      if (by !== 'at') await shop.sql.unsafe(`ALTER TABLE events RENAME at TO ${sql}`);
      const stop = new AbortController();
      const onProgress = (event: WorkEvent) =>
        event.type === 'started' && event.name.startsWith('say that') && stop.abort();
      await expect(shop.convert({ by }, { onProgress, signal: stop.signal })).rejects.toMatchObject({
        code: 'interrupted',
      });

      const { steps } = await shop.convert({ by });

      expect(steps.map(({ title }) => title.split(' ')[0])).toEqual([
        'say',
        'prove',
        'make',
        'put',
        'analyze',
      ]);
    }),
  );
});
