// Compares `eduschema migrate` with `psql -f` on a file of COPY data, in time and memory.
//   node bench/copy.mjs [--megabytes=200] [--rounds=3]      needs a built clone (npm ci), psql, and GNU time in /usr/bin
// Uses the server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const numberOf = (name, otherwise) =>
  Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise);
const megabytes = numberOf('megabytes', 200);
const rounds = numberOf('rounds', 3);
const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
const eduschema = (...args) =>
  execFileSync(process.execPath, [bin, ...args], { cwd: scratch, encoding: 'utf8' });

mkdirSync(join(scratch, 'migrations'));
const file = join(scratch, 'migrations', '1_rows.sql');
writeFile();
const url = process.env.BENCH_DATABASE_URL ?? startServer();
try {
  const psql = [];
  const ours = [];
  for (let round = 0; round < rounds; round++) {
    psql.push(
      onNewDatabase((database) =>
        timed(['psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', file]),
      ),
    );
    ours.push(onNewDatabase((database) => timed([process.execPath, bin, 'migrate', '--url', database])));
  }
  console.log(
    `one file of ${(statSync(file).size / 1e6).toFixed(0)} MB, COPY data; ${rounds} rounds, medians`,
  );
  for (const [name, runs] of Object.entries({ 'psql -1 -f': psql, 'eduschema migrate': ours })) {
    const ratio = median(runs.map(({ seconds }, i) => seconds / psql[i].seconds));
    console.log(
      `  ${name.padEnd(20)} ${ratio.toFixed(2)}   ${median(runs.map(({ seconds }) => seconds)).toFixed(1)} s   ${(median(runs.map(({ kilobytes }) => kilobytes)) / 1024).toFixed(0)} MB at most`,
    );
  }
} finally {
  if (!process.env.BENCH_DATABASE_URL) eduschema('db', 'reset', '--yes');
  rmSync(scratch, { recursive: true, force: true });
}

function startServer() {
  eduschema('db', 'start');
  return eduschema('db', 'url').trim();
}

function writeFile() {
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, 'CREATE TABLE rows (id bigint, name text, note text);\nCOPY rows FROM stdin;\n');
  let row = 0;
  for (let left = megabytes * 1e6; left > 0; ) {
    let block = '';
    for (let i = 0; i < 10_000; i++, row++)
      block += `${row}\trow ${row} 교육\t${'lorem ipsum dolor '.repeat(5)}\\t\\N\n`;
    left -= writeSync(descriptor, block);
  }
  writeSync(descriptor, '\\.\nALTER TABLE rows ADD PRIMARY KEY (id);\n');
  closeSync(descriptor);
}

function onNewDatabase(use) {
  const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
  psqlCommand(`CREATE DATABASE ${name} TEMPLATE template0`, 'CHECKPOINT');
  try {
    const database = new URL(url);
    database.pathname = `/${name}`;
    return use(database.href);
  } finally {
    psqlCommand(`DROP DATABASE ${name} WITH (FORCE)`);
  }
}

function psqlCommand(...commands) {
  execFileSync('psql', ['-X', '-q', '-d', url, ...commands.flatMap((command) => ['-c', command])], {
    stdio: 'ignore',
  });
}

/** Seconds, and the largest resident set as the kernel counted it. */
function timed(command) {
  const started = performance.now();
  const { status, stderr } = spawnSync('/usr/bin/time', ['-f', '%M', ...command], {
    cwd: scratch,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
  const seconds = (performance.now() - started) / 1000;
  return { seconds, kilobytes: Number(stderr.trim().split('\n').at(-1)) };
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
