import { describe, expect, it } from 'vitest';
import { eduschema } from '../helpers/eduschema.ts';
import { hasPgBouncer, withPooler } from '../helpers/pgbouncer.ts';
import { withProject } from '../helpers/project.ts';

const pause = 'await new Promise((done) => setTimeout(done, 3000));';
const inTransaction = {
  '1_slow.sql': 'CREATE TABLE t (n int); SELECT pg_sleep(3);',
  '2_slow.ts': `export const up = async (sql: any) => { await sql\`INSERT INTO t VALUES (2)\`; ${pause} await sql\`SELECT pg_sleep(3)\`; };`,
};
const outside = {
  '3_slow.sql': '-- migrate:up transaction:false\nSELECT pg_sleep(3);\nVACUUM t;\nINSERT INTO t VALUES (3);',
  '4_slow.ts': `export const transaction = false;\nexport const up = async (sql: any) => { ${pause} await sql\`INSERT INTO t VALUES (4)\`; };`,
};

const timeouts = [
  'idle_session_timeout',
  'statement_timeout',
  'idle_in_transaction_session_timeout',
  'lock_timeout',
];

describe('a server that ends sessions after two seconds', () => {
  it(
    'does not end a runner whose migrations take longer',
    withProject({ ...inTransaction, ...outside }, async ({ sql, name, migrate, versions }) => {
      const [{ version }] = await sql<[{ version: number }]>`
        SELECT current_setting('server_version_num')::int AS version`;
      for (const timeout of [...timeouts, ...(version >= 170000 ? ['transaction_timeout'] : [])])
        await sql.unsafe(`ALTER DATABASE ${name} SET ${timeout} = '2s'`);

      await migrate();

      expect(await versions()).toEqual(['1', '2', '3', '4']);
    }),
  );

  it.runIf(hasPgBouncer())(
    'nor one behind PgBouncer',
    withProject(inTransaction, ({ sql, name, url, folder, versions }) =>
      withPooler({}, async (pooler) => {
        for (const timeout of timeouts) await sql.unsafe(`ALTER DATABASE ${name} SET ${timeout} = '2s'`);

        const { exitCode, stderr } = await eduschema('migrate', {
          cwd: folder,
          env: { DATABASE_URL: pooler.urlOf(url) },
        });

        expect([exitCode, stderr]).toEqual([0, expect.stringContaining('a connection pooler stands')]);
        expect(await versions()).toEqual(['1', '2']);
      }),
    ),
  );
});

describe('--statement-timeout', () => {
  it.each([
    ['SQL', 'sql', 'SELECT 1;\nSELECT pg_sleep(60);', 'nothing of 1 was applied; no version is applied'],
    [
      'SQL outside a transaction',
      'sql',
      '-- migrate:up transaction:false\nSELECT pg_sleep(60);',
      'nothing of it was carried out; 1_never is not recorded',
    ],
    [
      'TypeScript',
      'ts',
      'export const up = (sql: any) => sql`SELECT pg_sleep(60)`;',
      'nothing of 1 was applied; no version is applied',
    ],
    [
      'TypeScript outside a transaction',
      'ts',
      'export const transaction = false;\nexport const up = (sql: any) => sql`SELECT pg_sleep(60)`;',
      'what it committed stays',
    ],
  ])('ends a migration that never ends: %s', (_, extension, text, outcome) =>
    withProject({ [`1_never.${extension}`]: text }, async ({ migrate, versions }) => {
      await expect(migrate({}, { statementTimeout: '300ms' })).rejects.toMatchObject({
        code: 'migration-failed',
        details: { sqlstate: '57014', reason: 'canceling statement due to statement timeout', outcome },
      });
      expect(await versions()).toEqual([]);
    })(),
  );
});
