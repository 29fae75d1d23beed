import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EduschemaError } from '../../src/errors.ts';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { type Project, withProject } from '../helpers/project.ts';

const outside = '-- migrate:up transaction:false\n';

async function errorOf(promise: Promise<unknown>): Promise<EduschemaError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof EduschemaError) return error;
  throw error ?? new Error('nothing was thrown');
}

async function rowsOf({ sql }: Project, columns = 'ordinal, state, mode') {
  const rows = await sql.unsafe(
    `SELECT ${columns} FROM schema_versions_statements ORDER BY migration, ordinal`,
  );
  return rows.map((row) => Object.values(row).join(' '));
}

/** Makes the journal say that the statement was under way when its runner was killed. */
async function forget({ sql }: Project, ordinal: number, more = '') {
  await sql.unsafe(
    `UPDATE schema_versions_statements SET state = 'started', recorded = false ${more} WHERE ordinal = ${ordinal};
     UPDATE schema_versions_statements SET recorded = false;
     DELETE FROM schema_versions_statements WHERE ordinal > ${ordinal};
     DELETE FROM schema_versions WHERE version = '2'`,
  );
}

const watching = (events: MigrationEvent[]) => ({
  onProgress: (event: MigrationEvent) => events.push(event),
});
const messages = (events: MigrationEvent[]) =>
  events.flatMap((event) => (event.type === 'resumed' ? [event.message] : []));

const table = {
  '1_t.sql':
    'CREATE TABLE t (id int, note text); INSERT INTO t SELECT n, n::text FROM generate_series(1, 50) n;',
};

