// What `eduschema partitions convert` (attach) costs beyond what no conversion can do without: building the unique index with the time in it
// and proving the CHECK, done by hand in psql; and how long those who write have to wait for it.
//   node bench/partitions-convert.mjs [--rows=5000000] [--rounds=3] [--per-second=200] [--url=...]      needs a built clone (npm ci) and psql
// Uses the server of --url or BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
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
  startWriter,
  timeEduschema,
  timePsql,
  withDatabase,
  withServer,
} from './partitions-tools.mjs';

const rows = Number(argument('rows', 5_000_000));
const rounds = Number(argument('rounds', 3));
const perSecond = Number(argument('per-second', 200));
const aloneMs = 10_000;

/** The floor, as a person does it while others write. */
const byHand = (concurrently) => `
CREATE UNIQUE INDEX ${concurrently}logs_wide ON logs (id, at);
ALTER TABLE logs ADD CONSTRAINT logs_end CHECK (at IS NOT NULL AND at < date_trunc('month', now()) + interval '2 months') NOT VALID;
ALTER TABLE logs VALIDATE CONSTRAINT logs_end;`;

const measures = {
  'writer alone': async () => {
    await sleep(aloneMs);
    return { seconds: aloneMs / 1000, steps: [] };
  },
  'by hand: unique index concurrently, CHECK, VALIDATE': async (database) => ({
    seconds: await timePsql(database, byHand('CONCURRENTLY ')),
    steps: [],
  }),
  'eduschema partitions convert': (database) =>
    timeEduschema(database, ['partitions', 'convert', 'logs', '--by', 'at', '--yes']),
  // Beside nobody: those who write would wait from its beginning to its end.
  'by hand, the index not concurrently, nobody writes': async (database) => ({
    seconds: await timePsql(database, byHand('')),
    steps: [],
    isAlone: true,
  }),
};
const [alone, hand, ours, blocking] = Object.keys(measures);

await withServer((server) =>
  withDatabase(server, undefined, async (template) => {
    runPsql(template, logTable(rows));
    const results = Object.fromEntries(Object.keys(measures).map((name) => [name, []]));
    for (let round = 0; round < rounds; round++)
      for (const name of Object.keys(measures)) {
        const result = await withDatabase(server, template, (database) => measure(database, name));
        results[name].push(result);
        process.stderr.write(`round ${round + 1} of ${rounds}: ${name} ${result.seconds.toFixed(2)} s\n`);
      }
    report(results);
  }),
);

async function measure(database, name) {
  runPsql(database, 'CHECKPOINT');
  if (name === blocking) return measures[name](database);
  const writer = await startWriter(database, insertLog, perSecond);
  await sleep(500);
  const began = performance.now();
  const result = await measures[name](database);
  const ended = performance.now();
  const waits = await writer.stop();
  const isPartitioned =
    runPsql(database, `SELECT relkind FROM pg_class WHERE relname = 'logs'`).trim() === 'p';
  const written = Number(runPsql(database, 'SELECT count(*) FROM logs')) - rows;
  if (isPartitioned !== (name === ours) || written !== waits.length)
    throw new Error(
      `${name}: ${written} of ${waits.length} inserts are there, partitioned: ${isPartitioned}`,
    );
  return { ...result, felt: feltBetween(waits, { began, ended }, result.steps) };
}

function report(results) {
  const seconds = (name) => median(results[name].map((result) => result.seconds));
  console.log(
    `a log table of ${rows.toLocaleString('en')} rows, a writer of ${perSecond} inserts a second; ${rounds} rounds, medians`,
  );
  for (const name of [alone, hand, ours]) {
    console.log(
      `${name}: ${seconds(name).toFixed(2)} s (${results[name].map((one) => one.seconds.toFixed(2)).join(', ')})`,
    );
    for (const { felt } of results[name]) console.log(`    ${showFelt(felt)}`);
  }
  console.log(`${blocking}: ${seconds(blocking).toFixed(2)} s`);
  for (const { steps, felt, stdout } of results[ours]) {
    const { lockedMs } = JSON.parse(stdout).summary;
    console.log(`steps of eduschema; locked for ${lockedMs} ms; longest waits: ${felt.longest.join(', ')}`);
    for (const { name, began, ended } of steps)
      console.log(`    ${((ended - began) / 1000).toFixed(2)} s  ${name}`);
  }
  const ratios = results[ours].map((one, round) => one.seconds / results[hand][round].seconds);
  console.log(
    `time against the floor by hand, of each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}`,
  );
  console.log(`time against the floor by hand: ${goal(median(ratios), '<=', 1.2)}`);
  console.log(
    `time against the floor that nobody may write beside: ${(seconds(ours) / seconds(blocking)).toFixed(2)}`,
  );
  console.log(
    `longest stall of the writer, ms: ${goal(Math.max(...results[ours].map(({ felt }) => felt.max)), '<', 250, 0)}; by hand ${Math.max(...results[hand].map(({ felt }) => felt.max)).toFixed(0)}, alone ${Math.max(...results[alone].map(({ felt }) => felt.max)).toFixed(0)}`,
  );
}
