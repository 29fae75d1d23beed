// What an application feels of `ALTER TABLE ... ADD COLUMN`: the time its reads take while the migration gets its lock.
//   node bench/locks.mjs [--rounds=6]          needs a built clone (npm ci) and psql
// Uses the server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
// The application: 16 clients with transactions of 20 ms that read and write the table, one with a transaction of
// 1.5 s that reads it, half a second between them, and people who come whether or not the last one was served: a read
// each 5 ms, through a pool of 50 connections. The reads of these are measured, from the moment they were wanted.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';

const rounds = Number(process.argv.find((arg) => arg.startsWith('--rounds='))?.slice(9) ?? 6);
const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
// Debian's psql on the PATH is a Perl script that looks for the real one.
const psql = ['/usr/lib/postgresql/15/bin/psql'].find(existsSync) ?? 'psql';
const rows = 10_000;
const windowMs = 10_000;
const readEachMs = 5;

const eduschema = (...args) =>
  execFileSync(process.execPath, [bin, ...args], {
    cwd: scratch,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const url = process.env.BENCH_DATABASE_URL ?? startServer();
const admin = postgres(url, { max: 1, onnotice: () => {} });
const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
await admin.unsafe(`CREATE DATABASE ${name} TEMPLATE template0`);
const database = Object.assign(new URL(url), { pathname: `/${name}` }).href;

let column = 0;
const migrate = (...args) => {
  const number = ++column;
  const folder = join(scratch, `run-${number}`);
  mkdirSync(folder);
  writeFileSync(join(folder, '1_add.sql'), `ALTER TABLE t ADD COLUMN c${number} int;\n`);
  return run(process.execPath, [bin, 'migrate', '--dir', folder, '--journal', `journal_${number}`, ...args]);
};
const variants = {
  'no migration': async () => undefined,
  eduschema: () => migrate(),
  'eduschema --lock-timeout 0': () => migrate('--lock-timeout', '0'),
  psql: () => run(psql, ['-X', '-q', '-d', database, '-c', `ALTER TABLE t ADD COLUMN c${++column} int`]),
};

try {
  await measureAll();
} finally {
  await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
  await admin.end();
  if (!process.env.BENCH_DATABASE_URL) eduschema('db', 'reset', '--yes');
  rmSync(scratch, { recursive: true, force: true });
}

function startServer() {
  eduschema('db', 'start');
  return eduschema('db', 'url').trim();
}

async function measureAll() {
  const results = Object.fromEntries(
    Object.keys(variants).map((variant) => [variant, { reads: [], worst: [], took: [] }]),
  );
  const load = await startLoad();
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffle(Object.keys(variants))) {
      const { reads, took } = await measure(variants[variant]);
      results[variant].reads.push(...reads);
      results[variant].worst.push(Math.max(...reads));
      if (took !== undefined) results[variant].took.push(took);
      process.stderr.write(
        `${round + 1}/${rounds} ${variant}: ${took?.toFixed(0) ?? '-'} ms, worst read ${Math.max(...reads).toFixed(0)} ms\n`,
      );
    }
  }
  await load.stop();
  report(results);
}

/** Reads during the ten seconds from the start of the migration, or until it is done. */
async function measure(begin) {
  const pool = postgres(database, { max: 50, idle_timeout: 0, onnotice: () => {} });
  await Promise.all(Array.from({ length: 50 }, () => pool`SELECT pg_sleep(0.05)`));
  await sleep(500 + Math.random() * 2000);
  const reads = [];
  const asked = [];
  const started = performance.now();
  let took;
  const migrating = begin().then((ms) => {
    took = ms;
  });
  let done = false;
  void migrating.finally(() => {
    done = true;
  });
  for (let due = started; !done || due < started + windowMs; due += readEachMs) {
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    const wanted = due;
    const id = Math.ceil(Math.random() * rows);
    asked.push(pool`SELECT note FROM t WHERE id = ${id}`.then(() => reads.push(performance.now() - wanted)));
  }
  await Promise.all([...asked, migrating]);
  await pool.end();
  return { reads, took };
}

async function startLoad() {
  const sql = postgres(database, { max: 17, idle_timeout: 0, onnotice: () => {} });
  await sql`CREATE TABLE t (id int PRIMARY KEY, note text, seen int NOT NULL DEFAULT 0)`;
  await sql`INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, ${rows}) i`;
  let stopped = false;
  const id = () => Math.ceil(Math.random() * rows);
  // Several statements in one message are a transaction.
  const short = async () => {
    while (!stopped)
      await sql.unsafe(
        `SELECT note FROM t WHERE id = ${id()}; UPDATE t SET seen = seen + 1 WHERE id = ${id()}; SELECT pg_sleep(0.02)`,
      );
  };
  const long = async () => {
    while (!stopped) {
      await sql.unsafe(`SELECT note FROM t WHERE id = ${id()}; SELECT pg_sleep(1.5)`);
      await sleep(500);
    }
  };
  const clients = [...Array.from({ length: 16 }, short), long()];
  return {
    async stop() {
      stopped = true;
      await Promise.all(clients);
      await sql.end();
    },
  };
}

function run(command, args) {
  const started = performance.now();
  const child = spawn(command, args, {
    cwd: scratch,
    env: { ...process.env, DATABASE_URL: database },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  return new Promise((done, failed) => {
    child.on('close', (code) =>
      code === 0
        ? done(performance.now() - started)
        : failed(new Error(`${command} ${args.join(' ')}: ${stderr}`)),
    );
  });
}

function report(results) {
  console.log(
    'milliseconds'.padEnd(30) +
      ['p50', 'p99', 'p99.9', 'max', '> 100 ms', 'migrated in (median, max)']
        .map((title) => title.padStart(10))
        .join(''),
  );
  for (const [variant, { reads, worst, took }] of Object.entries(results)) {
    reads.sort((a, b) => a - b);
    const at = (share) => reads[Math.min(reads.length - 1, Math.floor(reads.length * share))].toFixed(0);
    const delayed = reads.filter((ms) => ms > 100).length / worst.length;
    const cells = [at(0.5), at(0.99), at(0.999), at(1), `${delayed.toFixed(0)}`];
    took.sort((a, b) => a - b);
    const migrated =
      took.length > 0
        ? `${(took[Math.floor(took.length / 2)] / 1000).toFixed(1)} s, ${(took.at(-1) / 1000).toFixed(1)} s`
        : '';
    console.log(variant.padEnd(30) + cells.map((cell) => cell.padStart(10)).join('') + migrated.padStart(20));
  }
  console.log(`${rounds} rounds; "> 100 ms": reads so late, of ${windowMs / readEachMs} or more in a round`);
}

function shuffle(list) {
  return list
    .map((item) => [Math.random(), item])
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}
