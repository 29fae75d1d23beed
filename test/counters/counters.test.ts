import { expect, test } from 'vitest';
import { type Counter, counters } from '../../src/counters/counters.ts';
import { raiseCounters } from '../../src/counters/queries.ts';
import { addMaterials, asRole, withLibrary } from '../education/library.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';

const run = ({ url }: TestDatabase, line: string, answer?: string) =>
  eduschema(line, { env: { DATABASE_URL: url }, ...(answer === undefined ? {} : { answer }) });

/** The name of the partition of this month. */
async function leafOf({ sql }: TestDatabase, table: string): Promise<string> {
  const [row] = await sql<{ name: string }[]>`
    SELECT ${table} || to_char(now() AT TIME ZONE 'Asia/Seoul', '_YYYY_MM') AS name`;
  return row?.name ?? '';
}

const countsOf = ({ sql }: TestDatabase) =>
  sql`SELECT id::int, download_count::int AS downloads, view_count::int AS views FROM materials ORDER BY id`;

test(
  'rows that went into a partition past the trigger are found, and added by rebuild',
  withLibrary(async (database) => {
    const { sql } = database;
    const [one, two, three] = await addMaterials(sql, '하나', '둘', '셋');
    await sql`INSERT INTO download_logs (material_id) SELECT unnest(ARRAY[${one}, ${one}, ${two}]::bigint[])`;
    expect(await run(database, 'counters verify')).toMatchObject({
      exitCode: 0,
      stdout: 'no counter is lower than its logs; 3 logs of 2 materials compared\n',
    });
    await sql.unsafe(
      `INSERT INTO ${await leafOf(database, 'download_logs')} (material_id) SELECT ${one} FROM generate_series(1, 5)`,
    );
    await sql.unsafe(
      `INSERT INTO ${await leafOf(database, 'view_logs')} (material_id) SELECT ${three} FROM generate_series(1, 2)`,
    );

    const found = await run(database, 'counters verify --json');

    expect(found.exitCode).toBe(1);
    expect(found.json()).toMatchObject({
      ok: false,
      summary: { low: 2, missing: 7, logs: 10, materials: 3, uncounted: [] },
    });
    expect(found.json().rows).toEqual([
      { id: one, counter: 'download_count', count: 2, logs: 7, missing: 5 },
      { id: three, counter: 'view_count', count: 0, logs: 2, missing: 2 },
    ]);

    const dry = await run(database, 'counters rebuild --dry-run');
    expect(dry.stdout).toContain('2 counters of 2 materials would be raised');
    expect((await run(database, 'counters rebuild')).stderr).toContain('add --yes');
    expect((await run(database, 'counters rebuild', 'no')).exitCode).toBe(2);
    expect((await run(database, 'counters rebuild', 'yes')).stdout).toContain(
      '2 counters of 2 materials raised',
    );
    expect(await countsOf(database)).toEqual([
      { id: Number(one), downloads: 7, views: 0 },
      { id: Number(two), downloads: 1, views: 0 },
      { id: Number(three), downloads: 0, views: 2 },
    ]);
    expect((await run(database, 'counters verify')).exitCode).toBe(0);
    expect((await run(database, 'counters rebuild --yes')).stdout).toBe(
      'no counter is lower than its logs\n',
    );
  }),
);

test(
  'a counter above its logs is right, since old logs are retired: rebuild lowers none',
  withLibrary(async (database) => {
    const { sql } = database;
    const [one] = await addMaterials(sql, '하나');
    await sql`INSERT INTO view_logs (material_id) SELECT ${one} FROM generate_series(1, 9)`;
    await sql`DELETE FROM view_logs WHERE id IN (SELECT id FROM view_logs LIMIT 6)`;
    expect((await run(database, 'counters verify')).exitCode).toBe(0);
    await run(database, 'counters rebuild --yes');
    expect(await countsOf(database)).toMatchObject([{ views: 9 }]);

    // What went past the trigger is covered by what was deleted: nobody can tell.
    await sql.unsafe(
      `INSERT INTO ${await leafOf(database, 'view_logs')} (material_id) SELECT ${one} FROM generate_series(1, 4)`,
    );
    expect((await run(database, 'counters verify')).exitCode).toBe(0);
  }),
);

for (const [how, statement, problem] of [
  [
    'off',
    'ALTER TABLE view_logs DISABLE TRIGGER increment_material_views',
    'is off: ALTER TABLE public.view_logs ENABLE TRIGGER',
  ],
  [
    'on for replicas alone',
    'ALTER TABLE view_logs ENABLE REPLICA TRIGGER increment_material_views',
    'is off: ALTER TABLE',
  ],
  ['gone', 'DROP TRIGGER increment_material_views ON view_logs', 'has no trigger increment_material_views'],
] as const)
  test(
    `a trigger that is ${how} is a finding, also while no counter is wrong`,
    withLibrary(async (database) => {
      await database.sql.unsafe(statement);
      const outcome = await run(database, 'counters verify');
      expect(outcome.exitCode).toBe(1);
      expect(outcome.stderr).toContain(problem);
    }),
  );

