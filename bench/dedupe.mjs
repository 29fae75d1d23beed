// How fast `eduschema dedupe` is: against the same work in one transaction of SQL by hand, which keeps nothing for an undo;
// and at a tenth of the rows, where it should take a tenth of the time. Peak memory of the process.
//   node bench/dedupe.mjs [--materials=1000000] [--logs=10000000] [--rounds=3] [--once]
// Five in a hundred materials are duplicates. Needs a built clone (npm ci), psql, GNU time in /usr/bin, and about 12 GB on the disk. Uses the
// server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder, with its defaults. --once leaves out the tenth.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const numberOf = (name, otherwise) =>
  Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise);
const materials = numberOf('materials', 1_000_000);
const logs = numberOf('logs', 10_000_000);
const rounds = numberOf('rounds', 3);
const clone = resolve(import.meta.dirname, '..');
const bin = join(clone, 'bin/eduschema.cjs');
const scratch = mkdtempSync(join(tmpdir(), 'eduschema-bench-'));
const run = (cwd, ...args) =>
  execFileSync(process.execPath, [bin, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
const url = process.env.BENCH_DATABASE_URL ?? startServer();

/** Every twentieth material has the title and file of the one ten before it. One log in eight is a view. */
const fill = (count, logCount) => `
  ALTER TABLE download_logs DISABLE TRIGGER USER; ALTER TABLE view_logs DISABLE TRIGGER USER; ALTER TABLE materials DISABLE TRIGGER USER;
  ALTER TABLE material_tags DISABLE TRIGGER USER;
  INSERT INTO tags (name) SELECT 'tag ' || n FROM generate_series(1, 500) n;
  INSERT INTO materials (title, description, category_id, file_name, file_size, created_at)
    SELECT 'Title of the material ' || CASE WHEN n % 20 = 0 THEN n - 10 ELSE n END, repeat('About it. ', 20), 1,
           'file-' || CASE WHEN n % 20 = 0 THEN n - 10 ELSE n END || '.pdf', n, now() - (${count} - n) * interval '1 second'
    FROM generate_series(1, ${count}) n;
  INSERT INTO material_tags SELECT n, 1 + (n * 7 + k * 131) % 500 FROM generate_series(1, ${count}) n, generate_series(1, 3) k ON CONFLICT DO NOTHING;
  INSERT INTO download_logs (material_id, user_ip, user_agent, download_at, session_id)
    SELECT 1 + (n::bigint * 7919) % ${count}, '10.0.0.1'::inet + n % 5000, 'Mozilla/5.0 (Windows NT 10.0)', now() - (n % 5000000) * interval '1 second', md5(n::text)
    FROM generate_series(1, ${Math.round((logCount * 7) / 8)}) n;
  INSERT INTO view_logs (material_id, user_ip, user_agent, viewed_at, session_id)
    SELECT 1 + (n::bigint * 104729) % ${count}, '10.0.0.1'::inet + n % 5000, 'Mozilla/5.0 (Windows NT 10.0)', now() - (n % 5000000) * interval '1 second', md5(n::text)
    FROM generate_series(1, ${Math.round(logCount / 8)}) n;
  UPDATE materials SET download_count = l.n FROM (SELECT material_id, count(*) AS n FROM download_logs GROUP BY 1) l WHERE l.material_id = id;
  ALTER TABLE download_logs ENABLE TRIGGER USER; ALTER TABLE view_logs ENABLE TRIGGER USER; ALTER TABLE materials ENABLE TRIGGER USER;
  ALTER TABLE material_tags ENABLE TRIGGER USER;
  VACUUM ANALYZE; CHECKPOINT`;

const byHand = `SET work_mem = '64MB'; BEGIN;
  CREATE TEMP TABLE map ON COMMIT DROP AS SELECT * FROM (
    SELECT m.id AS loser, first_value(m.id) OVER (PARTITION BY m.title, m.file_name ORDER BY m.created_at, m.id) AS survivor
    FROM materials m JOIN (SELECT title, file_name FROM materials WHERE file_name IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1) d USING (title, file_name)) x
    WHERE loser <> survivor;
  ALTER TABLE map ADD PRIMARY KEY (loser); ANALYZE map;
  UPDATE download_logs l SET material_id = survivor FROM map WHERE l.material_id = loser;
  UPDATE view_logs l SET material_id = survivor FROM map WHERE l.material_id = loser;
  INSERT INTO material_tags SELECT survivor, tag_id FROM material_tags t JOIN map ON t.material_id = loser ON CONFLICT DO NOTHING;
  DELETE FROM material_tags t USING map WHERE t.material_id = loser;
  UPDATE materials m SET download_count = m.download_count + d.downloads, view_count = m.view_count + d.views
    FROM (SELECT survivor, sum(download_count) AS downloads, sum(view_count) AS views FROM map JOIN materials ON id = loser GROUP BY 1) d WHERE m.id = d.survivor;
  DELETE FROM materials m USING map WHERE m.id = loser;
  COMMIT`;

try {
  const large = compare(materials, logs);
  if (!process.argv.includes('--once')) {
    const small = compare(materials / 10, logs / 10);
    console.log(`ten times the rows: ${(large / small).toFixed(1)} times as long`);
  }
} finally {
  if (!process.env.BENCH_DATABASE_URL) run(scratch, 'db', 'reset', '--yes');
  rmSync(scratch, { recursive: true, force: true });
}

/** Both on copies of one database, in turns; returns our median in seconds. */
function compare(count, logCount) {
  psql(url, '-c', 'CREATE DATABASE bench_dedupe TEMPLATE template0');
  const times = { ours: [], hand: [] };
  const memory = [];
  try {
    const template = at('bench_dedupe');
    run(clone, 'migrate', '--quiet', '--url', template);
    for (const statement of fill(count, logCount).split(';')) psql(template, '-c', statement);
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? ['ours', 'hand'] : ['hand', 'ours'];
      for (const who of order) {
        const figures = onCopy((database) =>
          who === 'ours'
            ? timed([process.execPath, bin, 'dedupe', '--yes', '--json', '--quiet', '--url', database], clone)
            : timed(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, '-c', byHand]),
        );
        times[who].push(figures.seconds);
        if (who === 'ours') memory.push(figures.kilobytes / 1024);
      }
    }
  } finally {
    psql(url, '-c', 'DROP DATABASE bench_dedupe WITH (FORCE)');
  }
  const ratios = times.ours.map((seconds, index) => seconds / times.hand[index]);
  console.log(`${count.toLocaleString('en')} materials, 5 % duplicates, ${logCount.toLocaleString('en')} logs (medians of ${rounds})
  by hand, no undo   ${median(times.hand).toFixed(2).padStart(8)} s
  eduschema dedupe   ${median(times.ours).toFixed(2).padStart(8)} s   ${median(ratios).toFixed(2)} times   ${Math.max(...memory).toFixed(0)} MB at most`);
  return median(times.ours);
}

function startServer() {
  run(scratch, 'db', 'start');
  return run(scratch, 'db', 'url').trim();
}

function at(name) {
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}

function onCopy(use) {
  psql(url, '-c', 'CREATE DATABASE bench_dedupe_copy TEMPLATE bench_dedupe STRATEGY file_copy');
  psql(url, '-c', 'CHECKPOINT');
  try {
    return use(at('bench_dedupe_copy'));
  } finally {
    psql(url, '-c', 'DROP DATABASE bench_dedupe_copy WITH (FORCE)');
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
  return { seconds: (performance.now() - started) / 1000, kilobytes: Number(readFileSync(report, 'utf8')) };
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
