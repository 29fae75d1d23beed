// How fast `eduschema seed` is.
//   node bench/seed.mjs [--rounds=3]                  the default, against the guide's own SQL for the same counts
//   node bench/seed.mjs --rows=20000000 [--materials=1000000] [--rounds=1] [--checked] [--once]
//       so many logs (a seventh downloads), against INSERT ... SELECT generate_series in the server, of rows of the same width
//       into the same partitions; the same at a tenth of the rows (not with --once); memory. With --checked the server looks at each
//       foreign key, as for a role that may not switch that off
// Needs a built clone (npm ci), psql, and GNU time in /usr/bin. Uses the server of BENCH_DATABASE_URL (a superuser's
// URL), else the embedded one of a scratch folder, with the settings that it has.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bin,
  clone,
  describeMachine,
  median,
  numberOf,
  psql,
  sum,
  withDatabase,
  withServer,
} from './server.mjs';

const rows = numberOf('rows', 0);
const rounds = numberOf('rounds', rows > 0 ? 1 : 3);
const isChecked = process.argv.includes('--checked');
const isOnce = process.argv.includes('--once');
const asOf = '2026-11-01';
const counted = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

await withServer(async ({ url, scratch }) => {
  console.log(describeMachine(url));
  if (rows > 0) await compareWithServer(url, scratch);
  else await compareWithGuide(url, scratch);
});

/** The guide's schema and triggers, as written, and its two INSERTs. */
async function compareWithGuide(url, scratch) {
  const guide = [];
  const same = [];
  const floor = [];
  const whole = [];
  const folder = import.meta.dirname;
  for (let round = 0; round < rounds; round++) {
    guide.push(
      await withDatabase(url, {}, (database) => {
        psql(database, '-f', join(folder, 'guide-schema.sql'), '-c', 'CHECKPOINT');
        return timed(scratch, ['psql', '-X', '-q', '-d', database, '-f', join(folder, 'guide-data.sql')])
          .seconds;
      }),
    );
    const ours = (options, then) =>
      withDatabase(url, { migrated: true }, (database) => {
        const { seconds } = seed(scratch, database, ...options);
        return then ? then(database, seconds) : seconds;
      });
    let script = '';
    same.push(
      await ours(['--views=0'], (database, seconds) => {
        script = takeRows(scratch, database);
        return seconds;
      }),
    );
    floor.push(
      await withDatabase(url, { migrated: true }, (database) => {
        psql(
          database,
          '-c',
          `SELECT create_month_partitions(t, 6, 1) FROM unnest('{download_logs,view_logs}'::regclass[]) t`,
          '-c',
          'CHECKPOINT',
        );
        return timed(scratch, ['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', script])
          .seconds;
      }),
    );
    whole.push(await ours([]));
  }
  console.log(
    `10,000 materials and 50,000 downloads; ${rounds} rounds, medians; how many times as fast as the guide's SQL`,
  );
  const ratioTo = (runs) => median(runs.map((seconds, index) => guide[index] / seconds));
  print('the guide', guide);
  print('eduschema seed --views=0', same, `${ratioTo(same).toFixed(1)} times`);
  print(
    'the same rows, ready made, by psql',
    floor,
    `${ratioTo(floor).toFixed(1)} times: no loader is faster with these triggers and indexes`,
  );
  print('eduschema seed, with 300,000 views', whole, `${ratioTo(whole).toFixed(1)} times`);
}

/**
 * Writes what was seeded into files, and returns a script that loads them as fast as psql can: one transaction, log rows
 * into their partitions without a look at foreign keys, statistics at the end.
 */
function takeRows(scratch, database) {
  const logs = leavesOf(database).map(({ leaf }) => leaf);
  const tables = ['users', 'user_permissions', 'tags', 'materials', 'material_tags'];
  const file = (table) => join(scratch, `${table}.copy`);
  for (const table of [...tables, ...logs]) psql(database, '-c', `\\copy ${table} TO '${file(table)}'`);
  const load = (table) => `\\copy ${table} FROM '${file(table)}'`;
  const script = join(scratch, 'floor.sql');
  writeFileSync(
    script,
    [
      'BEGIN;',
      ...tables.map(load),
      'SET LOCAL session_replication_role = replica;',
      ...logs.map(load),
      'COMMIT;',
      ...[...tables, 'download_logs'].map((table) => `ANALYZE ${table};`),
      'SELECT refresh_popular_materials();',
    ].join('\n'),
  );
  return script;
}

