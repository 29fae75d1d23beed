import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { expect, test } from 'vitest';
import { openClient } from '../helpers/clients.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { startEmbedded } from '../helpers/server.ts';
import { expectDone, type OldLogs, partitionsOf, states, withOldLogs } from './old-logs.ts';

/** Changes one byte of a file, in its middle. */
function changeByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = ((bytes[bytes.length >> 1] as number) + 1) % 256;
  writeFileSync(path, bytes);
}

const obstacleOf = (outcome: Awaited<ReturnType<OldLogs['retain']>>, partition: string) =>
  outcome.json().rows.find((row) => row.partition === `public.${partition}`)?.obstacle as {
    problem: string;
  } | null;

for (const [what, name] of [
  ['data', 'logs_2024_01.copy.gz'],
  ['manifest', 'manifest.json'],
] as const)
  test(
    `one byte of the ${what} changed: the table is not dropped, that is named, and the other one goes`,
    withOldLogs(async (logs) => {
      await logs.retain();
      changeByte(join(logs.archiveOf('logs_2024_01'), name));

      const outcome = await logs.retain('--grace 0d --json');

      expect(outcome.exitCode).toBe(1);
      expect(states(outcome)).toEqual({
        'public.logs_2024_01': 'left',
        'public.logs_2024_02': 'dropped drop',
      });
      expect(obstacleOf(outcome, 'logs_2024_01')?.problem).toMatch(
        /was changed|is no JSON|check does not fit/,
      );
      const restore = await logs.run(
        `partitions restore ${logs.archiveOf('logs_2024_01')} --into aside --json`,
      );
      expect(restore.json().error.code).toBe('archive-damaged');
      expect(await logs.sql`SELECT FROM pg_class WHERE relname = 'aside'`).toHaveLength(0);

      // Moved away, it is made anew from the table, which is still there.
      renameSync(logs.archiveOf('logs_2024_01'), join(logs.folder, 'damaged'));
      expect(states(expectDone(await logs.retain('--grace 0d --json')))).toEqual({
        'public.logs_2024_01': 'dropped archive drop',
      });
      expectDone(await logs.run(`partitions restore ${logs.archiveOf('logs_2024_01')}`));
      expect((await logs.control()).rows).toBe(1000);
    }),
  );

test(
  'each byte of an archive counts: none can be changed without being found',
  withOldLogs(async (logs) => {
    await logs.sql`DELETE FROM logs WHERE at < '2024-02-01+09' AND id > 2`;
    await logs.retain('--grace 0d');
    const path = join(logs.archiveOf('logs_2024_01'), 'logs_2024_01.copy.gz');
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at += 7) {
      writeFileSync(
        path,
        Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from([(bytes[at] as number) ^ 1]),
          bytes.subarray(at + 1),
        ]),
      );
      const outcome = await logs.run(
        `partitions restore ${logs.archiveOf('logs_2024_01')} --into aside --json`,
      );
      expect(outcome.json().error?.code, `at ${at}`).toBe('archive-damaged');
    }
  }),
);

test(
  'an archive that is gone is named, and made anew where a folder is named',
  withOldLogs(async (logs) => {
    await logs.retain();
    rmSync(logs.archives, { recursive: true });
    const unmounted = await logs.retain('--grace 0d --json');
    expect(unmounted.exitCode).toBe(2);
    expect(unmounted.json().error).toMatchObject({ code: 'folder-missing' });
    const without = await logs.run('partitions retain logs --keep 24mo --grace 0d --yes --json');
    expect(without.exitCode).toBe(1);
    expect(obstacleOf(without, 'logs_2024_01')?.problem).toContain('is gone');

    mkdirSync(logs.archives);
    expect(states(expectDone(await logs.retain('--grace 7d --json')))).toMatchObject({
      'public.logs_2024_01': 'archived',
    });
    const anew = expectDone(await logs.retain('--grace 0d --json'));
    expect(states(anew)).toMatchObject({ 'public.logs_2024_01': 'dropped archive drop' });
    expect(existsSync(join(logs.archiveOf('logs_2024_01'), 'manifest.json'))).toBe(true);
  }),
);

test(
  'an archive that was moved is found where archives go now',
  withOldLogs(async (logs) => {
    await logs.retain();
    renameSync(logs.archives, join(logs.folder, 'elsewhere'));
    const outcome = await logs.run(
      'partitions retain logs --keep 24mo --archive elsewhere --grace 0d --yes --json',
    );
    expect(states(outcome)).toMatchObject({ 'public.logs_2024_01': 'dropped drop' });
  }),
);

