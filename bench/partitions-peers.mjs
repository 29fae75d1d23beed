// pg_partman 4.7 and eduschema at the same work on the same tables: months made ahead, a table converted, months retired.
//   node bench/partitions-peers.mjs [--rows=1000000] [--verbs=ensure,convert,retain]
// Needs a built clone (npm ci), and of Debian 12 postgresql-15, postgresql-15-partman and python3-psycopg2 (for pg_partman's
// dump_partition.py). It starts a PostgreSQL 15 of its own with default durability settings, run by root as postgres.
// Told of each: seconds; WAL written, which is what was moved; size of the archive; the longest that each lock was held that stops readers or
// writers (looked at each 5 ms); the longest that an insert a 20 ms had to wait.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';

const argument = (name, otherwise) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
const rows = Number(argument('rows', 1_000_000));
const verbs = argument('verbs', 'ensure,convert,retain').split(',');
const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
const home = '/usr/lib/postgresql/15/bin';
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
chmodSync(scratch, 0o755);
const port = 20_000 + Math.floor(Math.random() * 10_000);
const urlOf = (database) => `postgres://postgres@127.0.0.1:${port}/${database}`;
const asPostgres = (...command) =>
  execFileSync('setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', ...command], {
    cwd: scratch,
    stdio: ['ignore', 'ignore', 'inherit'],
  });

const monthsAgo = (count) => `date_trunc('month', now() AT TIME ZONE 'UTC') - interval '${count} months'`;
const columns = `id bigint NOT NULL, material_id bigint NOT NULL, user_agent text, at timestamptz NOT NULL, referer text, session text`;
/** Rows spread evenly between two moments. */
const fill = (table, from, to) => `INSERT INTO ${table}
  SELECT n, 1 + n % 5000, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) ' || n % 97, (${from}) AT TIME ZONE 'UTC' + ((${to}) - (${from})) * (n::float8 / ${rows + 1}),
         'https://edu.example/materials/' || n % 5000, md5(n::text) FROM generate_series(1, ${rows}) n`;

/** A partitioned table as pg_partman makes it, which eduschema takes as it is. */
const partitioned = (back, premake) => `
  CREATE TABLE logs (${columns}, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE INDEX ON logs (material_id, at);
  SELECT partman.create_parent('public.logs', 'at', 'native', 'monthly', p_premake := ${premake},
    p_start_partition := (${monthsAgo(back)})::text);`;

const works = {
  ensure: {
    title: '24 months made ahead',
    prepare: partitioned(0, 1),
    pg_partman: [
      sqlOf(
        `UPDATE partman.part_config SET premake = 24; SELECT partman.run_maintenance('public.logs', p_analyze := false)`,
      ),
    ],
    eduschema: ['partitions', 'ensure', 'logs', '--ahead', '24mo', '--zone', 'UTC'],
  },
  convert: {
    title: `a table of ${rows.toLocaleString('en')} rows of 6 months converted`,
    prepare: `CREATE TABLE logs (${columns}, PRIMARY KEY (id)); CREATE INDEX ON logs (material_id, at);
      ${fill('logs', monthsAgo(6), monthsAgo(0))};`,
    // The way of its howto that keeps rows whole; until a row was moved nobody sees it.
    pg_partman: [
      sqlOf(`ALTER TABLE logs RENAME TO old_logs; CREATE TABLE logs (${columns}) PARTITION BY RANGE (at); CREATE INDEX ON logs (material_id, at);
        SELECT partman.create_parent('public.logs', 'at', 'native', 'monthly', p_premake := 3, p_start_partition := (${monthsAgo(6)})::text,
          p_template_table := NULL)`),
      sqlOf(
        `CALL partman.partition_data_proc('public.logs', p_batch := 1000, p_wait := 0, p_source_table := 'public.old_logs')`,
      ),
    ],
    eduschema: ['partitions', 'convert', 'logs', '--by', 'at', '--zone', 'UTC', '--yes'],
  },
  retain: {
    title: `a month of ${rows.toLocaleString('en')} rows, and an empty one, retired with an archive`,
    prepare: `${partitioned(26, 1)} ${fill('logs', monthsAgo(26), monthsAgo(25))};`,
    // Detached into a schema of their own, dumped with a hash, dropped; nothing is read back.
    pg_partman: [
      sqlOf(`CREATE SCHEMA retired; UPDATE partman.part_config SET retention = '24 months', retention_schema = 'retired', retention_keep_table = true;
        SELECT partman.run_maintenance('public.logs', p_analyze := false)`),
      (database) => [
        '/usr/bin/python3',
        `${home}/dump_partition.py`,
        ...[
          '-n',
          'retired',
          '-c',
          `host=127.0.0.1 port=${port} user=postgres dbname=${database}`,
          '-o',
          join(scratch, 'dumps'),
        ],
        ...[
          '-d',
          database,
          '--dump_host',
          '127.0.0.1',
          '--dump_port',
          `${port}`,
          '--dump_username',
          'postgres',
          '--pg_dump_path',
          `${home}/pg_dump`,
        ],
      ],
    ],
    eduschema: [
      'partitions',
      'retain',
      'logs',
      '--keep',
      '24mo',
      '--zone',
      'UTC',
      '--archive',
      'archives',
      '--grace',
      '0d',
      '--yes',
    ],
  },
};

function sqlOf(statements) {
  return (database) => [
    `${home}/psql`,
    '-Xq',
    '-v',
    'ON_ERROR_STOP=1',
    '-d',
    urlOf(database),
    '-c',
    statements,
  ];
}

