// How fast `eduschema seed` is.
//   node bench/seed.mjs [--rounds=3]                  the default, against the guide's own SQL for the same counts
//   node bench/seed.mjs --rows=20000000 [--materials=1000000] [--rounds=1]
//       so many logs (a seventh downloads), against INSERT ... SELECT generate_series in the server, of rows of the same width
//       into the same partitions; the same at a tenth of the rows; memory
// Needs a built clone (npm ci), psql, and GNU time in /usr/bin. Uses the server of BENCH_DATABASE_URL (a superuser's
// URL), else the embedded one of a scratch folder, with the settings that it has.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const numberOf = (name, otherwise) =>
  Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise);
const rows = numberOf('rows', 0);
const rounds = numberOf('rounds', rows > 0 ? 1 : 3);
const clone = resolve(import.meta.dirname, '..');
const bin = join(clone, 'bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
const asOf = '2026-11-01';

const run = (cwd, ...args) =>
  execFileSync(process.execPath, [bin, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
const url = process.env.BENCH_DATABASE_URL ?? startServer();
try {
  if (rows > 0) compareWithServer();
  else compareWithGuide();
} finally {
  if (!process.env.BENCH_DATABASE_URL) run(scratch, 'db', 'reset', '--yes');
  rmSync(scratch, { recursive: true, force: true });
}

function startServer() {
  run(scratch, 'db', 'start');
  return run(scratch, 'db', 'url').trim();
}

/** The guide's schema and triggers, as written, and its two INSERTs. */
function compareWithGuide() {
  const guide = [];
  const same = [];
  const whole = [];
  for (let round = 0; round < rounds; round++) {
    guide.push(
      onNewDatabase((database) => {
        psql(database, '-f', join(import.meta.dirname, 'guide-schema.sql'));
        return timed(['psql', '-X', '-q', '-d', database, '-f', join(import.meta.dirname, 'guide-data.sql')])
          .seconds;
      }),
    );
    same.push(onEducation((database) => seed(database, '--views=0').seconds));
    whole.push(onEducation((database) => seed(database).seconds));
  }
  console.log(
    `10,000 materials and 50,000 downloads; ${rounds} rounds, medians; how many times as fast as the guide's SQL`,
  );
  const ratioTo = (runs) => median(runs.map((seconds, index) => guide[index] / seconds));
  print('the guide', guide);
  print('eduschema seed --views=0', same, `${ratioTo(same).toFixed(1)} times`);
  print('eduschema seed, with 300,000 views', whole, `${ratioTo(whole).toFixed(1)} times`);
}

function print(name, seconds, more = '') {
  console.log(`  ${name.padEnd(36)} ${median(seconds).toFixed(2).padStart(8)} s   ${more}`);
}

function compareWithServer() {
  const materials = numberOf('materials', Math.ceil(rows / 20));
  const rates = {};
  for (const count of [Math.round(rows / 10), rows]) {
    const ours = [];
    const server = [];
    const memory = [];
    for (let round = 0; round < rounds; round++) {
      const downloads = Math.round(count / 7);
      const library = [`--materials=${materials}`, `--as-of=${asOf}`];
      const leaves = onEducation((database) => {
        const { result, kilobytes, seconds } = seed(
          database,
          ...library,
          `--downloads=${downloads}`,
          `--views=${count - downloads}`,
        );
        const logs = result.rows.filter(({ table }) => /_logs$/.test(table));
        ours.push(count / (sum(logs.map(({ durationMs }) => durationMs)) / 1000));
        memory.push(kilobytes / 1024);
        console.log(
          `  round ${round + 1}: ${count.toLocaleString('en')} logs, whole command ${seconds.toFixed(1)} s`,
        );
        return leavesOf(database);
      });
      server.push(
        onEducation((database) => {
          seed(database, ...library, '--downloads=0');
          psql(database, '-c', 'CHECKPOINT');
          const statements = leaves.map(insertInto).join(';\n');
          return (
            count /
            timed(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, '-c', statements]).seconds
          );
        }),
      );
    }
    rates[count] = median(ours);
    console.log(
      `${count.toLocaleString('en')} logs of ${materials.toLocaleString('en')} materials, rows a second (medians of ${rounds})`,
    );
    console.log(
      `  eduschema seed            ${Math.round(median(ours)).toLocaleString('en').padStart(9)}   ${median(memory).toFixed(0)} MB at most`,
    );
    console.log(
      `  INSERT ... generate_series ${Math.round(median(server)).toLocaleString('en').padStart(8)}`,
    );
    console.log(
      `  ratio                     ${median(ours.map((rate, index) => rate / server[index]))
        .toFixed(2)
        .padStart(9)}`,
    );
  }
  const [small, large] = Object.values(rates);
  console.log(`the rate at ${rows.toLocaleString('en')} is ${(large / small).toFixed(2)} of that at a tenth`);
}

/** The partitions that hold rows, with what an INSERT of the same must know. */
function leavesOf(database) {
  const query = ['download_logs', 'view_logs']
    .map(
      (log) => `SELECT tableoid::regclass::text AS leaf, count(*) AS n, min(id) AS first,
        min(${timeOf(log)})::text AS begins, (max(${timeOf(log)}) - min(${timeOf(log)}))::text AS span,
        (SELECT max(id) FROM materials) AS materials,
        round(avg(length(user_agent)))::int AS agent FROM ${log} GROUP BY 1`,
    )
    .join(' UNION ALL ');
  const text = execFileSync(
    'psql',
    ['-X', '-A', '-t', '-d', database, '-c', `SELECT json_agg(t) FROM (${query}) t`],
    { encoding: 'utf8' },
  );
  return JSON.parse(text);
}

const timeOf = (log) => (log.startsWith('download') ? 'download_at' : 'viewed_at');

/** Rows of the same width: in the order of time, favourites and rarities, a session of 16 digits, a user agent. */
function insertInto({ leaf, n, first, begins, span, materials, agent }) {
  const views = leaf.includes('view_logs');
  const columns = `id, material_id, user_ip, user_agent, ${timeOf(views ? 'view' : 'download')}, session_id, ${views ? 'view_duration' : 'referer_url'}`;
  return `INSERT INTO ${leaf} (${columns})
    SELECT ${first} + i, 1 + floor(random() ^ 4 * (${materials} - 1))::bigint, '10.10.3.117'::inet + (i % 1000),
           '${'M'.repeat(agent)}', timestamptz '${begins}' + i * (interval '${span}' / ${n}),
           to_hex(i::bigint * 7919 + 1152921504606846976), ${views ? '3 + (i % 600)' : "CASE WHEN i % 5 > 0 THEN 'https://edu.example.com/search' END"}
    FROM generate_series(0, ${n} - 1) i`;
}

/** Seeds, and returns what it said, how long it took, and the largest resident set. */
function seed(database, ...options) {
  const { stdout, ...figures } = timed(
    [process.execPath, bin, 'seed', '--json', '--quiet', '--url', database, `--as-of=${asOf}`, ...options],
    clone,
  );
  return { result: JSON.parse(stdout), ...figures };
}

function onEducation(use) {
  return onNewDatabase((database) => {
    run(clone, 'migrate', '--quiet', '--url', database);
    psql(database, '-c', 'CHECKPOINT');
    return use(database);
  });
}

function onNewDatabase(use) {
  const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
  psql(url, '-c', `CREATE DATABASE ${name} TEMPLATE template0`, '-c', 'CHECKPOINT');
  try {
    return use(Object.assign(new URL(url), { pathname: `/${name}` }).href);
  } finally {
    psql(url, '-c', `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

function psql(database, ...args) {
  execFileSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function timed(command, cwd = scratch) {
  const report = join(scratch, 'time');
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync('/usr/bin/time', ['-o', report, '-f', '%M', ...command], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  if (status !== 0) throw new Error(`${command.join(' ').slice(0, 300)}: ${stderr}${stdout}`);
  const seconds = (performance.now() - started) / 1000;
  return { stdout, seconds, kilobytes: Number(readFileSync(report, 'utf8').trim().split('\n').at(-1)) };
}

function sum(list) {
  return list.reduce((total, value) => total + value, 0);
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