for (const [what, write, problem] of [
  ['a row was deleted', 'DELETE FROM logs_2024_01 WHERE id = 5', 'holds 499 rows, its archive'],
  [
    'a row was put in',
    `ALTER TABLE logs_2024_01 DROP CONSTRAINT retired_by_eduschema; INSERT INTO logs_2024_01 SELECT id + 1000, material_id, note, amount, raw, at FROM logs_2024_01 LIMIT 1`,
    'holds 501 rows, its archive',
  ],
  [
    'a value was changed',
    `ALTER TABLE logs_2024_01 DROP CONSTRAINT retired_by_eduschema; UPDATE logs_2024_01 SET amount = amount + 1 WHERE id = 5`,
    'holds other rows than its archive',
  ],
  [
    'two values were exchanged',
    `ALTER TABLE logs_2024_01 DROP CONSTRAINT retired_by_eduschema; UPDATE logs_2024_01 SET note = CASE id WHEN 105 THEN 'a 98' ELSE 'a 98' END WHERE false; UPDATE logs_2024_01 l SET amount = o.amount FROM logs_2024_01 o WHERE l.id = 11 - o.id AND l.id IN (5, 6)`,
    'holds other rows than its archive',
  ],
  [
    'a column was added',
    'ALTER TABLE logs_2024_01 ADD COLUMN extra int',
    'has other columns than its archive',
  ],
] as const)
  test(
    `a retired table in which ${what} is not dropped`,
    withOldLogs(async (logs) => {
      await logs.retain();
      await logs.sql.unsafe(write);
      const outcome = await logs.retain('--grace 0d --json');
      expect(outcome.exitCode).toBe(1);
      expect(states(outcome)).toMatchObject({ 'public.logs_2024_01': 'left' });
      expect(obstacleOf(outcome, 'logs_2024_01')?.problem).toContain(problem);
      expect(await logs.sql`SELECT FROM pg_class WHERE relname = 'logs_2024_01'`).toHaveLength(1);
    }),
  );

test(
  'rows in another order are the same rows: a table that was rewritten is dropped',
  withOldLogs(async (logs) => {
    await logs.retain();
    await logs.sql.unsafe(
      'CREATE INDEX by_amount ON logs_2024_01 (amount DESC); CLUSTER logs_2024_01 USING by_amount',
    );
    expect(states(expectDone(await logs.retain('--grace 0d --json')))).toMatchObject({
      'public.logs_2024_01': 'dropped drop',
    });
  }),
);

test(
  'a writer who is at work when the table is to go is waited for, and what he did is seen',
  withOldLogs(async (logs) => {
    await logs.retain();
    const writer = await openClient(logs, 'writer');
    await writer.begin('DELETE FROM logs_2024_01 WHERE id = 7');
    const retiring = logs.retain('--grace 0d --json');
    setTimeout(() => void writer.sql.unsafe('COMMIT').execute(), 700);
    const outcome = await retiring;
    expect(obstacleOf(outcome, 'logs_2024_01')?.problem).toContain('holds 499 rows');
    expect(states(outcome)).toMatchObject({ 'public.logs_2024_02': 'dropped drop' });
  }),
);

