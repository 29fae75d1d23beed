// What the benchmarks of partitions share: a server, databases, an application that writes at a steady pace, eduschema as a process.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';

const bin = resolve(import.meta.dirname, '../bin/eduschema.cjs');
// Debian's psql on the PATH is a Perl script that looks for the real one.
const psql = ['/usr/lib/postgresql/15/bin/psql'].find(existsSync) ?? 'psql';
// With certificates of one's own Node reads them all at each start, whatever it starts for.
delete process.env.NODE_EXTRA_CA_CERTS;
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));

/** The value of `--name=value`. */
export const argument = (name, otherwise) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;

/** Lends the URL of `--url` or BENCH_DATABASE_URL (a superuser's), else of the embedded server of a scratch folder. */
export async function withServer(use) {
  const given = argument('url', process.env.BENCH_DATABASE_URL);
  const once = (...args) =>
    execFileSync(process.execPath, [bin, ...args], {
      cwd: scratch,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  try {
    if (!given) once('db', 'start');
    const url = given ?? once('db', 'url').trim();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const settings = ['server_version', 'fsync', 'synchronous_commit', 'wal_level', 'shared_buffers'];
    const [row] = await sql.unsafe(
      `SELECT ${settings.map((name) => `current_setting('${name}') AS ${name}`).join(', ')}`,
    );
    await sql.end();
    console.log(
      `PostgreSQL ${row.server_version.split(' ')[0]}, ${settings
        .slice(1)
        .map((name) => `${name} ${row[name]}`)
        .join(', ')}; Node ${process.version}; ${new Date().toISOString().slice(0, 16)}`,
    );
    await use({ url, isOld: Number.parseInt(row.server_version, 10) < 15 });
  } finally {
    if (!given) once('db', 'reset', '--yes');
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Makes a database, a copy of `template` where one is given, lends its URL, and drops it. */
export async function withDatabase({ url, isOld }, template, use) {
  const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
  const strategy = template && !isOld ? ' STRATEGY file_copy' : '';
  runPsql(
    url,
    `CREATE DATABASE ${name} TEMPLATE ${template ? new URL(template).pathname.slice(1) : 'template0'}${strategy}`,
  );
  try {
    return await use(Object.assign(new URL(url), { pathname: `/${name}` }).href);
  } finally {
    runPsql(url, `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

const psqlLine = (database) => ['-Xq', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', '-'];

/** Has psql carry statements out, and waits. */
export function runPsql(database, statements) {
  return execFileSync(psql, [...psqlLine(database), '-At'], {
    input: statements,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** The same, beside what goes on here. Resolves to seconds. */
export async function timePsql(database, statements) {
  const { seconds } = await run(psql, psqlLine(database), { input: statements });
  return seconds;
}

/**
 * Runs eduschema: seconds, steps with their times, what it printed, and the resident memory of the process and of its
 * session in the server, looked at four times a second (where there is /proc); not with `watches: false`.
 */
export async function timeEduschema(database, args, { statuses = [0], watches = true } = {}) {
  const steps = [];
  const memory = [];
  const watching = { over: false };
  let watched;
  const watch = (pid) => {
    watched = watchMemory(database, pid, memory, watching);
  };
  const result = await run(process.execPath, [bin, ...args, '--json', '--url', database], {
    statuses,
    onStart: watches ? watch : undefined,
    onLine: (line) => {
      if (!line.startsWith('{')) return;
      const { event, name } = JSON.parse(line);
      if (event === 'started') steps.push({ name, began: performance.now() });
      if (event === 'done')
        Object.assign(steps.findLast((step) => step.name === name) ?? {}, { ended: performance.now() });
    },
  });
  watching.over = true;
  await watched;
  return { ...result, steps, memory };
}

async function run(file, args, { input, statuses = [0], onStart, onLine } = {}) {
  const began = performance.now();
  const child = spawn(file, args, {
    cwd: scratch,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, CI: '1' },
  });
  child.stdin.end(input);
  onStart?.(child.pid);
  const [out, err] = [[], []];
  let rest = '';
  child.stdout.on('data', (data) => out.push(data));
  child.stderr.on('data', (data) => {
    err.push(data);
    const lines = (rest + data).split('\n');
    rest = lines.pop();
    for (const line of lines) onLine?.(line);
  });
  const status = await new Promise((done) => child.once('close', done));
  const ended = performance.now();
  const stderr = Buffer.concat(err).toString();
  if (!statuses.includes(status))
    throw new Error(`${file} ${args.join(' ')}: exit ${status}\n${Buffer.concat(out)}\n${stderr}`);
  return {
    began,
    ended,
    seconds: (ended - began) / 1000,
    status,
    stdout: Buffer.concat(out).toString(),
    stderr,
  };
}

async function watchMemory(database, pid, memory, watching) {
  const field = (process, name) => {
    try {
      const found = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(
        readFileSync(`/proc/${process}/status`, 'utf8'),
      );
      return found ? Number(found[1]) / 1024 : undefined;
    } catch {
      return undefined;
    }
  };
  const sql = postgres(database, { max: 1, onnotice: () => {} });
  let backend;
  for (let n = 0; !watching.over; n++) {
    if (n % 8 === 2 && field(backend, 'RssAnon') === undefined)
      [{ pid: backend } = {}] = await sql`
        SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'eduschema worker'`;
    const seen = { at: performance.now(), process: field(pid, 'VmRSS'), backend: field(backend, 'RssAnon') };
    if (seen.process) memory.push(seen);
    await sleep(250);
  }
  await sql.end();
}

/**
 * An application: an insert each `1000 / perSecond` ms, whether or not the last one was answered, through a pool of 50
 * connections; each a transaction of its own. What it waits for is counted from the moment that it was due.
 */
export async function startWriter(database, insert, perSecond) {
  const connections = 50;
  const pool = postgres(database, { max: connections, idle_timeout: 0, onnotice: () => {} });
  await Promise.all(Array.from({ length: connections }, () => pool`SELECT pg_sleep(0.1)`));
  const each = 1000 / perSecond;
  const waits = [];
  const errors = [];
  const asked = new Set();
  let over = false;
  const began = performance.now();
  const writing = (async () => {
    for (let n = 0; !over; n++) {
      const due = began + n * each;
      const early = due - performance.now();
      if (early > 0) await sleep(early);
      const done = pool
        .unsafe(insert(n))
        .catch((error) => errors.push(error.message))
        .then(() => {
          waits.push({ due, ms: performance.now() - due });
          asked.delete(done);
        });
      asked.add(done);
    }
  })();
  return {
    waits,
    errors,
    async stop() {
      over = true;
      await writing;
      await Promise.all(asked);
      await pool.end();
      if (errors.length > 0) throw new Error(`${errors.length} inserts failed: ${errors[0]}`);
      return waits;
    },
  };
}

/** What a writer felt between two moments; the longest with the step during which it was due. */
export function feltBetween(waits, { began, ended }, steps = []) {
  const inside = waits.filter(({ due, ms }) => due + ms >= began && due <= ended);
  const sorted = inside.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const stalls = [...inside].sort((a, b) => b.ms - a.ms).slice(0, 3);
  return {
    count: sorted.length,
    p50: at(0.5),
    p99: at(0.99),
    max: sorted.at(-1) ?? 0,
    longest: stalls.map(({ due, ms }) => {
      // A writer waits for what began after it was due as well: whatever was under way when it was answered.
      const step = steps.findLast((one) => one.began <= due + ms);
      return `${ms.toFixed(0)} ms${step ? ` (${step.name})` : ''}`;
    }),
  };
}

/** One line of it. */
export const showFelt = ({ count, p50, p99, max }) =>
  `inserts ${count}, waited p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, longest ${max.toFixed(0)} ms`;

/** The largest of the memory in each quarter of a run, as text. */
export function showMemory(memory) {
  const quarter = (name, n) => {
    const size = Math.ceil(memory.length / 4);
    return Math.max(...memory.slice(n * size, (n + 1) * size).map((seen) => seen[name] ?? 0));
  };
  const show = (name) => [0, 1, 2, 3].map((n) => quarter(name, n).toFixed(0)).join(' ');
  return memory.length < 4
    ? 'not seen'
    : `process ${show('process')} MB, its session in the server ${show('backend')} MB (largest of each quarter of the run)`;
}

/** The middle one of a list. */
export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** `>= 0.40: 0.61 reached` */
export const goal = (value, sign, limit, digits = 2) =>
  `${value.toFixed(digits)} (goal ${sign} ${limit}: ${(sign === '<=' || sign === '<' ? value <= limit : value >= limit) ? 'reached' : 'MISSED'})`;

const materials = 5000;

/**
 * A table of logs as one has it before it is partitioned: rows of two years in the order of time, a foreign key, a
 * primary key without the time, an index. `VACUUM` at the end, so that no run pays for the hint bits.
 */
export const logTable = (rows) => `
CREATE TABLE materials (id bigint PRIMARY KEY);
INSERT INTO materials SELECT generate_series(1, ${materials});
CREATE TABLE logs (id bigint GENERATED BY DEFAULT AS IDENTITY, material_id bigint NOT NULL, user_ip inet, user_agent text,
  at timestamptz NOT NULL DEFAULT now(), referer text, session text);
INSERT INTO logs SELECT n, 1 + (hashint8(n)::bigint & 4095), ('10.0.' || n % 250 || '.' || n % 200)::inet, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) ' || n % 97,
  now() - (${rows + 1} - n) * (interval '730 days' / ${rows}), 'https://edu.example/materials/' || n % ${materials}, md5(n::text)
FROM generate_series(1::bigint, ${rows}) n;
SELECT setval(pg_get_serial_sequence('logs', 'id'), ${rows});
ALTER TABLE logs ADD PRIMARY KEY (id);
CREATE INDEX logs_material ON logs (material_id, at);
ALTER TABLE logs ADD FOREIGN KEY (material_id) REFERENCES materials ON DELETE CASCADE;
VACUUM (FREEZE, ANALYZE) logs;
VACUUM ANALYZE materials;
CHECKPOINT;`;

/** What the application writes into it. */
export const insertLog = (n) =>
  `INSERT INTO logs (material_id, user_ip, user_agent, referer, session) VALUES (${1 + (n % materials)}, '10.0.0.1', 'Mozilla/5.0', 'https://edu.example/', 'session ${n}')`;
