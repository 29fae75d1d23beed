import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { WorkEvent } from '../../../src/db/work-settings.ts';
import { withDatabase } from '../../helpers/database.ts';
import { startProcess } from '../../helpers/process.ts';
import { differences, makeLibrary, splitLogs } from './library.ts';
import { startWriter } from './writer.ts';

// Three partitions, so that there are not too many steps to be killed at.
const longPeriods = { unit: 'year', ahead: '1mo' } as const;

const steps = [
  'make public.logs_eduschema with ... partitions',
  'note what changes in public.logs from here on',
  'copy the rows of public.logs',
  'build the keys and indexes of public.logs_year',
  'build the keys and indexes of public.logs_default',
  'give public.logs_eduschema its keys and indexes',
  'make good what changed in public.logs',
  'analyze public.logs_eduschema and its partitions',
  'give public.logs_eduschema the rights, defaults and statistics of public.logs',
  'compare public.logs and its twin',
  'put the twin in the place of public.logs',
  'look at the foreign keys of public.logs_year',
  'look at the foreign keys of public.logs_default',
  'give public.logs its foreign keys',
  'compare public.logs and public.logs_before_split',
];

/** Without what depends on the day. */
const kindsOf = (titles: ReadonlySet<string>) => [
  ...new Set(
    [...titles].map((title) => title.replace(/with \d+/, 'with ...').replace(/logs_20\d\d/, 'logs_year')),
  ),
];

describe('a split that is killed', () => {
  it(
    'at every step, as its session is ended in the server, goes on from there, and loses nothing',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 5000);
      const writer = await startWriter(test);
      const killedAt = new Set<string>();
      const kills: Promise<unknown>[] = [];
      const kill = (name: string) => {
        killedAt.add(name);
        // At once, or in the middle of it.
        const killing = sleep(killedAt.size % 2 === 0 ? 0 : Math.random() * 10).then(
          () => sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'eduschema worker'`,
        );
        kills.push(killing);
      };

      let runs = 0;
      for (let isDone = false; !isDone; runs++) {
        expect(runs).toBeLessThan(60);
        const onProgress = (event: WorkEvent) => {
          if (event.type === 'started' && !killedAt.has(event.name)) kill(event.name);
        };
        isDone = await splitLogs(test, { batchMs: 5, onProgress, waitSeconds: 20 }, longPeriods).then(
          () => true,
          () => false,
        );
      }
      // The last of them may come after the work is done, but not after the database is gone.
      await Promise.all(kills);
      await writer.stop();

      expect(kindsOf(killedAt)).toEqual(steps);
      // A step can be over before the kill arrives, which then is in the next one.
      expect(runs).toBeGreaterThan(steps.length - 3);
      expect(writer.errors).toEqual([]);
      expect(await differences(sql)).toEqual([]);
    }),
    300_000,
  );

  it(
    'at every step, as its process is killed, goes on from there, and loses nothing',
    withDatabase(async (test) => {
      const { sql, url } = test;
      await makeLibrary(sql, 5000);
      const writer = await startWriter(test);
      const killedAt = new Set<string>();
      const line = 'partitions convert logs --by at --method split --unit year --ahead 1mo --yes --json';

      let [runs, exitCode]: [number, number | null] = [0, null];
      for (; exitCode !== 0; runs++) {
        expect(runs).toBeLessThan(60);
        const run = startProcess(line, '/', { DATABASE_URL: url });
        let text = '';
        run.child.stderr?.on('data', (data) => {
          text += data;
          const lines = text.split('\n');
          text = lines.pop() ?? '';
          for (const event of lines.map((json) => JSON.parse(json) as { event: string; name: string }))
            if (event.event === 'started' && !killedAt.has(event.name)) {
              killedAt.add(event.name);
              setTimeout(() => run.child.kill('SIGKILL'), killedAt.size % 2 === 0 ? 0 : Math.random() * 10);
            }
        });
        const ended = await run.ended;
        exitCode = ended.exitCode;
        if (exitCode !== null && exitCode !== 0) throw new Error(ended.stdout);
      }
      await writer.stop();

      expect(kindsOf(killedAt)).toEqual(steps);
      expect(writer.errors).toEqual([]);
      expect(await differences(sql)).toEqual([]);
    }),
    300_000,
  );
});