test(
  'a mark that somebody changed is named, and nothing is done with its table',
  withOldLogs(async (logs) => {
    await logs.retain();
    const [found] = await logs.sql`SELECT obj_description('logs_2024_01'::regclass) AS text`;
    const changed = String(found?.text).replace(/"dropAfter":"\d+/, '"dropAfter":"2020');
    await logs.sql.unsafe(`COMMENT ON TABLE logs_2024_01 IS '${changed}'`);

    const outcome = await logs.retain('--grace 0d --json');

    expect(outcome.exitCode).toBe(1);
    expect(obstacleOf(outcome, 'logs_2024_01')?.problem).toContain('its mark was altered');
  }),
);

test(
  'a partition that was attached again by hand is left alone, and named',
  withOldLogs(async (logs) => {
    await logs.retain();
    await logs.sql.unsafe(
      `ALTER TABLE logs ATTACH PARTITION logs_2024_01 FOR VALUES FROM ('2024-01-01+09') TO ('2024-02-01+09')`,
    );
    const outcome = await logs.retain('--grace 0d --json');
    expect(outcome.exitCode).toBe(1);
    expect(obstacleOf(outcome, 'logs_2024_01')).toMatchObject({
      problem: 'it was attached again by hand',
      remedy: expect.stringContaining('DROP CONSTRAINT IF EXISTS retired_by_eduschema'),
    });
    expect(await partitionsOf(logs)).toContain('logs_2024_01');

    await logs.sql.unsafe(
      `ALTER TABLE logs_2024_01 DROP CONSTRAINT IF EXISTS retired_by_eduschema; COMMENT ON TABLE logs_2024_01 IS NULL`,
    );
    expect(states(expectDone(await logs.retain('--json')))).toMatchObject({
      'public.logs_2024_01': 'archived detach archive',
    });
  }),
);

test(
  'a view that was made of a retired table keeps it from being dropped, by name',
  withOldLogs(async (logs) => {
    await logs.retain();
    await logs.sql`CREATE VIEW still_used AS SELECT * FROM logs_2024_01`;
    const outcome = await logs.retain('--grace 0d --json');
    expect(states(outcome)).toEqual({ 'public.logs_2024_01': 'left', 'public.logs_2024_02': 'dropped drop' });
    expect(obstacleOf(outcome, 'logs_2024_01')?.problem).toContain('other objects depend on it');
  }),
);

test(
  'a concurrent detach that was cut off is brought to its end',
  withOldLogs(async (logs) => {
    const before = await logs.control();
    const reader = await openClient(logs, 'reader');
    await reader.begin('SELECT count(*) FROM logs');
    const child = logs.connect({ max: 1 });
    const [{ pid }] = await child<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
    const detaching = child
      .unsafe('ALTER TABLE logs DETACH PARTITION logs_2024_01 CONCURRENTLY')
      .catch((error) => error);
    await expect
      .poll(async () => (await logs.sql`SELECT FROM pg_inherits WHERE inhdetachpending`).length)
      .toBe(1);
    await logs.sql`SELECT pg_terminate_backend(${pid})`;
    await detaching;
    await reader.sql.unsafe('ROLLBACK');

    expect((await logs.retain('--dry-run')).stdout).toContain(
      'DETACH PARTITION "public"."logs_2024_01" FINALIZE',
    );
    expect(states(expectDone(await logs.retain('--json')))).toEqual({
      'public.logs_2024_01': 'archived detach archive',
      'public.logs_2024_02': 'archived detach archive',
    });
    expect(await logs.control()).toEqual(before);
  }),
);

test(
  'a lock that never comes ends the run with whoever holds it, and the next run goes on',
  withOldLogs(
    async (logs) => {
      const holder = await openClient(logs, 'holder');
      await holder.begin('SELECT FROM logs LIMIT 1');
      const outcome = await logs.retain('--lock-deadline 8 --json');
      expect(outcome.exitCode).toBe(2);
      expect(outcome.json().error).toMatchObject({
        message: expect.stringContaining('detach public.logs_2024_01 from public.logs'),
        details: { blockers: expect.arrayContaining([expect.objectContaining({ pid: holder.pid })]) },
      });
      expect(await partitionsOf(logs)).toHaveLength(4);
      await holder.sql.unsafe('ROLLBACK');
      expect(states(expectDone(await logs.retain('--json')))).toMatchObject({
        'public.logs_2024_01': 'archived detach archive',
      });
    },
    { withDefault: true },
  ),
  60_000,
);

test(
  'two at once: one works, the other waits and finds it done',
  withOldLogs(async (logs) => {
    const before = await logs.control();
    const [one, other] = await Promise.all([logs.retain('--json'), logs.retain('--json')]);
    expectDone(one as never);
    expectDone(other as never);
    expect(await logs.control()).toEqual(before);
    expect(readdirSync(join(logs.archives, logs.name))).toEqual([
      'public.logs_2024_01',
      'public.logs_2024_02',
    ]);
    await Promise.all([logs.retain('--grace 0d'), logs.retain('--grace 0d')]);
    expect((await logs.control()).rows).toBe(500);
  }),
);

test(
  'what a killed run left half-made is replaced; what is no archive is refused',
  withOldLogs(async (logs) => {
    const home = join(logs.archives, logs.name);
    mkdirSync(join(home, '.public.logs_2024_01.partial'), { recursive: true });
    writeFileSync(join(home, '.public.logs_2024_01.partial', 'logs_2024_01.copy.gz'), 'half');
    mkdirSync(join(home, 'public.logs_2024_02'));
    writeFileSync(join(home, 'public.logs_2024_02', 'notes.txt'), 'mine');

    const outcome = await logs.retain('--grace 0d --json');

    expect(states(outcome)).toEqual({
      'public.logs_2024_01': 'dropped detach archive drop',
      'public.logs_2024_02': 'left detach',
    });
    expect(readdirSync(home).sort()).toEqual(['public.logs_2024_01', 'public.logs_2024_02']);
    expect(readFileSync(join(home, 'public.logs_2024_02', 'notes.txt'), 'utf8')).toBe('mine');
    expect((await logs.control()).rows).toBe(1000);
  }),
);

test(
  'a folder for archives may be a link; a link that leads nowhere in the place of an archive is refused',
  withOldLogs(async (logs) => {
    renameSync(logs.archives, join(logs.folder, 'real'));
    symlinkSync(join(logs.folder, 'real'), logs.archives);
    mkdirSync(join(logs.folder, 'real', logs.name));
    symlinkSync('/nonexistent/x', join(logs.folder, 'real', logs.name, 'public.logs_2024_02'));
    const outcome = await logs.retain('--json');
    expect(states(outcome)).toEqual({
      'public.logs_2024_01': 'archived detach archive',
      'public.logs_2024_02': 'left detach',
    });
    expect(existsSync(join(logs.folder, 'real', logs.name, 'public.logs_2024_01', 'manifest.json'))).toBe(
      true,
    );
  }),
);

/** Whether this machine lets us mount; a container often does not. */
function mounts(folder: string, options: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test(
  'a full disk leaves the table as it is and nothing behind; with room the next run goes on',
  withOldLogs(
    async (logs) => {
      await logs.sql`ALTER TABLE logs DROP CONSTRAINT logs_pkey`;
      await logs.sql`INSERT INTO logs SELECT n, 1, md5(n::text) || md5((n * 7)::text), 1, '', '2024-01-05+09' FROM generate_series(1, 30000) n`;
      const before = await logs.control();
      if (!mounts(logs.archives, 'size=512k')) return;
      try {
        const outcome = await logs.retain('--json');
        expect(outcome.exitCode).toBe(2);
        expect(outcome.json().error).toMatchObject({
          code: 'archive-failed',
          message: expect.stringContaining('the disk is full'),
          hint: expect.stringContaining('the rows are all in the database'),
        });
        expect(readdirSync(join(logs.archives, logs.name))).toEqual([]);
        expect(await logs.control()).toEqual(before);
        execFileSync('mount', ['-o', 'remount,size=64m', logs.archives]);
        expect(states(expectDone(await logs.retain('--json')))).toMatchObject({
          'public.logs_2024_01': 'archived archive',
        });
        expect(await logs.control()).toEqual(before);

        execFileSync('mount', ['-o', 'remount,ro', logs.archives]);
        await logs.run('partitions restore logs_2024_01 --for 0d');
        rmSync(join(logs.folder, 'x'), { force: true });
        const drop = expectDone(await logs.retain('--grace 0d --json'));
        expect(states(drop)).toMatchObject({ 'public.logs_2024_01': 'dropped detach archive drop' });
      } finally {
        execFileSync('umount', [logs.archives]);
      }
    },
    { withReference: false },
  ),
  60_000,
);

test(
  'a folder that takes no files is named, before the table is touched again',
  withOldLogs(async (logs) => {
    if (!mounts(logs.archives, 'size=1m,ro')) return;
    try {
      const outcome = await logs.retain('--json');
      expect(outcome.json().error).toMatchObject({
        code: 'archive-failed',
        message: expect.stringContaining('mounted for reading alone'),
      });
    } finally {
      execFileSync('umount', [logs.archives]);
    }
    expect(states(expectDone(await logs.retain('--json')))).toMatchObject({
      'public.logs_2024_01': 'archived archive',
    });
  }),
);

test('on a standby nothing is done, and that is no error', async () => {
  const server = await startEmbedded(undefined, (data) => writeFileSync(join(data, 'standby.signal'), ''));
  try {
    const sql = postgres(server.url, { max: 1 });
    expect(await sql`SELECT pg_is_in_recovery() AS standby`).toEqual([{ standby: true }]);
    await sql.end();
    const outcome = await eduschema('partitions retain logs --keep 24mo --yes', {
      env: { DATABASE_URL: server.url },
    });
    expect(outcome).toMatchObject({
      exitCode: 0,
      stdout: 'this server is a standby: nothing is done here\n',
    });
  } finally {
    await server.stop();
  }
}, 60_000);
