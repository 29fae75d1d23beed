import { describe, expect, it } from 'vitest';
import { withDatabase as open } from '../../../src/db/connect.ts';
import type { WorkEvent } from '../../../src/db/work-settings.ts';
import { finishSplit } from '../../../src/partitions/split/finish-split.ts';
import { describeCatalogue } from '../../helpers/catalogue.ts';
import { openClient } from '../../helpers/clients.ts';
import { type TestDatabase, withDatabase } from '../../helpers/database.ts';
import { eduschema } from '../../helpers/eduschema.ts';
import { boundsOf, month, placesOf } from '../logs.ts';
import { makeLibrary, splitLogs } from './library.ts';

const longPeriods = { unit: 'year', ahead: '1mo' } as const;
const table = { schema: 'public', name: 'logs' };

const run = ({ url }: TestDatabase, line: string) =>
  eduschema(`partitions ${line}`, { env: { DATABASE_URL: url } });

/** Relations, triggers and functions that are of the conversion. */
const remains = async ({ sql }: TestDatabase) =>
  (await describeCatalogue(sql)).filter((line) => /eduschema_|_before_split/.test(line));

describe('--finish', () => {
  it(
    'drops the old table and everything of the conversion, asks first, and leaves the rows; then there is no undo',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 2000);
      await splitLogs(test, {}, longPeriods);
      const rows = await test.sql`SELECT * FROM logs ORDER BY id`;

      const unasked = await run(test, 'convert logs --finish --json');
      const script = await run(test, 'convert logs --finish --dry-run');
      expect(await remains(test)).not.toEqual([]);
      const finished = await run(test, 'convert logs --finish --yes');

      expect([unasked.exitCode, unasked.json().error.code]).toEqual([2, 'confirmation-needed']);
      expect(script.stdout).toContain('DROP TABLE "public"."logs_before_split"');
      expect(finished.exitCode).toBe(0);
      expect(finished.stdout).toContain('logs_before_split is gone; public.logs is in partitions for good');
      expect(await remains(test)).toEqual([]);
      expect(await test.sql`SELECT * FROM logs ORDER BY id`).toEqual(rows);
      await test.sql`INSERT INTO logs (material_id) VALUES (1)`;
      const undone = await run(test, 'undo logs --yes --json');
      expect([undone.exitCode, undone.json().error.code]).toEqual([2, 'table-unsuitable']);
    }),
    60_000,
  );

  it(
    'that is cut off at any step, or killed, is finished by another',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 500);
      await splitLogs(test, {}, longPeriods);
      const stopAt = (step: number) => {
        const stop = new AbortController();
        let begun = 0;
        const onProgress = ({ type }: WorkEvent) =>
          void (type === 'started' && begun++ === step && stop.abort());
        return open(test.target, {}, (database) =>
          finishSplit(database, table, { onProgress, signal: stop.signal }),
        );
      };

      for (const step of [0, 1]) await expect(stopAt(step)).rejects.toMatchObject({ code: 'interrupted' });
      await test.sql`INSERT INTO logs (material_id) VALUES (1)`;
      const { steps } = await open(test.target, {}, (database) => finishSplit(database, table, {}));

      expect(steps.at(-1)?.title).toBe('drop public.logs_before_split');
      expect(await remains(test)).toEqual([]);
      expect(await test.sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 501 }]);
    }),
    60_000,
  );

  it(
    'that does not get its lock drops nothing, and says who is in the way',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 500);
      await splitLogs(test, {}, longPeriods);
      const reader = await openClient(test, 'report');
      await reader.sql.unsafe('BEGIN; SELECT FROM logs_before_split, logs LIMIT 1');

      const outcome = await run(test, 'convert logs --finish --yes --json --lock-deadline 5');

      expect([outcome.exitCode, outcome.json().error.code]).toEqual([2, 'database-error']);
      await reader.sql.unsafe('COMMIT');
      expect(await test.sql`SELECT count(*)::int FROM logs_before_split`).toEqual([{ count: 500 }]);
      expect((await run(test, 'convert logs --finish --yes')).exitCode).toBe(0);
    }),
    60_000,
  );

  it(
    'is refused where nothing was split, or the conversion is not at its end',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 500);
      const finish = async () => (await run(test, 'convert logs --finish --yes --json')).json().error;

      const before = await finish();
      const stop = new AbortController();
      const onProgress = (event: WorkEvent) =>
        void (event.type === 'started' && event.name.startsWith('look at') && stop.abort());
      await splitLogs(test, { onProgress, signal: stop.signal }, longPeriods).catch(() => {});
      const halfway = await finish();

      expect(before).toMatchObject({
        code: 'table-unsuitable',
        message: 'no table stands aside for public.logs',
      });
      expect(halfway).toMatchObject({
        code: 'table-unsuitable',
        message: 'the conversion of public.logs is not at its end',
        hint: expect.stringContaining('eduschema partitions convert public.logs --by at --method split'),
      });
      await splitLogs(test, {}, longPeriods);
      expect((await run(test, 'convert logs --finish --yes')).exitCode).toBe(0);
    }),
    60_000,
  );
});

