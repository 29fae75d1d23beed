import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withDatabase } from '../../src/db/connect.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { targetOf } from '../helpers/database.ts';
import { withFolder } from '../helpers/folder.ts';
import { type StartedServer, startEmbedded } from '../helpers/server.ts';

let server: StartedServer;
let sql: postgres.Sql;

beforeAll(async () => {
  server = await startEmbedded(undefined, (dataFolder) =>
    appendFileSync(
      join(dataFolder, 'postgresql.conf'),
      "autovacuum_naptime = '1s'\nautovacuum_vacuum_insert_threshold = 0\n",
    ),
  );
  sql = postgres(server.url, { max: 2, onnotice: () => {} });
}, 60_000);

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await server?.stop();
});

/** A table that autovacuum takes minutes for, and is at when this returns. */
async function tableInVacuum(name: string, options = ''): Promise<void> {
  await sql.unsafe(
    `CREATE TABLE ${name} (id int, pad text)
     WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1 ${options})`,
  );
  await sql.unsafe(`INSERT INTO ${name} SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i`);
}

async function untilVacuumed(pattern: string): Promise<void> {
  for (;;) {
    const found =
      await sql`SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE ${pattern}`;
    if (found.length > 0) return;
    await sleep(100);
  }
}

function alter(name: string, url: string, lockDeadlineSeconds: number) {
  const events: MigrationEvent[] = [];
  return withFolder({ [`migrations/1_${name}.sql`]: `ALTER TABLE ${name} ADD c int;` }, async (folder) => {
    const started = performance.now();
    const error = await withDatabase(targetOf(url), {}, (database) =>
      migrate(database, {
        directory: join(folder, 'migrations'),
        shownDirectory: 'migrations',
        journal: { schema: 'public', name: `journal_of_${name}` },
        lockDeadlineSeconds,
        onProgress: (event) => events.push(event),
      }),
    ).then(
      () => undefined,
      (reason) => reason,
    );
    return { error, events, ms: performance.now() - started };
  });
}

describe('autovacuum in the way', () => {
  it('gives way at once to a superuser, who may have the server look sooner', async () => {
    await tableInVacuum('a');
    await untilVacuumed('%VACUUM%public.a%');

    const { error, ms, events } = await alter('a', server.url, 30);

    expect(error).toBeUndefined();
    expect(events.filter(({ type }) => type === 'retrying')).toEqual([]);
    expect(ms).toBeLessThan(3000);
  }, 60_000);

  it('gives way to everybody else at the second try, which waits long enough', async () => {
    await tableInVacuum('b');
    await sql`CREATE ROLE deployer LOGIN PASSWORD 'pw'`;
    await sql`GRANT ALL ON SCHEMA public TO deployer`;
    await sql`ALTER TABLE b OWNER TO deployer`;
    await untilVacuumed('%VACUUM%public.b%');
    const url = Object.assign(new URL(server.url), { username: 'deployer', password: 'pw' }).href;

    const { error, events } = await alter('b', url, 30);

    expect(error).toBeUndefined();
    expect(events.filter(({ type }) => type === 'retrying')).toHaveLength(1);
    expect(events).toContainEqual({
      type: 'blocked',
      blockers: [
        expect.objectContaining({ kind: 'autovacuum', root: true, lockMode: 'ShareUpdateExclusiveLock' }),
      ],
    });
  }, 60_000);

  it('to prevent wraparound does not give way, and is named as that', async () => {
    await tableInVacuum('c', ', autovacuum_freeze_max_age = 100000');
    await sql.unsafe(
      'DO $$ BEGIN FOR i IN 1..110000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$',
    );
    await untilVacuumed('%public.c (to prevent wraparound)');

    const { error } = await alter('c', server.url, 2);

    expect(error.details).toMatchObject({
      sqlstate: '55P03',
      blockers: [{ kind: 'autovacuum to prevent wraparound', root: true, relation: 'c' }],
    });
    expect(error.excerpt).toContain('it does not give way');
  }, 120_000);
});