test(
  'what is counted while rebuild is at work is neither lost nor counted twice, and nobody deadlocks',
  withLibrary(async (database) => {
    const { sql, connect } = database;
    const ids = await addMaterials(sql, ...Array.from({ length: 40 }, (_, n) => `자료 ${n}`));
    const leaf = await leafOf(database, 'download_logs');
    await sql.unsafe(`INSERT INTO ${leaf} (material_id) SELECT id FROM materials, generate_series(1, 50)`);
    const writers = connect({ max: 8 });
    let over = false;
    let written = 0;
    const writing = Array.from({ length: 8 }, async (_, writer) => {
      while (!over) {
        const order = [...ids].sort(() => (writer % 2 ? 1 : -1)).slice(writer, writer + 9);
        await writers`INSERT INTO download_logs (material_id) SELECT unnest(${order}::bigint[])`;
        written += 9;
      }
    });

    const outcomes = await Promise.all([1, 2].map(() => run(database, 'counters rebuild --yes --json')));
    over = true;
    await Promise.all(writing);

    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(written).toBeGreaterThan(0);
    expect(
      await sql`SELECT m.id FROM materials m WHERE download_count <> (SELECT count(*) FROM download_logs l WHERE l.material_id = m.id)`,
    ).toHaveLength(0);
  }),
);

test(
  'rebuild writes nothing into the audit log, and changes no updated_at',
  withLibrary(async (database) => {
    const { sql } = database;
    const [one] = await addMaterials(sql, '하나');
    await sql.unsafe(`INSERT INTO ${await leafOf(database, 'download_logs')} (material_id) VALUES (${one})`);
    const before = [await sql`SELECT updated_at FROM materials`, await sql`SELECT count(*) FROM audit_log`];
    await run(database, 'counters rebuild --yes');
    expect([await sql`SELECT updated_at FROM materials`, await sql`SELECT count(*) FROM audit_log`]).toEqual(
      before,
    );
    expect(await countsOf(database)).toMatchObject([{ downloads: 1 }]);
  }),
);

test(
  'whoever row security shows a part of the materials is told so, instead of that all is well',
  withLibrary(async (database) => {
    const { sql } = database;
    const { name, url } = await database.createUser();
    await sql.unsafe(`GRANT education_app TO ${name}`);
    const outcome = await eduschema('counters verify --json', { env: { DATABASE_URL: url } });
    expect(outcome.exitCode).toBe(2);
    expect(outcome.json().error).toMatchObject({
      code: 'permission-denied',
      message: 'row security hides rows of public.materials',
    });
    await asRole(sql, name, async (own) => expect(await own`SELECT FROM materials`).toHaveLength(0));
  }),
);

test(
  'and so is whoever it shows a part of the logs, and a role that rounds what it prints counts to the last row',
  withLibrary(async (database) => {
    const { sql } = database;
    const [id] = await addMaterials(sql, '하나');
    await sql`INSERT INTO download_logs (material_id) SELECT ${id} FROM generate_series(1, 3)`;
    await sql`ALTER TABLE materials DISABLE TRIGGER USER`;
    await sql`UPDATE materials SET download_count = 1234567890123457`;
    const { name, url } = await database.createUser();
    await sql.unsafe(`
      GRANT USAGE ON SCHEMA public TO ${name}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${name}; ALTER ROLE ${name} SET extra_float_digits = -15;
      ALTER TABLE materials DISABLE ROW LEVEL SECURITY; ALTER TABLE download_logs ENABLE ROW LEVEL SECURITY`);
    const verify = () => eduschema('counters verify --json', { env: { DATABASE_URL: url } });

    const hidden = await verify();
    expect(hidden.exitCode).toBe(2);
    expect(hidden.json().error.message).toBe('row security hides rows of public.download_logs');

    await sql`ALTER TABLE download_logs DISABLE ROW LEVEL SECURITY`;
    expect((await verify()).json().summary).toMatchObject({ low: 0, logs: 3, materials: 1 });
    await sql`UPDATE materials SET download_count = 1`;
    expect((await verify()).json().rows).toEqual([
      { id, counter: 'download_count', count: 1, logs: 3, missing: 2 },
    ]);
  }),
);

test(
  'without the education schema it says so',
  withDatabase(async (database) => {
    const outcome = await run(database, 'counters verify');
    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toContain('there is no table public.materials');
    expect(outcome.stderr).toContain('--schema says where it is');
  }),
);

test(
  'a counter that counted more meanwhile than it lacked is raised all the same',
  withLibrary(async (database) => {
    const { sql, connect } = database;
    const [id] = await addMaterials(sql, '하나');
    await sql.unsafe(
      `INSERT INTO ${await leafOf(database, 'download_logs')} (material_id) VALUES (${id}), (${id})`,
    );
    const other = connect({ max: 1 });
    const low = [{ id: String(id), counter: 'download_count', count: 0, logs: 2, missing: 2 }];
    await other`INSERT INTO download_logs (material_id) SELECT ${String(id)}::bigint FROM generate_series(1, 10)`;

    await sql.begin((inside) => raiseCounters(inside, 'public', counters[0] as Counter, low));

    expect(await countsOf(database)).toMatchObject([{ downloads: 12 }]);
  }),
);
