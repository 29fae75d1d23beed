// How fast `eduschema partitions convert --method split` moves a table into partitions, against a bare INSERT ... SELECT of the same rows into a
// partitioned table with the same keys and indexes; how long those who write have to wait; memory; and all of it again with more rows.
//   node bench/partitions-split.mjs [--rows=5000000,20000000] [--rounds=1] [--per-second=200] [--url=...]      needs a built clone (npm ci) and psql
// Uses the server of --url or BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
// The conversion is counted from the start of the process to its end: with looking at the rows, indexes, statistics, foreign keys and the proofs
// before and after the swap, of all of which the INSERT does nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  argument,
  feltBetween,
  goal,
  insertLog,
  logTable,
  median,
  runPsql,
  showFelt,
  showMemory,
  startWriter,
  timeEduschema,
  timePsql,
  withDatabase,
  withServer,
} from './partitions-tools.mjs';

const sizes = argument('rows', '5000000,20000000').split(',').map(Number);
const rounds = Number(argument('rounds', 1));
const perSecond = Number(argument('per-second', 200));
const aloneMs = 10_000;

/** As the conversion makes them: a partition a month, three months ahead, a default one. */
const partitioned = `
CREATE TABLE bare (LIKE logs INCLUDING DEFAULTS, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX ON bare (material_id, at);
CREATE TABLE bare_default PARTITION OF bare DEFAULT;
SELECT format('CREATE TABLE bare_%s PARTITION OF bare FOR VALUES FROM (%L) TO (%L)', n,
  month AT TIME ZONE 'Asia/Seoul', (month + interval '1 month') AT TIME ZONE 'Asia/Seoul')
FROM (SELECT min(at) AT TIME ZONE 'Asia/Seoul' AS oldest FROM logs) AS first
CROSS JOIN LATERAL generate_series(date_trunc('month', oldest), now() AT TIME ZONE 'Asia/Seoul' + interval '3 months', interval '1 month') WITH ORDINALITY AS s (month, n) \\gexec`;

const measures = {
  'writer alone': async () => {
    await sleep(aloneMs);
    return { seconds: aloneMs / 1000 };
  },
  'bare INSERT ... SELECT': async (database) => {
    const seconds = await timePsql(database, 'INSERT INTO bare SELECT * FROM logs');
    const count = Number(runPsql(database, 'SELECT count(*) FROM bare'));
    return { seconds, rate: count / seconds };
  },
  'eduschema partitions convert --method split': async (database) => {
    const result = await timeEduschema(database, [
      ...['partitions', 'convert', 'logs', '--by', 'at', '--method', 'split', '--yes'],
    ]);
    const { rows, summary } = JSON.parse(result.stdout);
    if (rows.some(({ equal }) => !equal)) throw new Error('old and new differ');
    const of = (pattern) => result.steps.filter(({ name }) => pattern.test(name));
    const sum = (steps) => steps.reduce((total, { began, ended }) => total + (ended - began) / 1000, 0);
    const swap = of(/^put the twin/).at(-1);
    return {
      ...result,
      summary,
      rate: summary.rows / result.seconds,
      toSwap: summary.rows / ((swap.ended - result.began) / 1000),
      withIndexes: summary.rows / sum(of(/^(copy|build|give .* keys)/)),
      copyAlone: summary.rows / sum(of(/^copy/)),
    };
  },
};
const [alone, bare, ours] = Object.keys(measures);

await withServer(async (server) => {
  const found = [];
  for (const rows of sizes)
    found.push({
      rows,
      results: await withDatabase(server, undefined, (template) => measureSize(server, template, rows)),
    });
  compareSizes(found);
});

async function measureSize(server, template, rows) {
  const began = performance.now();
  runPsql(template, logTable(rows));
  process.stderr.write(`${rows} rows made in ${((performance.now() - began) / 1000).toFixed(0)} s\n`);
  const results = Object.fromEntries(Object.keys(measures).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const name of Object.keys(measures)) {
      const result = await withDatabase(server, template, (database) => measure(database, name, rows));
      results[name].push(result);
      process.stderr.write(`round ${round + 1} of ${rounds}: ${name} ${result.seconds.toFixed(2)} s\n`);
    }
  report(rows, results);
  return results;
}

async function measure(database, name, rows) {
  if (name === bare) runPsql(database, partitioned);
  runPsql(database, 'CHECKPOINT');
  const writer = await startWriter(database, insertLog, perSecond);
  await sleep(500);
  const began = performance.now();
  const result = await measures[name](database);
  const ended = performance.now();
  const waits = await writer.stop();
  const written = Number(runPsql(database, 'SELECT count(*) FROM logs')) - rows;
  if (written !== waits.length) throw new Error(`${name}: ${written} of ${waits.length} inserts are there`);
  return { ...result, felt: feltBetween(waits, { began, ended }, result.steps) };
}

function report(rows, results) {
  const middle = (name, field) => median(results[name].map((result) => result[field]));
  const perSec = (rate) => `${Math.round(rate).toLocaleString('en')} rows/s`;
  console.log(
    `\na log table of ${rows.toLocaleString('en')} rows, a writer of ${perSecond} inserts a second; ${rounds === 1 ? '1 round' : `${rounds} rounds, medians`}`,
  );
  for (const name of [alone, bare, ours]) {
    const rate = name === alone ? '' : `, ${perSec(middle(name, 'rate'))}`;
    console.log(`${name}: ${middle(name, 'seconds').toFixed(2)} s${rate}`);
    for (const { felt } of results[name]) console.log(`    ${showFelt(felt)}`);
  }
  for (const { steps, felt, summary, memory } of results[ours]) {
    console.log(`steps; locked for ${summary.lockedMs} ms; longest waits: ${felt.longest.join(', ')}`);
    for (const [name, seconds] of together(steps))
      console.log(`    ${seconds.toFixed(2).padStart(7)} s  ${name}`);
    console.log(`memory: ${showMemory(memory)}`);
  }
  const ratio = (field) => middle(ours, field) / middle(bare, 'rate');
  console.log(`rate against bare: ${goal(ratio('rate'), '>=', 0.4)}, everything counted`);
  for (const [what, field] of [
    ['to the end of the swap', 'toSwap'],
    ['rows and indexes alone', 'withIndexes'],
    ['rows alone', 'copyAlone'],
  ])
    console.log(`    ${what}: ${ratio(field).toFixed(2)} (${perSec(middle(ours, field))})`);
  const worst = (name) => Math.max(...results[name].map(({ felt }) => felt.max));
  console.log(
    `longest stall of the writer, ms: ${goal(worst(ours), '<', 250, 0)}; beside the bare INSERT ${worst(bare).toFixed(0)}, alone ${worst(alone).toFixed(0)}`,
  );
}

/** Steps of a partition each are told as one. */
function together(steps) {
  const sums = new Map();
  for (const { name, began, ended } of steps) {
    const kind = name.replace(/_(\d{4}_\d{2}|default)$/, '_...');
    sums.set(kind, (sums.get(kind) ?? 0) + (ended - began) / 1000);
  }
  return sums;
}

function compareSizes(found) {
  const rateOf = ({ results }, name) => median(results[name].map(({ rate }) => rate));
  const [first, ...others] = found;
  for (const other of others) {
    const ratio = rateOf(other, ours) / rateOf(first, ours);
    console.log(
      `\nrate with ${other.rows.toLocaleString('en')} rows against ${first.rows.toLocaleString('en')}: ${goal(ratio, '>=', 0.85)}; of the bare INSERT ${(rateOf(other, bare) / rateOf(first, bare)).toFixed(2)}`,
    );
  }
}
