// Kills `eduschema migrate` at random moments, and checks that plain reruns come to what an undisturbed run does: the
// same catalogue, data and journal.
//   node test/kills.mjs [--kills=300] [--seed=1] [--from-plan | --pooler]          needs a built clone (npm ci)
// With --from-plan each run carries out a plan that was made before the first one.
// Uses the server of KILLS_DATABASE_URL (a superuser's URL of a server on this machine), else an embedded one.
// Kills: the process (SIGKILL); the backend of the migrations or of the turn; a crash of the whole server, or of
// PgBouncer, through which all runs go with --pooler; Ctrl-C. Counted are those that hit while a migration ran.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { startPooler } from './kills-pooler.mjs';

const option = (name, otherwise) =>
  Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise);
const wanted = option('kills', 300);
const seed = option('seed', 1);
const pooled = process.argv.includes('--pooler');
const random = mulberry32(seed);
const fromPlan = process.argv.includes('--from-plan');
const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-kills-'));

/** https://github.com/cprosche/mulberry32 */
function mulberry32(state) {
  let a = state;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// In a crash postgres.js writes into a socket that is closed, or drops an error of the server, where nobody can catch it.
process.on('uncaughtException', (error) => {
  if (!/reading 'write'/.test(error.message) && !/^57P0/.test(error.code)) throw error;
});

const print = (line) => process.stdout.write(`${line}\n`);

const outside = '-- migrate:up transaction:false\n';
const rows = (from, count) =>
  Array.from({ length: count }, (_, i) => `${from + i}\tnote ${from + i}\t${(from + i) % 7}`).join('\n');
const files = {
  '1_tables.sql': `CREATE TABLE t (id int, note text, kind int);
CREATE TABLE log (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE INDEX log_at ON log (at);
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TABLE hooked (what text);
INSERT INTO log SELECT n, date '2026-01-01' + n % 59 FROM generate_series(1, 3000) n;`,
  '2_rows.sql': `INSERT INTO t SELECT n, 'row ' || n, n % 7 FROM generate_series(1, 20000) n;
SELECT pg_sleep(0.05);
UPDATE t SET note = note || '!' WHERE id % 3 = 0;`,
  '3_copy.sql': `COPY t FROM stdin;\n${rows(30_001, 20_000)}\n\\.\nSELECT pg_sleep(0.03);`,
  '4_outside.sql': `${outside}${pooled ? '' : "SET maintenance_work_mem = '8MB';\n"}INSERT INTO t VALUES (60001, 'once', 1);
CREATE INDEX CONCURRENTLY t_note ON t (note);
UPDATE t SET kind = kind + 100 WHERE id <= 5000;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id);
ALTER TABLE t ADD CONSTRAINT t_kind CHECK (kind >= 0) NOT VALID;
ALTER TABLE t VALIDATE CONSTRAINT t_kind;
ALTER TYPE mood ADD VALUE 'mixed' BEFORE 'high';
BEGIN;
INSERT INTO t VALUES (60002, 'in a block', 2);
SELECT pg_sleep(0.03);
UPDATE t SET note = note || '?' WHERE id % 5 = 0;
COMMIT;
COPY t FROM stdin;
${rows(70_001, 15_000)}
\\.
CREATE INDEX CONCURRENTLY ON t (kind, id) WHERE kind > 3;
VACUUM t;
DO $$ BEGIN INSERT INTO t VALUES (60003, 'do', 3); PERFORM pg_sleep(0.02); END $$;
REINDEX INDEX CONCURRENTLY t_note;
ALTER TABLE log DETACH PARTITION log_1 CONCURRENTLY;
DROP INDEX CONCURRENTLY t_note;
REINDEX TABLE CONCURRENTLY t;
INSERT INTO t SELECT n, 'last', 0 FROM generate_series(90001, 90500) n;`,
  '5_code.ts': `export const up = async (sql: any) => {
  for (let n = 0; n < 20; n++) await sql\`INSERT INTO t VALUES (\${61000 + n}, 'code', \${n})\`;
  await sql\`SELECT pg_sleep(0.03)\`;
};`,
  '6_code_outside.ts': `export const transaction = false;
export const up = async (sql: any) => {
  for (let n = 0; n < 10; n++) await sql\`INSERT INTO t VALUES (\${62000 + n}, 'again', \${n}) ON CONFLICT (id) DO NOTHING\`;
};`,
  '7_last.sql': `ALTER TABLE t ADD late int NOT NULL DEFAULT 3;\nSELECT pg_sleep(0.02);`,
  'repeatable/view.sql': `CREATE OR REPLACE VIEW kinds AS SELECT kind, count(*) AS n FROM t GROUP BY kind;`,
};

const folder = join(scratch, 'project');
mkdirSync(join(folder, 'migrations', 'repeatable'), { recursive: true });
for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'migrations', name), text);
const hooks = {
  before: 'SELECT pg_sleep(0.02)',
  after: [
    "INSERT INTO hooked VALUES ('after')",
    'SELECT pg_sleep(0.05)',
    "INSERT INTO hooked VALUES ('last')",
  ],
};
writeFileSync(join(folder, 'eduschema.config.json'), JSON.stringify({ hooks }));

