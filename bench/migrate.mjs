// How long `eduschema migrate` takes beside psql on the same work, in ratios. psql is the floor: it keeps no journal.
//   node bench/migrate.mjs [--rounds=5]          needs a built clone (npm ci) and psql on the PATH
// Uses the server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const rounds = Number(process.argv.find((arg) => arg.startsWith('--rounds='))?.slice(9) ?? 5);
const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
const eduschema = (args, cwd, env = {}) =>
  execFileSync(process.execPath, [bin, ...args], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const small = (n) =>
  `CREATE TABLE t${n} (id bigint PRIMARY KEY, name text NOT NULL, email text, amount numeric(12,2) NOT NULL DEFAULT 0, active boolean NOT NULL DEFAULT true, created_at timestamptz NOT NULL DEFAULT now());\nCREATE INDEX ON t${n} (name);\n`;
const big = `CREATE TABLE big (id bigint PRIMARY KEY, note text NOT NULL);\n${Array.from({ length: 20_000 }, (_, i) => `INSERT INTO big (id, note) VALUES (${i}, '${'lorem ipsum dolor '.repeat(12)}');\n`).join('')}`;

const workloads = {
  '1,000 small migrations': Array.from({ length: 1000 }, (_, i) => small(i + 1)),
  'one 5 MB file of 20,000 INSERTs': [big],
};

const url = process.env.BENCH_DATABASE_URL ?? startServer();
try {
  for (const [name, texts] of Object.entries(workloads)) measure(name, texts);
  measureNothing();
} finally {
  if (!process.env.BENCH_DATABASE_URL) eduschema(['db', 'reset', '--yes'], scratch);
  rmSync(scratch, { recursive: true, force: true });
}

function startServer() {
  eduschema(['db', 'start'], scratch);
  return eduschema(['db', 'url'], scratch).trim();
}

/** Each file in a transaction of its own with a row in a table: what a careful tool must do. */
function measure(name, texts) {
  const folder = join(scratch, name.replace(/\W+/g, '-'));
  mkdirSync(join(folder, 'migrations'), { recursive: true });
  texts.forEach((text, i) => {
    writeFileSync(join(folder, 'migrations', `${i + 1}_m.sql`), text);
  });
  const script = join(folder, 'psql.sql');
  const steps = texts.map(
    (_, i) =>
      `BEGIN;\n\\i '${join(folder, 'migrations', `${i + 1}_m.sql`)}'\nINSERT INTO track VALUES (${i + 1});\nCOMMIT;\n`,
  );
  writeFileSync(script, `CREATE TABLE track (version int PRIMARY KEY);\n${steps.join('')}`);
  const ratios = { psql: [], eduschema: [] };
  for (let round = 0; round < rounds; round++) {
    ratios.psql.push(
      onNewDatabase((database) =>
        timed('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', script]),
      ),
    );
    ratios.eduschema.push(
      onNewDatabase((database) =>
        timed(process.execPath, [bin, 'migrate'], {
          cwd: folder,
          env: { ...process.env, DATABASE_URL: database },
        }),
      ),
    );
  }
  report(name, ratios);
}

function measureNothing() {
  const folder = join(scratch, '1-000-small-migrations');
  onNewDatabase((database) => {
    const settings = { cwd: folder, env: { ...process.env, DATABASE_URL: database } };
    timed(process.execPath, [bin, 'migrate'], settings);
    const ratios = { 'node -e 0': [], 'eduschema --version': [], 'eduschema migrate': [] };
    for (let round = 0; round < rounds * 3; round++) {
      ratios['node -e 0'].push(timed(process.execPath, ['-e', '0']));
      ratios['eduschema --version'].push(timed(process.execPath, [bin, '--version']));
      ratios['eduschema migrate'].push(timed(process.execPath, [bin, 'migrate'], settings));
    }
    report('nothing to do, 1,000 applied', ratios);
  });
}

function onNewDatabase(use) {
  const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
  psql(`CREATE DATABASE ${name} TEMPLATE template0`, 'CHECKPOINT');
  try {
    const database = new URL(url);
    database.pathname = `/${name}`;
    return use(database.href);
  } finally {
    psql(`DROP DATABASE ${name} WITH (FORCE)`);
  }
}

function psql(...commands) {
  execFileSync('psql', ['-X', '-q', '-d', url, ...commands.flatMap((command) => ['-c', command])], {
    stdio: 'ignore',
  });
}

function timed(command, args, options = {}) {
  const started = performance.now();
  const { status, stderr } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return performance.now() - started;
}

/** The first one is what the others are compared with, round by round. */
function report(name, times) {
  const [[, floor], ...others] = Object.entries(times);
  console.log(name);
  console.log(`  ${Object.keys(times)[0].padEnd(20)} 1.00   ${median(floor).toFixed(0)} ms`);
  for (const [tool, list] of others) {
    console.log(
      `  ${tool.padEnd(20)} ${median(list.map((time, i) => time / floor[i])).toFixed(2)}   ${median(list).toFixed(0)} ms`,
    );
  }
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
