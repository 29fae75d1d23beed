import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';

const files = {
  '1.0.0_one.sql': 'CREATE TABLE one (id int);',
  '1.1.0_two.sql': 'CREATE TABLE two (id int);',
};

describe('the journal', () => {
  it(
    'keeps what the guide keeps, and who, when, how long and what text',
    withProject(files, async ({ migrate, sql }) => {
      await migrate();

      const rows =
        await sql`SELECT version, description, kind, checksum, checksum_algorithm, duration_ms >= 0 AS timed, applied_by = session_user AS own, tool_version, applied_at <= now() AS past FROM schema_versions ORDER BY version`;
      expect(rows[0]).toEqual({
        version: '1.0.0',
        description: 'one',
        kind: 'migration',
        checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
        checksum_algorithm: 'sha256-lf',
        timed: true,
        own: true,
        tool_version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        past: true,
      });
    }),
  );

  it(
    "adopts a table in the guide's shape: keeps its rows, matches them to files, and sees later edits",
    withProject(files, async ({ migrate, status, sql, write, versions }) => {
      await sql`CREATE TABLE one (id int)`;
      await sql`CREATE TABLE schema_versions (version varchar(20) PRIMARY KEY, applied_at timestamptz DEFAULT CURRENT_TIMESTAMP, description text)`;
      await sql`INSERT INTO schema_versions VALUES ('0.9', '2020-01-01Z', 'before the files'), ('1.0.0', '2024-01-25Z', 'Initial schema creation')`;
      expect((await status()).counts).toEqual({ applied: 2, pending: 1, edited: 0, missing: 0 });

      const { done } = await migrate();

      expect(done.map(({ version }) => version)).toEqual(['1.1.0']);
      expect(await versions()).toEqual(['0.9', '1.0.0', '1.1.0']);
      expect(
        await sql`SELECT description, kind, checksum IS NULL AS none FROM schema_versions ORDER BY version`,
      ).toEqual([
        { description: 'before the files', kind: 'adopted', none: true },
        { description: 'Initial schema creation', kind: 'adopted', none: false },
        { description: 'two', kind: 'migration', none: false },
      ]);

      write({ '1.0.0_one.sql': 'CREATE TABLE one (id bigint);' });
      await expect(migrate()).rejects.toMatchObject({ code: 'migration-edited' });
    }),
  );

  it(
    'is adopted even when nothing is pending',
    withProject({ '1.0.0_one.sql': 'CREATE TABLE one (id int);' }, async ({ migrate, sql }) => {
      await sql`CREATE TABLE schema_versions (version varchar(20) PRIMARY KEY, applied_at timestamptz DEFAULT CURRENT_TIMESTAMP, description text)`;
      await sql`INSERT INTO schema_versions (version) VALUES ('1.0')`;

      expect((await migrate()).done).toEqual([]);

      expect(await sql`SELECT version, kind, checksum IS NULL AS none FROM schema_versions`).toEqual([
        { version: '1.0', kind: 'adopted', none: false },
      ]);
    }),
  );

  it(
    'is refused when a table of its name is something else',
    withProject(files, async ({ migrate, sql }) => {
      await sql`CREATE TABLE schema_versions (version int, success boolean)`;

      await expect(migrate()).rejects.toMatchObject({ code: 'journal-invalid' });
    }),
  );

  it(
    'can have another schema and name, whatever search_path a migration sets',
    withProject(
      { '1_a.sql': 'CREATE SCHEMA x; SET search_path = x; CREATE TABLE t (id int);' },
      async ({ migrate, settings, sql }) => {
        await migrate({}, { journal: { schema: '이력 "관리"', name: 'Versions' } });

        expect(await sql`SELECT version FROM "이력 ""관리"""."Versions"`).toEqual([{ version: '1' }]);
        expect(await sql`SELECT to_regclass('schema_versions') AS none`).toEqual([{ none: null }]);
        expect(settings.journal.name).toBe('schema_versions');
      },
    ),
  );

  it(
    'is not created by reading',
    withProject(files, async ({ status, migrate, sql }) => {
      await status();
      await migrate({ dryRun: true });

      expect(await sql`SELECT to_regclass('schema_versions') AS none`).toEqual([{ none: null }]);
    }),
  );

  it(
    'is created once by two first runs at the same moment',
    withProject(files, async ({ migrate, versions }) => {
      const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => migrate()));

      expect(outcomes.map(({ status }) => status)).toEqual(Array(5).fill('fulfilled'));
      expect(await versions()).toEqual(['1.0.0', '1.1.0']);
    }),
  );
});
