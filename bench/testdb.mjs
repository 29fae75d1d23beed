// A database for each test: a clone of a template, against CREATE DATABASE ... TEMPLATE by psql, and against migrating anew.
// Filled with the seeds of --seeds, at their defaults, unless --seeds=none.
//   node bench/testdb.mjs [--rounds=9] [--clones=100] [--dir=migrations] [--seeds=seeds]      needs a built clone (npm ci) and psql
// Uses the server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder, with its defaults.
import { execFileSync, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { testDatabase } from '../dist/testing.js';

const optionOf = (name, otherwise) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise;
const rounds = Number(optionOf('rounds', 9));
const clones = Number(optionOf('clones', 100));
const directory = resolve(optionOf('dir', 'migrations'));
const seeds = optionOf('seeds', 'seeds');
const filled = seeds !== 'none';
const seed = filled && { directory: resolve(seeds), asOf: optionOf('as-of', '2026-11-01') };
const seedFlags = filled ? ['--seed', '--seeds', resolve(seeds), '--as-of', seed.asOf] : [];
const workers = 4;

if (process.send) {
  await work();
} else {
  await compare();
}

/** A worker of the last measurement: makes and drops its share. */
async function work() {
  for (let made = 0; made < Number(process.env.SHARE); made++) {
    const database = await testDatabase({ url: process.env.SERVER, directory, seed });
    await database.sql`SELECT 1`;
    await database.drop();
  }
  process.exit(0);
}

async function compare() {
  const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
  const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
  const eduschema = (...args) =>
    execFileSync(process.execPath, [bin, ...args], { cwd: scratch, encoding: 'utf8' }).trim();
  const url = process.env.BENCH_DATABASE_URL ?? startServer(eduschema);
  const psql = (sql) => execFileSync('psql', ['-X', '-q', '-d', url, '-c', sql]);
  try {
    await (await testDatabase({ url, directory, seed })).drop();
    const [{ name: template }] = JSON.parse(eduschema('testdb', 'list', '--json', '--url', url)).rows.filter(
      ({ kind }) => kind === 'template',
    );
    const times = { psql: [], api: [], cli: [], migrate: [], ...(filled ? { seed: [] } : {}) };
    for (let round = 0; round < rounds; round++) {
      times.psql.push(await timed(() => psql(`CREATE DATABASE bench_${round} TEMPLATE ${template}`)));
      psql(`DROP DATABASE bench_${round}`);
      let database;
      times.api.push(
        await timed(async () => {
          database = await testDatabase({ url, directory, seed });
        }),
      );
      await database.drop();
      let made;
      times.cli.push(
        await timed(() => {
          made = eduschema('testdb', 'create', '--url', url, '--dir', directory, ...seedFlags);
        }),
      );
      eduschema('testdb', 'drop', made, '--url', url);
      psql(`CREATE DATABASE bench_${round}`);
      const anew = url.replace(/\/[^/]*$/, `/bench_${round}`);
      times.migrate.push(
        await timed(() => eduschema('migrate', '--quiet', '--url', anew, '--dir', directory)),
      );
      if (filled)
        times.seed.push(
          await timed(() =>
            eduschema('seed', '--quiet', '--url', anew, '--seeds', seed.directory, '--as-of', seed.asOf),
          ),
        );
      psql(`DROP DATABASE bench_${round}`);
    }
    const medians = Object.fromEntries(Object.entries(times).map(([name, runs]) => [name, median(runs)]));
    console.log(`${rounds} rounds, medians; ratios to psql`);
    for (const [name, ms] of Object.entries(medians))
      console.log(`  ${name.padEnd(6)} ${ms.toFixed(0).padStart(6)} ms   ${(ms / medians.psql).toFixed(2)}`);
    console.log(
      `migrating anew takes ${(medians.migrate / medians.api).toFixed(1)} times as long as a clone (api)` +
        (filled
          ? `, migrating and seeding ${((medians.migrate + medians.seed) / medians.api).toFixed(1)} times`
          : ''),
    );
    const seconds = (await timed(() => together(url))) / 1000;
    console.log(`${clones} databases made, used and dropped by ${workers} workers: ${seconds.toFixed(1)} s`);
  } finally {
    if (!process.env.BENCH_DATABASE_URL) eduschema('db', 'reset', '--yes');
    rmSync(scratch, { recursive: true, force: true });
  }
}

function startServer(eduschema) {
  eduschema('db', 'start');
  return eduschema('db', 'url');
}

function together(server) {
  const env = { ...process.env, SERVER: server, SHARE: String(clones / workers) };
  return Promise.all(
    Array.from(
      { length: workers },
      () =>
        new Promise((done) => fork(import.meta.filename, process.argv.slice(2), { env }).once('exit', done)),
    ),
  );
}

async function timed(use) {
  const started = performance.now();
  await use();
  return performance.now() - started;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
