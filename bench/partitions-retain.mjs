// Compares `eduschema partitions retain` (detach, archive, read back, compare, drop) with what a person types: DETACH,
// `psql -c "COPY ... TO STDOUT" | gzip`, DROP, which compares nothing. And `partitions restore` with CREATE, `gunzip | psql`, ATTACH.
//   node bench/partitions-retain.mjs [--rows=1000000] [--rounds=3]      needs a built clone (npm ci), psql, gzip, GNU time in /usr/bin
// Uses the server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const numberOf = (name, otherwise) =>
  Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise);
const rows = numberOf('rows', 1_000_000);
const rounds = numberOf('rounds', 3);
const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
// Debian's psql on the PATH is a Perl script that looks for the real one.
const psql = ['/usr/lib/postgresql/15/bin/psql'].find(existsSync) ?? 'psql';
const eduschema = (...args) =>
  execFileSync(process.execPath, [bin, ...args], {
    cwd: scratch,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const table = `
CREATE TABLE materials (id bigint PRIMARY KEY);
INSERT INTO materials SELECT generate_series(1, 5000);
CREATE TABLE logs (id bigint, material_id bigint NOT NULL REFERENCES materials ON DELETE CASCADE, user_ip inet, user_agent text,
  at timestamptz NOT NULL, referer text, session text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX ON logs (material_id, at);
CREATE TABLE logs_2024_01 PARTITION OF logs FOR VALUES FROM ('2024-01-01+09') TO ('2024-02-01+09');
CREATE TABLE logs_default PARTITION OF logs DEFAULT;
INSERT INTO logs SELECT n, 1 + n % 5000, ('10.0.' || n % 250 || '.' || n % 200)::inet, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) ' || n % 97,
  timestamptz '2024-01-01 00:00+09' + n * interval '2 s', 'https://edu.example/materials/' || n % 5000, md5(n::text) FROM generate_series(1, ${rows}) n;
VACUUM ANALYZE logs;
CHECKPOINT;`;
const bounds = `FOR VALUES FROM ('2024-01-01+09') TO ('2024-02-01+09')`;

const url = process.env.BENCH_DATABASE_URL ?? startServer();
try {
  measureAll();
} finally {
  if (!process.env.BENCH_DATABASE_URL) eduschema('db', 'reset', '--yes');
  rmSync(scratch, { recursive: true, force: true });
}

function startServer() {
  eduschema('db', 'start');
  return eduschema('db', 'url').trim();
}

function measureAll() {
  const results = { hand: [], ours: [], handBack: [], oursBack: [] };
  const phases = {};
  for (let round = 0; round < rounds; round++) {
    onNewDatabase((database) => {
      results.hand.push(byHand(database));
      results.handBack.push(backByHand(database));
    });
    onNewDatabase((database) => {
      const { run, steps } = ours(database);
      results.ours.push(run);
      for (const [name, ms] of steps) (phases[name] ??= []).push(ms / 1000);
      results.oursBack.push(oursBack(database));
    });
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  console.log(`a partition of ${rows.toLocaleString('en')} rows; ${rounds} rounds, medians`);
  print('retired: DETACH, psql | gzip, DROP', results.hand, results.hand);
  print('eduschema partitions retain', results.ours, results.hand);
  for (const [name, seconds] of Object.entries(phases))
    console.log(`    ${name}: ${median(seconds).toFixed(2)} s`);
  print('brought back: CREATE, gunzip | psql, ATTACH', results.handBack, results.handBack);
  print('eduschema partitions restore', results.oursBack, results.handBack);
}

function print(name, runs, against) {
  const ratio = median(runs.map(({ seconds }, i) => seconds / against[i].seconds));
  const megabytes = median(runs.map(({ kilobytes }) => kilobytes)) / 1024;
  console.log(
    `  ${name.padEnd(45)} ${ratio.toFixed(2)}   ${median(runs.map(({ seconds }) => seconds)).toFixed(2)} s   ${megabytes.toFixed(0)} MB at most`,
  );
}

/** By hand, in three commands; the memory is that of the largest of psql and gzip. */
function byHand(database) {
  const file = join(scratch, 'by-hand.gz');
  return timed([
    'bash',
    '-ec',
    `set -o pipefail
     ${psql} -Xqd '${database}' -c 'ALTER TABLE logs DETACH PARTITION logs_2024_01'
     ${psql} -Xqd '${database}' -c 'COPY logs_2024_01 TO STDOUT' | gzip > ${file}
     sync ${file}
     ${psql} -Xqd '${database}' -c 'DROP TABLE logs_2024_01'`,
  ]);
}

function backByHand(database) {
  const run = (sql) => `${psql} -Xqd '${database}' -v ON_ERROR_STOP=1 -c "${sql}"`;
  return timed([
    'bash',
    '-ec',
    `set -o pipefail
     ${run('CREATE TABLE logs_2024_01 (LIKE logs INCLUDING DEFAULTS)')}
     gunzip -c ${join(scratch, 'by-hand.gz')} | ${psql} -Xqd '${database}' -c 'COPY logs_2024_01 FROM STDIN'
     ${run('ALTER TABLE logs_2024_01 ADD PRIMARY KEY (id, at)')}
     ${run('CREATE INDEX ON logs_2024_01 (material_id, at)')}
     ${run(`ALTER TABLE logs ATTACH PARTITION logs_2024_01 ${bounds}`)}`,
  ]);
}

function ours(database) {
  const archives = join(scratch, 'archives');
  rmSync(archives, { recursive: true, force: true });
  mkdirSync(archives);
  const line = [
    'partitions',
    'retain',
    'logs',
    '--keep',
    '24mo',
    '--archive',
    archives,
    '--grace',
    '0d',
    '--yes',
    '--json',
  ];
  const run = timed([process.execPath, bin, ...line, '--url', database]);
  const steps = [...run.stderr.matchAll(/^\{"event":"done","name":"([^"]*)","durationMs":(\d+)/gm)].map(
    ([, name, ms]) => [name.replaceAll('public.', ''), Number(ms)],
  );
  return { run, steps };
}

function oursBack(database) {
  const archive = join(scratch, 'archives', new URL(database).pathname, 'public.logs_2024_01');
  return timed([process.execPath, bin, 'partitions', 'restore', archive, '--url', database]);
}

function onNewDatabase(use) {
  const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
  sql(url, `CREATE DATABASE ${name} TEMPLATE template0`);
  try {
    const database = Object.assign(new URL(url), { pathname: `/${name}` }).href;
    sql(database, table);
    return use(database);
  } finally {
    sql(url, `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

function sql(database, statement) {
  execFileSync(psql, ['-Xq', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', '-'], {
    input: statement,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
}

/** Seconds, and the largest resident set of a process as the kernel counted it. */
function timed(command) {
  const started = performance.now();
  const { status, stderr } = spawnSync('/usr/bin/time', ['-f', '%M', ...command], {
    cwd: scratch,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
  const seconds = (performance.now() - started) / 1000;
  return { seconds, stderr, kilobytes: Number(stderr.trim().split('\n').at(-1)) };
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
