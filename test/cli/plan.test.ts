import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eduschema } from '../helpers/eduschema.ts';
import { withProject } from '../helpers/project.ts';

const files = {
  '1.0.0_materials.sql': 'CREATE TABLE materials (id bigint PRIMARY KEY, title text);',
  '1.1.0_note.sql': '-- migrate:up placeholders:true\nALTER TABLE materials ADD note text DEFAULT $(note);',
  '1.2.0_fill.ts': 'export const up = async (sql: any) => { await sql`SELECT 1`; };',
};

const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');

describe('eduschema migrate --plan and --from-plan', () => {
  it(
    'say what was written, what it is to be signed by, and what was done',
    withProject(files, async ({ folder: cwd, url }) => {
      const surroundings = { cwd, env: { DATABASE_URL: url, EDUSCHEMA_PLACEHOLDER_NOTE: 'secret' } };

      const planned = await eduschema('migrate --plan plan.json', surroundings);

      const digest = sha256(readFileSync(join(cwd, 'plan.json')));
      expect([planned.exitCode, planned.stderr.split('\n'), planned.stdout.split('\n')]).toEqual([
        0,
        [
          'warning: the plan holds the values of note: where these are secret, so is the plan',
          'warning: migrations/1.2.0_fill.ts is code: the plan has the checksum of this file, not its statements, nor what it imports',
          '',
        ],
        [
          'version  description  transaction  statements',
          '1.0.0    materials    own                   1',
          '1.1.0    note         own                   1',
          '1.2.0    fill         own                code',
          '',
          'plan.json: 3 migrations, 2 statements; nothing was changed',
          `sha256: ${digest}`,
          'to carry it out: eduschema migrate --from-plan plan.json',
          '',
        ],
      ]);
      const done = await eduschema('migrate --from-plan plan.json', surroundings);
      expect([done.exitCode, done.stderr]).toEqual([0, '']);
      expect(done.stdout).toMatch(
        new RegExp(
          `3 migrations applied in \\d+ ms; the current version is 1\\.2\\.0\\nsha256 of the plan: ${digest}\\n$`,
        ),
      );
      expect((await eduschema('migrate --from-plan plan.json', surroundings)).stdout).toBe(
        `nothing to do; the current version is 1.2.0\nsha256 of the plan: ${digest}\n`,
      );
    }),
  );

  it(
    'speak JSON',
    withProject(files, async ({ folder: cwd, url, sql }) => {
      const surroundings = { cwd, env: { DATABASE_URL: url, EDUSCHEMA_PLACEHOLDER_NOTE: 'secret' } };

      const planned = (await eduschema('migrate --plan plan.json --to 1.1.0 --json', surroundings)).json();

      expect(planned).toEqual({
        ok: true,
        rows: [
          {
            name: '1.0.0_materials',
            version: '1.0.0',
            description: 'materials',
            file: 'migrations/1.0.0_materials.sql',
            transaction: 'own',
            statements: 1,
          },
          {
            name: '1.1.0_note',
            version: '1.1.0',
            description: 'note',
            file: 'migrations/1.1.0_note.sql',
            transaction: 'own',
            statements: 1,
          },
        ],
        summary: {
          planned: 2,
          current: null,
          file: 'plan.json',
          sha256: sha256(readFileSync(join(cwd, 'plan.json'))),
          fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
          warnings: ['the plan holds the values of note: where these are secret, so is the plan'],
        },
      });
      await sql`CREATE TABLE other (id int)`;
      const refused = await eduschema('migrate --from-plan plan.json --json', surroundings);
      expect([refused.exitCode, refused.json()]).toEqual([
        2,
        {
          ok: false,
          error: {
            code: 'plan-differs',
            message: 'one thing is not as when plan.json was made: nothing was run',
            hint: 'find out why, then make a new plan: eduschema migrate --plan plan.json',
            details: {
              count: 1,
              differences: [{ of: 'schema', change: 'new', name: 'table public.other' }],
            },
          },
        },
      ]);
      await sql`DROP TABLE other`;
      const done = (await eduschema('migrate --from-plan plan.json --json', surroundings)).json();
      expect(done.summary).toEqual({
        applied: 2,
        previous: null,
        current: '1.1.0',
        planSha256: planned.summary.sha256,
      });
    }),
  );

  it(
    'write the plan to stdout when asked to, and say its digest beside it',
    withProject(files, async ({ folder: cwd, url }) => {
      const surroundings = { cwd, env: { DATABASE_URL: url, EDUSCHEMA_PLACEHOLDER_NOTE: 'secret' } };

      const { stdout, stderr, exitCode } = await eduschema('migrate --plan - --steps 1', surroundings);

      expect([exitCode, stderr]).toEqual([0, `sha256: ${sha256(stdout)}\n`]);
      writeFileSync(join(cwd, 'saved.json'), stdout);
      expect((await eduschema('migrate --from-plan saved.json', surroundings)).stdout).toContain(
        '1 migration applied',
      );
    }),
  );

  it(
    'refuse options that contradict each other',
    withProject(files, async ({ folder: cwd, url }) => {
      const surroundings = { cwd, env: { DATABASE_URL: url, EDUSCHEMA_PLACEHOLDER_NOTE: 'secret' } };

      for (const [line, message] of [
        ['--from-plan a.json --plan b.json', '--from-plan and --plan cannot be used together'],
        ['--from-plan a.json --to 1.0.0', '--from-plan and --to cannot be used together'],
        ['--plan a.json --dry-run', '--plan and --dry-run cannot be used together'],
      ] as const) {
        const { exitCode, stderr } = await eduschema(`migrate ${line}`, surroundings);
        expect([exitCode, stderr.split('\n')[0]]).toEqual([2, message]);
      }
    }),
  );
});
