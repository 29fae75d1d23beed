import { expect, test } from 'vitest';
import { startProcess } from '../helpers/process.ts';
import { expectDone, type OldLogs, partitionsOf, withOldLogs } from './old-logs.ts';

// Kills the built command line (npm run build) at each of its steps, as they begin and as they end.

/** Runs a command line, and kills it when it has told of `count` beginnings and ends. Returns what it told of. */
async function runAndKill(logs: OldLogs, line: string, count: number): Promise<string[]> {
  const process = startProcess(`${line} --json`, logs.folder, { DATABASE_URL: logs.url });
  const told = () =>
    process
      .stderr()
      .split('\n')
      .flatMap((text) => /^\{"event":"(?:started|done)","name":"([^"]*)"/.exec(text)?.[1] ?? []);
  process.child.stderr?.on('data', () => {
    if (told().length >= count) process.child.kill('SIGKILL');
  });
  await process.ended;
  return told();
}

/** One month is enough: the other goes the same way. */
const toOneMonth = ({ sql }: OldLogs) => sql.unsafe('DROP TABLE logs_2024_02');

const retain = 'partitions retain logs --keep 24mo --archive archives --grace 0d --yes';

for (const withDefault of [false, true]) {
  const steps = [
    ...(withDefault ? [] : ['mark public.logs_2024_01']),
    'detach public.logs_2024_01 from public.logs',
    ...(withDefault ? [] : ['keep rows out of public.logs_2024_01']),
    'release public.logs_2024_01 from public.materials',
    'archive public.logs_2024_01',
    'read the archive of public.logs_2024_01 back',
    'mark public.logs_2024_01',
    'check the archive of public.logs_2024_01',
    'drop public.logs_2024_01',
  ];
  const events = steps.flatMap((step) => [step, step]);

  test(
    `its steps ${withDefault ? 'with' : 'without'} a default partition are these`,
    withOldLogs(
      async (logs) => {
        await toOneMonth(logs);
        expect(await runAndKill(logs, retain, Number.POSITIVE_INFINITY)).toEqual(events);
      },
      { withDefault },
    ),
  );

  test.each(events.map((step, at) => [at % 2 === 0 ? 'begins to' : 'ends to', step, at + 1] as const))(
    `killed when it ${'%s'} ${'%s'} (${withDefault ? 'with' : 'without'} a default partition), the next run comes to the end, and no row is lost`,
    async (_, __, count) =>
      withOldLogs(
        async (logs) => {
          await toOneMonth(logs);
          const before = await logs.control();

          await runAndKill(logs, retain, count);
          // Until it is dropped all rows are in the database.
          const tables = await logs.sql`SELECT FROM pg_class WHERE relname = 'logs_2024_01'`;
          if (tables.length > 0) expect(await logs.control()).toEqual(before);

          expectDone(await logs.run(retain));
          expect(await partitionsOf(logs)).not.toContain('logs_2024_01');
          expect(await logs.sql`SELECT FROM pg_class WHERE relname = 'logs_2024_01'`).toHaveLength(0);
          expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`));
          expect(await logs.control()).toEqual(before);
        },
        { withDefault },
      )(),
  );
}

const restoreSteps = [
  'load public.logs_2024_01',
  'add the foreign key logs_material_id_fkey to public.logs_2024_01',
  'check the foreign key logs_material_id_fkey of public.logs_2024_01',
  'attach public.logs_2024_01 to public.logs',
].flatMap((step) => [step, step]);

test.each(restoreSteps.map((step, at) => [at % 2 === 0 ? 'begins to' : 'ends to', step, at + 1] as const))(
  `bringing back, killed when it ${'%s'} ${'%s'}, is gone on with by the next run`,
  async (_, step, count) =>
    withOldLogs(
      async (logs) => {
        await toOneMonth(logs);
        const before = await logs.control();
        await logs.run(retain);
        const line = `partitions restore ${logs.archiveOf('logs_2024_01')}`;

        expect((await runAndKill(logs, line, count)).slice(0, count)).toEqual(restoreSteps.slice(0, count));

        expectDone(await logs.run(line));
        expect(await logs.control(), step).toEqual(before);
        expect(await partitionsOf(logs)).toContain('logs_2024_01');
        expect(
          await logs.sql`SELECT conname FROM pg_constraint WHERE conrelid = 'logs_2024_01'::regclass AND conname LIKE '%eduschema%'`,
        ).toHaveLength(0);
      },
      { withDefault: true },
    )(),
);