describe('--from', () => {
  it(
    'keeps what is older together, in one partition, and undo brings all of it back',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 1200);
      const rows = await test.sql`SELECT * FROM logs ORDER BY id`;
      const before = await describeCatalogue(test.sql);

      const { exitCode, json } = await run(
        test,
        `convert logs --by at --method split --from ${month(-2)} --ahead 1mo --yes --json`,
      );

      expect(exitCode).toBe(0);
      const kept = `logs_before_${month(-2).slice(0, 7).replace('-', '_')}`;
      const [first, ...others] = json().rows as { partition: string; rows: number }[];
      expect(first?.partition).toBe(kept);
      expect((await boundsOf(test.sql)).map(({ from }) => from)).toEqual([-2, -1, 0, 1].map(month));
      expect((await placesOf(test))[kept]).toBe(first?.rows);
      expect(others.reduce((sum, one) => sum + one.rows, first?.rows ?? 0)).toBe(1200);
      expect(await test.sql`SELECT * FROM logs ORDER BY id`).toEqual(rows);
      expect((await run(test, 'undo logs --yes')).exitCode).toBe(0);
      expect(await describeCatalogue(test.sql)).toEqual(before);
      expect(await test.sql`SELECT * FROM logs ORDER BY id`).toEqual(rows);
    }),
    60_000,
  );

  it.each([
    ['no day', '2026-13-45', '--from 2026-13-45 is no day'],
    ['a day on which no month begins', '2026-06-15', 'no month begins on 2026-06-15'],
  ])('is refused when it is %s', (_, day, message) =>
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 10);

      const { exitCode, json } = await run(
        test,
        `convert logs --by at --method split --from ${day} --yes --json`,
      );

      expect([exitCode, json().error]).toMatchObject([2, { code: 'usage', message }]);
      expect(await remains(test)).toEqual([]);
    })(),
  );
});

describe('--pause', () => {
  it(
    'rests between batches of the copy, in which nobody waits',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 20_000);

      const { exitCode, json } = await run(
        test,
        'convert logs --by at --method split --unit year --ahead 1mo --pause 700ms --yes --json',
      );

      expect(exitCode).toBe(0);
      const steps = json().summary.steps as { title: string; durationMs: number }[];
      const copy = steps.find(({ title }) => title.startsWith('copy the rows'));
      expect(copy?.durationMs).toBeGreaterThanOrEqual(700);
    }),
    60_000,
  );

  it(
    'that is no time is refused',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 10);

      const { exitCode } = await run(test, 'convert logs --by at --method split --pause soon --yes --json');

      expect(exitCode).toBe(2);
      expect(await remains(test)).toEqual([]);
    }),
  );
});