describe('the journal of statements', () => {
  it(
    'has a row for each statement of a migration outside a transaction, and keeps it',
    withProject(
      {
        ...table,
        '2_more.sql': `${outside}SET maintenance_work_mem = '2MB';
          INSERT INTO t VALUES (51, 'a;b');
          BEGIN; UPDATE t SET note = 'x' WHERE id = 1; COMMIT;
          CREATE INDEX CONCURRENTLY t_id ON t (id);
          VACUUM t;
          COPY t FROM stdin;
52\ty
\\.
          DO $$ BEGIN INSERT INTO t VALUES (53); COMMIT; END $$;`,
      },
      async (project) => {
        await project.migrate();

        expect(await rowsOf(project, 'ordinal, state, mode, recorded, left(statement, 20)')).toEqual([
          '1 done alone true SET maintenance_work',
          '2 done transaction true INSERT INTO t VALUES',
          '3 done transaction true BEGIN',
          '4 done transaction true UPDATE t SET note = ',
          '5 done transaction true COMMIT',
          '6 done alone true CREATE INDEX CONCURR',
          '7 done alone true VACUUM t',
          '8 done transaction true COPY t FROM stdin',
          '9 done alone true DO $$ BEGIN INSERT I',
        ]);
        expect(await project.sql`SELECT count(*)::int AS n FROM t`).toEqual([{ n: 53 }]);
      },
    ),
  );

  it(
    'lets a rerun go on behind the statement that failed, and repairs what it left',
    withProject(
      {
        ...table,
        '2_unique.sql': `${outside}INSERT INTO t VALUES (1, 'twice');\nCREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\nINSERT INTO t VALUES (99);`,
      },
      async (project) => {
        const error = await errorOf(project.migrate());
        expect(error.message).toBe('migration 2_unique failed at line 3 of migrations/2_unique.sql (23505)');
        expect(error.excerpt).toContain(
          'statement 1 of 3 was carried out and stays; 2_unique is not recorded',
        );
        expect(error.excerpt).toContain(
          'left behind: index public.t_id of public.t is invalid; the next run begins by repairing it',
        );
        expect(await rowsOf(project, 'ordinal, state, sqlstate')).toEqual(['1 done ', '2 failed 23505']);

        await project.sql`DELETE FROM t WHERE note = 'twice'`;
        const events: MigrationEvent[] = [];
        await project.migrate({}, watching(events));

        expect(messages(events)).toEqual([
          expect.stringMatching(/^going on with 2_unique at statement 2 of 3; begun 2/),
          'statement 2 of 2_unique: index public.t_id was left invalid: it is dropped and built again',
        ]);
        expect(
          await project.sql`SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 't_id'::regclass`,
        ).toEqual([{ valid: true }]);
        expect(await project.sql`SELECT count(*)::int AS n FROM t`).toEqual([{ n: 51 }]);
        expect(await project.versions()).toEqual(['1', '2']);
      },
    ),
  );

  it(
    'asks the server what became of a transaction under way',
    withProject(
      { ...table, '2_add.sql': `${outside}INSERT INTO t VALUES (51);\nINSERT INTO t VALUES (52);` },
      async (project) => {
        await project.migrate();
        await forget(project, 1);
        await project.migrate();
        expect(await project.sql`SELECT count(*)::int AS n FROM t WHERE id > 50`).toEqual([{ n: 3 }]);

        await forget(project, 2, ', transaction_id = NULL');
        await project.migrate();
        expect(await project.sql`SELECT count(*)::int AS n FROM t WHERE id > 50`).toEqual([{ n: 4 }]);

        const undone = await project.sql
          .begin(async (sql) => {
            const [row] = await sql`SELECT pg_current_xact_id()::text AS id`;
            throw new Error(row?.id);
          })
          .catch(({ message }: Error) => message);
        await forget(project, 2, `, transaction_id = '${undone}'`);
        await project.migrate();
        expect(await project.sql`SELECT count(*)::int AS n FROM t WHERE id > 50`).toEqual([{ n: 5 }]);
      },
    ),
  );

  it(
    'takes an index under way for done when it is valid and as the statement says, and asks when it differs',
    withProject(
      {
        ...table,
        '2_i.sql': `${outside}CREATE INDEX CONCURRENTLY "T I" ON t (lower(t.note)) WHERE id > 3;`,
      },
      async (project) => {
        await project.migrate();
        const [before] = await project.sql`SELECT '"T I"'::regclass::oid AS oid`;
        await forget(project, 1);
        const events: MigrationEvent[] = [];
        await project.migrate({}, watching(events));
        expect(messages(events)).toEqual(['statement 1 of 2_i: index public."T I" is valid and as it says']);
        expect(await project.sql`SELECT '"T I"'::regclass::oid AS oid`).toEqual([before]);

        await project.sql.unsafe('DROP INDEX "T I"; CREATE INDEX "T I" ON t (lower(note)) WHERE id > 4');
        await forget(project, 1);
        const error = await errorOf(project.migrate());
        expect(error.code).toBe('statement-unclear');
        expect(error.message).toContain(
          'index public."T I" is valid, but it is "USING btree (lower(note)) WHERE (id > 4)" and not "USING btree (lower(note)) WHERE (id > 3)"',
        );
      },
    ),
  );

  it(
    'drops an index without a name that it had begun, and no other',
    withProject(
      { ...table, '2_i.sql': `${outside}CREATE UNIQUE INDEX CONCURRENTLY ON t (id);` },
      async (project) => {
        await project.migrate({ to: '1' });
        await project.sql.unsafe('INSERT INTO t VALUES (1)');
        await project.sql.unsafe('CREATE UNIQUE INDEX CONCURRENTLY t_id_idx ON t (id)').catch(() => {});
        await errorOf(project.migrate());
        await project.sql.unsafe(`DELETE FROM t WHERE note IS NULL`);
        await project.migrate();
        expect(
          await project.sql`SELECT indexrelid::regclass::text AS index, indisvalid AS valid FROM pg_index
            WHERE indrelid = 't'::regclass ORDER BY 1`,
        ).toEqual([
          { index: 't_id_idx', valid: false },
          { index: 't_id_idx1', valid: true },
        ]);
      },
    ),
  );

  it.each(['IF NOT EXISTS ', ''])(
    'does not take an invalid index of somebody else for its own: %j',
    (words) =>
      withProject(
        { ...table, '2_i.sql': `${outside}CREATE UNIQUE INDEX CONCURRENTLY ${words}t_id ON t (id);` },
        async (project) => {
          await project.migrate({ to: '1' });
          await project.sql.unsafe('INSERT INTO t VALUES (1)');
          await project.sql.unsafe('CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id)').catch(() => {});
          const error = await errorOf(project.migrate());
          expect(error).toMatchObject({
            code: 'index-invalid',
            hint: 'DROP INDEX CONCURRENTLY public.t_id, and run eduschema migrate again',
          });
          expect(await project.versions()).toEqual(['1']);
        },
      )(),
  );

  it(
    'finalizes a partition that was left half detached',
    withProject(
      {
        '1_t.sql': `CREATE TABLE t (id int) PARTITION BY RANGE (id);
          CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (10);
          CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20);`,
        '2_detach.sql': `${outside}ALTER TABLE t DETACH PARTITION t1 CONCURRENTLY;`,
      },
      async (project) => {
        await project.migrate({ to: '1' });
        const reader = project.connect({ max: 1 });
        let release = () => {};
        const reading = reader.begin(async (sql) => {
          await sql`SELECT count(*) FROM t`;
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        });
        const migrating = errorOf(project.migrate());
        await waitFor(project, `SELECT 1 FROM pg_inherits WHERE inhdetachpending`);
        await project.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'eduschema migration' AND datname = current_database()`;
        const error = await migrating;
        release();
        await reading;
        expect(error.excerpt).toContain('left behind: partition public.t1 of public.t is being detached');

        const events: MigrationEvent[] = [];
        await project.migrate({}, watching(events));
        expect(messages(events)).toEqual([
          'statement 1 of 2_detach: t1 was left half detached: it is finalized',
        ]);
        expect(await project.sql`SELECT inhrelid::regclass::text AS name FROM pg_inherits`).toEqual([
          { name: 't2' },
        ]);
      },
    ),
  );

  it(
    'takes away what an interrupted REINDEX CONCURRENTLY left',
    withProject(
      {
        ...table,
        '2_i.sql': 'CREATE INDEX t_id ON t (id);',
        '3_reindex.sql': `${outside}REINDEX (VERBOSE) TABLE CONCURRENTLY t;`,
      },
      async (project) => {
        await project.migrate({ to: '2' });
        const reader = project.connect({ max: 1 });
        let release = () => {};
        const reading = reader.begin(async (sql) => {
          await sql`DELETE FROM t WHERE id = 1`;
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        });
        const migrating = errorOf(project.migrate());
        await waitFor(project, `SELECT 1 FROM pg_class WHERE relname LIKE '%ccnew'`);
        await sleep(50);
        await project.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'eduschema migration' AND datname = current_database()`;
        await migrating;
        release();
        await reading;
        expect(
          await project.sql`SELECT count(*)::int AS n FROM pg_index WHERE NOT indisvalid AND indrelid = 't'::regclass`,
        ).toEqual([{ n: 1 }]);

        await project.migrate();
        expect(await project.sql`SELECT relname FROM pg_class WHERE relname LIKE 't_id%'`).toEqual([
          { relname: 't_id' },
        ]);
        expect(await project.versions()).toEqual(['1', '2', '3']);
      },
    ),
  );

  it(
    'stops at what cannot be judged, shows both possibilities, and takes an answer',
    withProject(
      {
        '1_t.sql': `CREATE TABLE t (id int);
          CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO t VALUES (1); COMMIT; PERFORM 1 / count(*) FROM t WHERE id = 5; END $$;`,
        '2_call.sql': `${outside}CALL fill();\nINSERT INTO t VALUES (7);`,
      },
      async (project) => {
        await errorOf(project.migrate());
        const error = await errorOf(project.migrate());
        expect(error.code).toBe('statement-unclear');
        expect(error.message).toBe(
          'nobody can tell whether statement 1 of 2_call was carried out: it failed inside (division by zero), and may have committed a part by then',
        );
        expect(error.excerpt).toMatch(/CALL fill\(\)[\s\S]*--mark-done 1[\s\S]*--redo 1/);
        const at = { cwd: project.folder, env: { DATABASE_URL: project.url } };
        const wrong = await eduschema('migrate --redo 2 --json', at);
        expect(wrong).toMatchObject({ exitCode: 2 });
        expect(wrong.json().error.message).toBe('statement 2 of 2_call was not begun');
        expect((await eduschema('migrate --redo 1', at)).exitCode).toBe(2);
        expect(await project.sql`SELECT count(*)::int AS n FROM t`).toEqual([{ n: 2 }]);

        expect(await eduschema('migrate --mark-done 1', at)).toMatchObject({ exitCode: 0 });
        expect(await project.sql`SELECT id FROM t ORDER BY id`).toEqual([{ id: 1 }, { id: 1 }, { id: 7 }]);
        expect((await eduschema('migrate --redo 1 --json', at)).json()).toMatchObject({ ok: true });
      },
    ),
  );

  it(
    'refuses when a statement that was carried out was edited since, and lets the others be edited',
    withProject(
      {
        ...table,
        '2_two.sql': `${outside}INSERT INTO t VALUES (51);\nINSERT INTO missing VALUES (1);`,
      },
      async (project) => {
        await errorOf(project.migrate());
        project.write({ '2_two.sql': `${outside}INSERT INTO t VALUES (52);\nINSERT INTO t VALUES (1);` });
        const error = await errorOf(project.migrate());
        expect(error).toMatchObject({
          code: 'statement-edited',
          message:
            'statement 1 at line 2 of migrations/2_two.sql was carried out already, and was edited since',
          details: { ordinal: 1, statement: 'INSERT INTO t VALUES (51)' },
        });

        project.write({ '2_two.sql': `${outside}INSERT INTO t VALUES (51);\nINSERT INTO t VALUES (53);` });
        await project.migrate();
        expect(await project.sql`SELECT id FROM t WHERE id > 50 ORDER BY id`).toEqual([
          { id: 51 },
          { id: 53 },
        ]);
      },
    ),
  );

  it(
    'takes Windows line ends for no edit, in either direction',
    withProject(
      {
        ...table,
        '2_two.sql': `${outside}INSERT INTO t\nVALUES (51);\nCOPY t (id) FROM stdin;\n52\n\\.\nSELECT 1 / 0;`,
      },
      async (project) => {
        const path = join(project.settings.directory, '2_two.sql');
        const text = readFileSync(path, 'utf8');
        await errorOf(project.migrate());
        for (const again of [text.replaceAll('\n', '\r\n'), text]) {
          project.write({ '2_two.sql': again });
          expect(await errorOf(project.migrate())).toMatchObject({
            code: 'migration-failed',
            message: expect.stringContaining('at line 7 of'),
          });
        }
        project.write({ '2_two.sql': text.replaceAll('\n', '\r\n').replace('1 / 0', '1') });
        await project.migrate();

        expect(await project.sql`SELECT id FROM t WHERE id > 50 ORDER BY id`).toEqual([
          { id: 51 },
          { id: 52 },
        ]);
      },
    ),
  );

  it(
    'makes the settings of the session again',
    withProject(
      {
        '1_s.sql': `${outside}SET search_path = other, public; SET ROLE pg_monitor; RESET ROLE;
          CREATE SCHEMA other; CREATE TABLE t (id int); SELECT 1 / 0;`,
      },
      async (project) => {
        await errorOf(project.migrate());
        project.write({
          '1_s.sql': `${outside}SET search_path = other, public; SET ROLE pg_monitor; RESET ROLE;
          CREATE SCHEMA other; CREATE TABLE t (id int); INSERT INTO t VALUES (1);`,
        });
        await project.migrate();
        expect(await project.sql`SELECT id FROM other.t`).toEqual([{ id: 1 }]);
      },
    ),
  );

  it(
    'carries out a block of the migration as one, again when it was not committed',
    withProject(
      {
        ...table,
        '2_block.sql': `${outside}BEGIN ISOLATION LEVEL SERIALIZABLE;\nINSERT INTO t VALUES (51);\nSAVEPOINT a; INSERT INTO t VALUES (52); ROLLBACK TO a;\nINSERT INTO missing VALUES (1);\nCOMMIT;\nINSERT INTO t VALUES (53);`,
      },
      async (project) => {
        await errorOf(project.migrate());
        expect(await project.sql`SELECT count(*)::int AS n FROM t WHERE id > 50`).toEqual([{ n: 0 }]);
        await project.sql`CREATE TABLE missing (id int)`;
        await project.migrate();
        expect(await project.sql`SELECT id FROM t WHERE id > 50 ORDER BY id`).toEqual([
          { id: 51 },
          { id: 53 },
        ]);
      },
    ),
  );

  it(
    'shows in status and in the dry run how far it came',
    withProject(
      {
        ...table,
        '2_two.sql': `${outside}SET work_mem = '4MB';\nINSERT INTO t VALUES (51);\nSELECT 1 / 0;\nCOPY t FROM stdin;\n1\t\\N\n\\.\n`,
      },
      async (project) => {
        await errorOf(project.migrate());
        const at = { cwd: project.folder, env: { DATABASE_URL: project.url } };
        expect((await eduschema('status', at)).stdout).toMatch(
          /pending, 2 statements done, statement 3 failed/,
        );
        expect((await eduschema('status --json', at)).json().rows[1]).toMatchObject({
          state: 'pending',
          unfinished: { direction: 'up', done: [1, 2], begun: { ordinal: 3, error: 'division by zero' } },
        });
        const { script } = await project.migrate({ dryRun: true });
        expect(script).toContain(
          "SET work_mem = '4MB';\n-- statement 2 was carried out already\n-- statement 3 was begun already: eduschema finds out what became of it first\nSELECT 1 / 0;\nCOPY t FROM stdin;\n1\t\\N\n\\.\nSELECT 1;",
        );
      },
    ),
  );

  it(
    'is closed by a baseline',
    withProject(
      { ...table, '2_two.sql': `${outside}INSERT INTO t VALUES (51);\nSELECT 1 / 0;` },
      async (project) => {
        await errorOf(project.migrate());
        const at = { cwd: project.folder, env: { DATABASE_URL: project.url } };
        expect(await eduschema('baseline 2', at)).toMatchObject({ exitCode: 0 });
        expect((await eduschema('status --json', at)).json().rows[1]).toMatchObject({ unfinished: null });
        expect(await project.versions()).toEqual(['1', '2']);
      },
    ),
  );

  it(
    'says what a migration leaves unfinished',
    withProject(
      {
        ...table,
        '2_check.sql': 'ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0) NOT VALID;',
      },
      async ({ folder, url }) => {
        const outcome = await eduschema('migrate', { cwd: folder, env: { DATABASE_URL: url } });
        expect(outcome).toMatchObject({ exitCode: 0 });
        expect(outcome.stderr).toContain(
          'warning: 2_check: constraint c of public.t is not validated (ALTER TABLE public.t VALIDATE CONSTRAINT c)',
        );
      },
    ),
  );

  it(
    'waits for locks on the ladder, as migrations in a transaction do',
    withProject({ ...table, '2_a.sql': `${outside}ALTER TABLE t ADD more int;` }, async (project) => {
      await project.migrate({ to: '1' });
      const reader = project.connect({ max: 1 });
      let release = () => {};
      const reading = reader.begin(async (sql) => {
        await sql`SELECT count(*) FROM t`;
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      });
      const events: MigrationEvent[] = [];
      const migrating = project.migrate({}, watching(events));
      await sleep(900);
      await project.sql`SELECT count(*) FROM t`;
      release();
      await reading;
      await migrating;
      expect(events.some(({ type }) => type === 'retrying' || type === 'holding-off')).toBe(true);
    }),
  );
});

async function waitFor({ sql }: Project, query: string): Promise<void> {
  for (let left = 200; left > 0; left--) {
    if ((await sql.unsafe(query)).length > 0) return;
    await sleep(25);
  }
  throw new Error(`in vain: ${query}`);
}