/** What is hit, by the name of the migration that runs. */
const kindsOfMigration = {
  '1_tables': 'a transaction',
  '2_rows': 'a transaction',
  '3_copy': 'COPY',
  '4_outside': 'outside a transaction',
  '5_code': 'TypeScript',
  '6_code_outside': 'TypeScript outside a transaction',
  '7_last': 'a transaction',
  'before hook': 'a hook',
  'after hook': 'a hook',
  'repeatable view': 'a repeatable migration',
};

const terminate = (name) => (database) =>
  ask(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '${name}' AND datname = '${database.name}'`,
  );
const kinds = {
  'process (SIGKILL)': (_, { child }) => child.kill('SIGKILL'),
  'backend of the migrations': terminate('eduschema migration%'),
  'backend of the turn': terminate('eduschema'),
  'Ctrl-C': (_, { child }) => child.kill('SIGINT'),
  'crash of the server': async (database) => {
    const [worker] = await ask(
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'eduschema%' AND datname = '${database.name}' LIMIT 1`,
    );
    if (worker) process.kill(worker.pid, 'SIGKILL');
    return worker ? [worker] : [];
  },
  'crash of PgBouncer': () => pooler.crash(),
};

const url = process.env.KILLS_DATABASE_URL ?? startServer();
const pooler = pooled ? await startPooler(url) : undefined;
const tally = { kind: {}, hit: {} };
const count = (what, name) => {
  tally[what][name] = (tally[what][name] ?? 0) + 1;
};
const failures = [];
let total = 0;
let missed = 0;
try {
  const undisturbed = await onNewDatabase(async (database) => {
    await run(database).ended;
    await ask(`DROP DATABASE ${database.name} WITH (FORCE)`);
    await ask(`CREATE DATABASE ${database.name}`);
    const started = performance.now();
    const { code, output, durations } = await run(database).ended;
    if (code !== 0) throw new Error(`the undisturbed run failed: ${output}`);
    return { milliseconds: performance.now() - started, durations, state: await stateOf(database) };
  });
  print(
    `undisturbed: ${Math.round(undisturbed.milliseconds)} ms; seed ${seed}${pooled ? '; through PgBouncer' : ''}`,
  );
  while (total < wanted) await killAndRerun(undisturbed);
  const list = (counts) =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, number]) => `${number} ${name}`)
      .join(', ');
  print(`${total} kills while a migration ran: ${list(tally.kind)}`);
  print(`  what ran: ${list(tally.hit)}`);
  print(`  not counted: ${missed} before the first or after the last one`);
  print(
    failures.length === 0
      ? 'every rerun came to the same catalogue, data and journal'
      : `${failures.length} FAILED:\n${failures.join('\n')}`,
  );
  if (failures.length > 0) process.exitCode = 1;
} finally {
  await pooler?.stop();
  if (!process.env.KILLS_DATABASE_URL) eduschema(['db', 'reset', '--yes'], scratch);
  rmSync(scratch, { recursive: true, force: true });
}

