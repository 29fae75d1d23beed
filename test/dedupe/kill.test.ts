import type postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { startProcess } from '../helpers/process.ts';
import { contentsOf, merge, one, undo } from './duplicates.ts';

const library = `
  CREATE TABLE books (id int PRIMARY KEY, name text, hits int NOT NULL DEFAULT 1, note text);
  CREATE TABLE loans (id int PRIMARY KEY, book int NOT NULL REFERENCES books ON DELETE CASCADE);
  CREATE TABLE tagged (book int REFERENCES books ON DELETE CASCADE, tag int, PRIMARY KEY (book, tag));
  INSERT INTO books SELECT n, 'book ' || n % 20, 1, CASE WHEN n > 20 THEN 'note' END FROM generate_series(1, 80) n;
  INSERT INTO loans SELECT n, n FROM generate_series(1, 80) n;
  INSERT INTO tagged SELECT n, n % 3 FROM generate_series(1, 80) n;`;
const request = {
  table: 'books',
  key: ['name'],
  sum: ['hits'],
  fill: ['note'],
  keep: `shot('order') + id`,
} as const;

/** Where the session is ended, the first time and, in the middle of the work, once more. */
const phases = {
  move: 'BEFORE UPDATE ON loans',
  collide: 'BEFORE DELETE ON tagged',
  'move others': 'BEFORE UPDATE ON tagged',
  remove: 'BEFORE DELETE ON books',
  change: 'BEFORE UPDATE ON books',
};
const ofUndo = {
  restore: 'BEFORE INSERT ON books',
  'restore others': 'BEFORE INSERT ON tagged',
  'move back': 'BEFORE UPDATE ON loans',
  'change back': 'BEFORE UPDATE ON books',
  'forget the log': 'BEFORE DELETE ON schema_versions_dedupe_log',
  'record the undo': 'BEFORE UPDATE ON schema_versions_dedupe',
};
const ofJournal = {
  log: 'BEFORE INSERT ON schema_versions_dedupe_log',
  record: 'BEFORE UPDATE ON schema_versions_dedupe',
};

/** A sequence counts on though the transaction is rolled back. */
const gun = `
  CREATE TABLE phases (phase text PRIMARY KEY, shots regclass, places int[]);
  CREATE FUNCTION shot(place text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF nextval((SELECT shots FROM phases WHERE phase = place)) = ANY ((SELECT places FROM phases WHERE phase = place)::bigint[]) THEN
      PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5);
    END IF; RETURN 0; END $$;
  CREATE FUNCTION shoot() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM shot(tg_argv[0]); RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END; END $$;`;

async function aim(sql: postgres.Sql, wanted: Record<string, string>, places: string): Promise<void> {
  for (const [phase, when] of Object.entries(wanted)) {
    const name = phase.replaceAll(' ', '_');
    await sql.unsafe(`CREATE SEQUENCE shots_${name}; INSERT INTO phases VALUES ('${phase}', 'shots_${name}', '${places}');
      ${when ? `CREATE TRIGGER shoot_${name} ${when} FOR EACH ROW EXECUTE FUNCTION shoot('${phase}')` : ''}`);
  }
}

/** Runs it until it comes to its end; says how often it was killed. */
async function insist(work: () => Promise<unknown>): Promise<number> {
  for (let kills = 0; kills < 60; kills++) {
    const error = await work().then(
      () => undefined,
      (reason) => reason,
    );
    if (error === undefined) return kills;
    expect(error).toMatchObject({ code: expect.stringMatching(/connection-failed|database-error/) });
  }
  throw new Error('it never came to its end');
}

const notFired = (sql: postgres.Sql) =>
  sql.unsafe(
    `SELECT phase FROM phases WHERE (SELECT coalesce(pg_sequence_last_value(shots), 0)) < (SELECT max(p) FROM unnest(places) p)`,
  );

describe('a dedupe that is killed', () => {
  it(
    'in each phase loses nothing, goes on with the same run, and so does its undo',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library + gun);
      const before = await contentsOf(sql, 'books', 'loans', 'tagged');
      await aim(sql, { order: '', ...phases }, '{2,9}');

      const work = () => merge(test, request, { batchRows: 7 });
      let kills = 0;
      // The journal is there once the first batch was begun.
      for (; (await one(sql, `SELECT to_regclass('schema_versions_dedupe')`)) === null; kills++)
        await work().catch(() => {});
      await aim(sql, ofJournal, '{1,8}');
      kills += await insist(work);

      expect(await notFired(sql)).toEqual([]);
      expect(kills).toBeGreaterThanOrEqual(14);
      expect(await sql`SELECT run::int, state, removed::int FROM schema_versions_dedupe`).toEqual([
        { run: 1, state: 'done', removed: 60 },
      ]);
      expect(
        await one(
          sql,
          `SELECT jsonb_build_array((SELECT count(*) FROM books), (SELECT sum(hits) FROM books), (SELECT count(*) FROM loans),
          (SELECT count(*) FROM tagged) + (SELECT count(*) FROM schema_versions_dedupe_log WHERE note IN ('merged', 'kept aside')))`,
        ),
      ).toEqual([20, 80, 80, 80]);

      for (const [phase, when] of Object.entries({ ...phases, ...ofJournal }))
        await sql.unsafe(`DROP TRIGGER shoot_${phase.replaceAll(' ', '_')} ON ${when.split(' ').at(-1)}`);
      await sql`TRUNCATE phases`;
      await sql.unsafe(
        `DROP SEQUENCE ${['order', ...Object.keys(phases), ...Object.keys(ofJournal)].map((phase) => `shots_${phase.replaceAll(' ', '_')}`).join(', ')}`,
      );
      await aim(sql, ofUndo, '{2,9}');
      const killsOfUndo = await insist(() => undo(test, 1));

      expect(await notFired(sql)).toEqual([]);
      expect(killsOfUndo).toBeGreaterThanOrEqual(10);
      expect(await contentsOf(sql, 'books', 'loans', 'tagged')).toEqual(before);
    }),
    300_000,
  );

  it(
    'as a process leaves whole batches, and the next one goes on',
    withDatabase(async (test) => {
      const { sql, url } = test;
      await sql.unsafe(library);
      const before = await contentsOf(sql, 'books', 'loans', 'tagged');
      const line = 'dedupe books --key name --sum hits --batch-rows 3 --yes --json';
      let [exitCode, runs]: [number | null, number] = [null, 0];
      for (; exitCode !== 0 && runs < 60; runs++) {
        const run = startProcess(line, '/', { DATABASE_URL: url });
        let batches = 0;
        run.child.stderr?.on('data', (data) => {
          batches += String(data).split('"progress"').length - 1;
          if (batches > 2 && runs < 4) run.child.kill('SIGKILL');
        });
        exitCode = (await run.ended).exitCode;
        expect(exitCode === null || exitCode === 0).toBe(true);
        expect(await one(sql, 'SELECT sum(hits)::int FROM books')).toBe(80);
      }

      expect(runs).toBeGreaterThan(2);
      expect(await one(sql, 'SELECT count(*)::int FROM books')).toBe(20);
      expect(await one(sql, 'SELECT count(*)::int FROM schema_versions_dedupe')).toBe(1);
      await undo(test);
      expect(await contentsOf(sql, 'books', 'loans', 'tagged')).toEqual(before);
    }),
    120_000,
  );
});
