// What the benches share: a server, new databases in it, psql, medians.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';

/** The folder of this clone, and its command line. */
export const clone = resolve(import.meta.dirname, '..');
export const bin = join(clone, 'bin/eduschema.cjs');

/** The number behind --name=. */
export function numberOf(name, otherwise) {
  return Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise);
}

/** Runs eduschema in a folder and returns what it says. */
export function eduschema(cwd, ...args) {
  return execFileSync(process.execPath, [bin, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** Lends the URL of a server and a scratch folder: that of BENCH_DATABASE_URL (a superuser's), else an embedded one of its own. */
export async function withServer(use) {
  const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
  const given = process.env.BENCH_DATABASE_URL;
  if (!given) eduschema(scratch, 'db', 'start');
  const url = given ?? eduschema(scratch, 'db', 'url').trim();
  try {
    return await use({ url, scratch });
  } finally {
    if (!given) eduschema(scratch, 'db', 'reset', '--yes');
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A new database, for as long as `use` takes; with the education schema in it when `migrated`. */
export async function withDatabase(url, { migrated = false }, use) {
  const name = `bench_${Math.random().toString(36).slice(2, 10)}`;
  psql(url, '-c', `CREATE DATABASE ${name} TEMPLATE template0`, '-c', 'CHECKPOINT');
  const database = Object.assign(new URL(url), { pathname: `/${name}` }).href;
  try {
    if (migrated) {
      eduschema(clone, 'migrate', '--quiet', '--url', database);
      psql(database, '-c', 'CHECKPOINT');
    }
    return await use(database);
  } finally {
    psql(url, '-c', `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

/** Runs psql, and returns its lines without any ornament. */
export function psql(database, ...args) {
  return execFileSync('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1e9,
  });
}

/** The machine and the server in one line, to stand above figures. */
export function describeMachine(url) {
  const version = psql(url, '-c', "SELECT current_setting('server_version')").trim();
  const settings = psql(
    url,
    '-c',
    "SELECT string_agg(name || ' ' || setting || coalesce(unit, ''), ', ' ORDER BY name) FROM pg_settings WHERE name IN ('fsync', 'shared_buffers', 'max_wal_size')",
  ).trim();
  const [load] = loadavg();
  const [{ model }] = cpus();
  return `${cpus().length} cores (${model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, load ${load.toFixed(1)} at the start; PostgreSQL ${version} (${settings}), Node ${process.versions.node}`;
}

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export function sum(list) {
  return list.reduce((total, value) => total + value, 0);
}