function eduschema(args, cwd) {
  return execFileSync(process.execPath, [bin, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function startServer() {
  eduschema(['db', 'start'], scratch);
  return eduschema(['db', 'url'], scratch).trim();
}

/** In a connection of its own: a crash would take a lasting one, and postgres.js may then wait for ever. */
async function ask(query, of = url) {
  const sql = connect(of);
  try {
    const answer = await Promise.race([sql.unsafe(query), sleep(20_000, undefined, { ref: false })]);
    if (answer === undefined) throw new Error('no answer');
    return answer;
  } finally {
    void sql.end({ timeout: 0 });
  }
}

function connect(to) {
  return postgres(to, { max: 1, fetch_types: false, onnotice: () => {}, connect_timeout: 30 });
}

async function onNewDatabase(use) {
  const name = `kills_${process.pid}_${Math.floor(Math.random() * 1e9)}`;
  await retried(() => ask(`CREATE DATABASE ${name}`));
  const of = new URL(url);
  of.pathname = `/${name}`;
  try {
    const database = { name, url: of.href, plan: join(folder, `${name}.json`) };
    if (fromPlan) eduschema(['migrate', '--plan', database.plan, '--url', database.url], folder);
    return await use(database);
  } finally {
    await retried(() => ask(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  }
}

/** After a crash the server takes a moment. */
async function retried(work) {
  for (let left = 900; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 0) throw error;
      await sleep(100);
    }
  }
}

/** A run, of which the events on stderr say what it is at. */
function run(database) {
  const options = fromPlan ? ['--from-plan', database.plan] : [];
  const child = spawn(process.execPath, [bin, 'migrate', ...options, '--json'], {
    cwd: folder,
    env: { ...process.env, DATABASE_URL: pooler?.urlOf(database.url) ?? database.url, EDUSCHEMA_LEASE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const state = { child, at: undefined, durations: {} };
  const waiting = new Map();
  let output = '';
  let talk = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    talk += chunk;
    const lines = talk.split('\n');
    talk = lines.pop();
    for (const line of lines) {
      const { event, name, durationMs } = line.startsWith('{') ? JSON.parse(line) : {};
      if (event === 'started') {
        state.at = name;
        waiting.get(name)?.();
      } else if (event === 'done') {
        state.at = undefined;
        state.durations[name] = durationMs;
      }
    }
  });
  state.ended = new Promise((done) =>
    child.on('close', (code, signal) => done({ code, signal, output, durations: state.durations })),
  );
  /** Resolves when the migration has begun. */
  state.begun = (name) => new Promise((resolve) => waiting.set(name, resolve));
  return state;
}

/** Reads in short transactions, for which CONCURRENTLY has to wait. */
function readMeanwhile(database) {
  let stopped = false;
  const ended = (async () => {
    while (!stopped) {
      const wait = 0.02 + Math.random() * 0.06;
      await ask(`BEGIN; SELECT count(*) FROM pg_class; SELECT pg_sleep(${wait}); COMMIT`, database.url).catch(
        () => sleep(20),
      );
    }
  })();
  return async () => {
    stopped = true;
    await ended;
  };
}

function pickKind() {
  const at = random();
  if (at < 0.4) return 'process (SIGKILL)';
  if (at < 0.7) return 'backend of the migrations';
  if (at < 0.8) return 'backend of the turn';
  if (at < 0.9) return 'Ctrl-C';
  return pooled ? 'crash of PgBouncer' : 'crash of the server';
}

/** Migrations that are not recorded yet. */
async function pendingIn(database) {
  const names = Object.keys(kindsOfMigration);
  const found = await ask('SELECT version FROM schema_versions', database.url).catch(() => []);
  const done = new Set(found.map(({ version }) => version));
  return names.filter((name) => !done.has(name.split('_')[0]));
}

/** Mostly one migration is aimed at, as short ones would hardly be hit; sometimes any moment at all. */
async function pickMoment(database, undisturbed) {
  if (random() < 0.2) return { afterMs: 80 + random() * undisturbed.milliseconds * 1.1 };
  const pending = await pendingIn(database);
  const target = pending[Math.floor(random() * pending.length)];
  return { target, afterMs: random() * (undisturbed.durations[target] ?? 0) * 1.1 };
}

async function killAndRerun(undisturbed) {
  await onNewDatabase(async (database) => {
    const stopReading = readMeanwhile(database);
    const told = [];
    try {
      for (let times = 1 + Math.floor(random() * 3); times > 0; times--) {
        const kind = pickKind();
        const { target, afterMs } = await pickMoment(database, undisturbed);
        told.push(`${kind} after ${Math.round(afterMs)} ms${target ? ` of ${target}` : ''}`);
        const running = run(database);
        const { ended } = running;
        const moment = target ? running.begun(target).then(() => sleep(afterMs)) : sleep(afterMs);
        const early = await Promise.race([ended, moment]);
        if (early) break;
        const { at } = running;
        const hit = await Promise.resolve(kinds[kind](database, running)).catch(() => []);
        if (hit === true || hit?.length > 0) {
          if (at) {
            total++;
            count('kind', kind);
            count('hit', kindsOfMigration[at] ?? at);
          } else missed++;
        }
        const { code, signal, output } = await ended;
        if (kind !== 'process (SIGKILL)' && !/^\{/.test(output))
          fail(`${kind} ended it without a word: ${endOf(code, signal)}`);
        await retried(() => ask('SELECT 1'));
        if (pooler) await retried(() => ask('SELECT 1', pooler.urlOf(database.url)));
      }
      await stopReading();
      const { code, signal, output } = await run(database).ended;
      const state = code === 0 ? await stateOf(database) : `${endOf(code, signal)} ${output}`;
      if (state !== undisturbed.state) fail(`${told.join(', ')}: ${difference(state, undisturbed.state)}`);
    } finally {
      await stopReading();
    }
  });
  if (process.stderr.isTTY || process.env.KILLS_VERBOSE)
    process.stderr.write(`\r${total} of ${wanted}, ${failures.length} failed `);
}

/** A signal that this script did not send is somebody else's. */
function endOf(code, signal) {
  return signal ? `ended by ${signal}` : `exit ${code}`;
}

function fail(what) {
  const line = `${new Date().toISOString()} ${what}`;
  failures.push(line);
  process.stderr.write(`\n${line}\n`);
}

function difference(found, expected) {
  const lines = expected.split('\n');
  return (
    found
      .split('\n')
      .filter((line) => !lines.includes(line))
      .slice(0, 6)
      .join(' | ')
      .slice(0, 1500) || 'lines are missing'
  );
}

/** Catalogue, data and journal as text. */
async function stateOf(database) {
  const found = await ask(
    `
      SELECT 'table ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS line
      FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
      UNION ALL
      SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || attnotnull
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
      WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
      UNION ALL
      SELECT 'index ' || pg_get_indexdef(indexrelid) || ' valid ' || indisvalid || ' ready ' || indisready
      FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
      UNION ALL
      SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
      UNION ALL
      SELECT 'partition ' || inhrelid::regclass || ' of ' || inhparent::regclass || inhdetachpending FROM pg_inherits
      UNION ALL
      SELECT 'label ' || enumsortorder || ' ' || enumlabel FROM pg_enum
      UNION ALL SELECT 'invalid toast index ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid
      UNION ALL SELECT 'view ' || viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public'
      UNION ALL SELECT 'data t ' || count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY id, note)) FROM t
      UNION ALL SELECT 'data log ' || count(*) || ' ' || md5(string_agg(log::text, ',' ORDER BY id)) FROM log
      UNION ALL SELECT 'data log_1 ' || count(*) || ' ' || md5(string_agg(l::text, ',' ORDER BY id)) FROM log_1 l
      UNION ALL SELECT 'hooked ' || string_agg(what, ',') FROM hooked
      UNION ALL SELECT 'due ' || hook FROM schema_versions_hooks
      UNION ALL SELECT 'journal ' || version || ' ' || kind || ' ' || checksum FROM schema_versions
      UNION ALL SELECT 'repeatable ' || name || ' ' || checksum FROM schema_versions_repeatable
      UNION ALL SELECT 'statement ' || migration || ' ' || ordinal || ' ' || hash || ' ' || state || recorded FROM schema_versions_statements
      ORDER BY 1`,
    database.url,
  );
  return found.map(({ line }) => line).join('\n');
}