function print(name, seconds, more = '') {
  console.log(`  ${name.padEnd(36)} ${median(seconds).toFixed(2).padStart(8)} s   ${more}`);
}

async function compareWithServer(url, scratch) {
  const materials = numberOf('materials', Math.ceil(rows / 20));
  const rates = {};
  for (const count of isOnce ? [rows] : [Math.round(rows / 10), rows]) {
    const runs = [];
    for (let round = 0; round < rounds; round++)
      runs.push(
        await withDatabase(url, { migrated: true }, (database) =>
          compareOnce(scratch, database, materials, count),
        ),
      );
    const of = (key) => median(runs.map((run) => run[key]));
    rates[count] = of('ours');
    console.log(
      [
        `${counted.format(count)} logs of ${counted.format(materials)} materials, rows a second (medians of ${rounds})`,
        `  eduschema seed             ${counted.format(of('ours')).padStart(9)}   ${of('memory').toFixed(0)} MB at most; the whole command ${of('seconds').toFixed(0)} s`,
        `  INSERT ... generate_series ${counted.format(of('server')).padStart(9)}`,
        `  ratio                      ${median(runs.map(({ ours, server }) => ours / server))
          .toFixed(2)
          .padStart(9)}`,
      ].join('\n'),
    );
  }
  if (isOnce) return;
  const [small, large] = Object.values(rates);
  console.log(`the rate at ${counted.format(rows)} is ${(large / small).toFixed(2)} of that at a tenth`);
}

/** Ours, then the partitions emptied, and the same by the server alone: in the same tables, of the same materials. */
function compareOnce(scratch, database, materials, count) {
  const downloads = Math.round(count / 7);
  // Where the setting is not the default one, it is left alone.
  if (isChecked)
    psql(
      database,
      '-c',
      `ALTER DATABASE ${new URL(database).pathname.slice(1)} SET session_replication_role = local`,
    );
  const { result, kilobytes, seconds } = seed(
    scratch,
    database,
    ...[`--materials=${materials}`, `--downloads=${downloads}`, `--views=${count - downloads}`],
  );
  const logs = result.rows.filter(({ table }) => /_logs$/.test(table));
  const ours = count / (sum(logs.map(({ durationMs }) => durationMs)) / 1000);
  console.log(`  (eduschema seed has filled them: ${counted.format(ours)} rows a second)`);
  const statements = leavesOf(database).map(insertInto).join(';\n');
  psql(database, '-c', 'TRUNCATE download_logs, view_logs', '-c', 'CHECKPOINT');
  const alone = timed(scratch, [
    'psql',
    '-X',
    '-q',
    '-v',
    'ON_ERROR_STOP=1',
    '-d',
    database,
    '-c',
    statements,
  ]);
  return {
    ours,
    server: count / alone.seconds,
    memory: kilobytes / 1024,
    seconds,
  };
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
  return JSON.parse(psql(database, '-c', `SELECT json_agg(t) FROM (${query}) t`));
}

function timeOf(log) {
  return log.startsWith('download') ? 'download_at' : 'viewed_at';
}

/** Rows of the same width: in the order of time, favourites and rarities, a session of 16 digits, a user agent. */
function insertInto({ leaf, n, first, begins, span, materials, agent }) {
  const views = leaf.includes('view_logs');
  const columns = `id, material_id, user_ip, user_agent, ${timeOf(views ? 'view' : 'download')}, session_id, ${views ? 'view_duration' : 'referer_url'}`;
  return `INSERT INTO ${leaf} (${columns})
    SELECT ${first} + i, 1 + floor(random() ^ 4 * (${materials} - 1))::bigint, '10.10.3.117'::inet + (i % 1000),
           '${'M'.repeat(agent)}', timestamptz '${begins}' + interval '${span}' * (i::float8 / ${n}),
           to_hex(i::bigint * 7919 + 1152921504606846976), ${views ? '3 + (i % 600)' : "CASE WHEN i % 5 > 0 THEN 'https://edu.example.com/search' END"}
    FROM generate_series(0, ${n} - 1) i`;
}

/** Seeds, and returns what it said, how long it took, and the largest resident set. */
function seed(scratch, database, ...options) {
  const { stdout, ...figures } = timed(
    scratch,
    [process.execPath, bin, 'seed', '--json', '--quiet', '--url', database, `--as-of=${asOf}`, ...options],
    clone,
  );
  return { result: JSON.parse(stdout), ...figures };
}

function timed(scratch, command, cwd = scratch) {
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