for (const folder of ['data', 'dumps', 'archives']) mkdirSync(join(scratch, folder));
execFileSync('chown', ['postgres', join(scratch, 'data')]);
asPostgres(`${home}/initdb`, '-D', join(scratch, 'data'), '-A', 'trust', '--locale=C.UTF-8', '-E', 'UTF8');
asPostgres(
  `${home}/pg_ctl`,
  '-D',
  join(scratch, 'data'),
  '-w',
  '-l',
  join(scratch, 'data', 'log'),
  '-o',
  `-p ${port} -k ${join(scratch, 'data')} -c listen_addresses=127.0.0.1`,
  'start',
);
try {
  for (const verb of verbs) await compare(verb);
} finally {
  asPostgres(`${home}/pg_ctl`, '-D', join(scratch, 'data'), '-m', 'immediate', 'stop');
  rmSync(scratch, { recursive: true, force: true });
}

async function compare(verb) {
  const { title, prepare, ...tools } = works[verb];
  console.log(`${verb}: ${title}`);
  for (const tool of ['pg_partman', 'eduschema']) {
    const database = `${verb}_${tool}`;
    const admin = postgres(urlOf('postgres'), { max: 1, onnotice: () => {} });
    await admin.unsafe(`CREATE DATABASE ${database}`);
    await admin.end();
    const sql = postgres(urlOf(database), { max: 1, onnotice: () => {} });
    await sql.unsafe('CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman');
    await sql.unsafe(prepare);
    await sql.unsafe('VACUUM ANALYZE');
    await sql.unsafe('CHECKPOINT');
    await sql.end();
    const commands =
      tool === 'eduschema'
        ? [() => [process.execPath, bin, ...tools.eduschema, '--url', urlOf(database)]]
        : tools.pg_partman;
    console.log(`  ${tool.padEnd(11)} ${await measure(database, commands)}`);
  }
}

/** Runs the commands while locks are looked at and rows are inserted, and says what was seen. */
async function measure(database, commands) {
  const watch = postgres(urlOf(database), { max: 1, onnotice: () => {} });
  const writer = postgres(urlOf(database), { max: 1, onnotice: () => {}, connection: { lock_timeout: 0 } });
  const [before] = await watch`SELECT pg_current_wal_lsn() AS lsn`;
  let over = false;
  const held = new Map();
  const looking = lookAtLocks(watch, held, () => over);
  let stall = 0;
  const writing = insertRows(
    writer,
    (milliseconds) => (stall = Math.max(stall, milliseconds)),
    () => over,
  );
  const started = performance.now();
  let problem;
  for (const command of commands) {
    const [file, ...args] = command(database);
    // Beside the watch, so not in its way.
    problem = await runBeside(file, args);
    if (problem) break;
  }
  const seconds = (performance.now() - started) / 1000;
  over = true;
  await Promise.all([looking, writing]);
  const [{ bytes }] = await watch`SELECT (pg_current_wal_lsn() - ${before.lsn}::pg_lsn)::float8 AS bytes`;
  await watch.end();
  await writer.end();
  if (problem) return `did not come to the end: ${problem}`;
  const locks = [...held].map(([lock, { longest }]) => `${lock} ${longest.toFixed(0)} ms`);
  return `${seconds.toFixed(2)} s, WAL ${(bytes / 1e6).toFixed(1)} MB${archived()}, insert waited ${stall.toFixed(0)} ms at most\n    locks: ${locks.join('; ') || 'none that stops reads or writes was seen'}`;
}

/** What lies in the folders for archives, which are emptied. */
function archived() {
  const bytes = ['dumps', 'archives'].map((folder) =>
    Number(
      execFileSync('du', ['-sb', '--apparent-size', join(scratch, folder)], { encoding: 'utf8' }).split(
        '\t',
      )[0],
    ),
  );
  const found = Math.max(...bytes);
  for (const folder of ['dumps', 'archives']) {
    rmSync(join(scratch, folder), { recursive: true, force: true });
    mkdirSync(join(scratch, folder));
  }
  return found > 100_000 ? `, archive ${(found / 1e6).toFixed(1)} MB` : '';
}

async function runBeside(file, args) {
  return new Promise((done) => {
    const child = spawn(file, args, {
      cwd: scratch,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, CI: '1' },
    });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.once('close', (code) =>
      done(code === 0 ? undefined : stderr.trim().split('\n')[0] || `exit ${code}`),
    );
  });
}

async function lookAtLocks(sql, held, isOver) {
  while (!isOver()) {
    const now = performance.now();
    const found = await sql`
      SELECT DISTINCT l.relation::regclass::text || ' ' || l.mode AS lock FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
      JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE l.granted AND n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname IN ('logs', 'logs_default', 'old_logs')
        AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')`;
    const seen = new Set(found.map(({ lock }) => lock));
    for (const lock of seen) {
      const span = held.get(lock) ?? { since: undefined, longest: 0 };
      span.since ??= now;
      span.longest = Math.max(span.longest, performance.now() - span.since);
      held.set(lock, span);
    }
    for (const [lock, span] of held) if (!seen.has(lock)) span.since = undefined;
    await sleep(5);
  }
}

async function insertRows(sql, tell, isOver) {
  for (let n = 0; !isOver(); n++) {
    const started = performance.now();
    await sql.unsafe(`INSERT INTO logs VALUES (${1_000_000_000 + n}, 1, '', now(), '', '')`).catch(() => {});
    tell(performance.now() - started);
    await sleep(20);
  }
}
