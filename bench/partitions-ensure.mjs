// `eduschema partitions ensure` of 24 months for three tables, against psql with the same DDL in one file, and what those who write feel of it;
// then `ensure` and `check` of a table with 1,000 partitions, beyond connecting.
//   node bench/partitions-ensure.mjs [--rounds=7] [--partitions=1000] [--per-second=200] [--url=...]      needs a built clone (npm ci) and psql
// Uses the server of --url or BENCH_DATABASE_URL (a superuser's URL), else the embedded one of a scratch folder.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  argument,
  feltBetween,
  goal,
  median,
  runPsql,
  showFelt,
  startWriter,
  timeEduschema,
  timePsql,
  withDatabase,
  withServer,
} from './partitions-tools.mjs';

const rounds = Number(argument('rounds', 7));
const perSecond = Number(argument('per-second', 200));
const count = Number(argument('partitions', 1000));
const names = ['download_logs', 'view_logs', 'search_logs'];
const aloneMs = 3000;

/** Months from `from` to `to` months from now, and the default partition; as the education schema has them. */
const table = (name, unit, from, to) => `
CREATE TABLE ${name} (id bigint NOT NULL GENERATED ALWAYS AS IDENTITY, material_id bigint NOT NULL REFERENCES materials ON DELETE CASCADE, user_ip inet, user_agent text,
  at timestamptz NOT NULL DEFAULT now(), referer text, session text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX ON ${name} (material_id, at);
CREATE INDEX ON ${name} (user_ip, at);
CREATE TABLE ${name}_default PARTITION OF ${name} DEFAULT;
SELECT format('CREATE TABLE ${name}_%s PARTITION OF ${name} FOR VALUES FROM (%L) TO (%L)', to_char(day, 'YYYY_MM_DD'),
  day AT TIME ZONE 'Asia/Seoul', (day + interval '1 ${unit}') AT TIME ZONE 'Asia/Seoul')
FROM generate_series(date_trunc('${unit}', now() AT TIME ZONE 'Asia/Seoul') + interval '${from} ${unit}',
  date_trunc('${unit}', now() AT TIME ZONE 'Asia/Seoul') + interval '${to} ${unit}', interval '1 ${unit}') AS day \\gexec`;

const threeTables = `CREATE TABLE materials (id bigint PRIMARY KEY);
INSERT INTO materials SELECT generate_series(1, 5000);
${names.map((name) => table(name, 'month', -3, 0)).join('\n')}
${names.map((name) => `INSERT INTO ${name} (material_id, at) SELECT 1 + n % 5000, now() - n * interval '1 s' FROM generate_series(1, 100000) n;`).join('\n')}
VACUUM ANALYZE;`;
const insert = (n) =>
  `INSERT INTO ${names[n % 3]} (material_id, user_ip, user_agent, referer, session) VALUES (${1 + (n % 5000)}, '10.0.0.1', 'Mozilla/5.0', '', 'session ${n}')`;
const line = ['partitions', 'ensure', '--ahead', '24mo'];

const measures = {
  'writer alone': async () => {
    await sleep(aloneMs);
    return { seconds: aloneMs / 1000 };
  },
  'psql with the same DDL': async (database, script) => ({ seconds: await timePsql(database, script) }),
  'eduschema partitions ensure': (database) => timeEduschema(database, line, { watches: false }),
};
const [alone, hand, ours] = Object.keys(measures);

await withServer(async (server) => {
  await measureMonths(server);
  await measureMany(server);
});

async function measureMonths(server) {
  const results = Object.fromEntries(
    Object.keys(measures).map((name) => [name, { quiet: [], beside: [], waits: [], rounds: [] }]),
  );
  let statements = 0;
  await withDatabase(server, undefined, async (template) => {
    runPsql(template, threeTables);
    const { stdout } = await timeEduschema(template, [...line, '--dry-run']);
    const script = JSON.parse(stdout).summary.text;
    statements = (script.match(/;$/gm) ?? []).length;
    for (let round = 0; round < rounds; round++)
      for (const name of shuffle(Object.keys(measures))) {
        const result = results[name];
        if (name !== alone)
          await withDatabase(server, template, async (database) => {
            const { seconds } = await measures[name](database, script);
            checkMonths(database, name);
            result.quiet.push(seconds);
          });
        await withDatabase(server, template, async (database) => {
          const writer = await startWriter(database, insert, perSecond);
          await sleep(1000);
          const began = performance.now();
          const { seconds } = await measures[name](database, script);
          const span = { began, ended: performance.now() };
          const waits = await writer.stop();
          if (name !== alone) checkMonths(database, name);
          result.beside.push(seconds);
          result.rounds.push(feltBetween(waits, span));
          result.waits.push(...waits.filter(({ due, ms }) => due + ms >= span.began && due <= span.ended));
        });
        process.stderr.write(`round ${round + 1} of ${rounds}: ${name}\n`);
      }
  });
  reportMonths(results, statements);
}

function checkMonths(database, name) {
  const made = Number(
    runPsql(database, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'view_logs'::regclass`),
  );
  if (made !== 3 + 1 + 24 + 1) throw new Error(`${name}: ${made} partitions`);
}

function reportMonths(results, statements) {
  console.log(
    `24 months for ${names.length} tables, ${statements} statements; ${rounds} rounds in random order, medians; beside a writer: ${perSecond} inserts a second into the three`,
  );
  const everything = { began: 0, ended: Number.POSITIVE_INFINITY };
  for (const [name, { quiet, beside, waits, rounds: felt }] of Object.entries(results)) {
    const times =
      name === alone
        ? ''
        : `${median(quiet).toFixed(2)} s, beside the writer ${median(beside).toFixed(2)} s; `;
    console.log(`${name}: ${times}${showFelt(feltBetween(waits, everything))}`);
    console.log(`    longest of each round, ms: ${felt.map(({ max }) => max.toFixed(0)).join(', ')}`);
  }
  const ratio = (kind) => median(results[ours][kind]) / median(results[hand][kind]);
  console.log(
    `time against psql: ${goal(ratio('quiet'), '<=', 1.5)}; beside the writer ${ratio('beside').toFixed(2)}`,
  );
  const p99 = (name) => feltBetween(results[name].waits, everything).p99;
  console.log(
    `p99 of the writer, ms: ${p99(ours).toFixed(1)} during ensure, ${p99(hand).toFixed(1)} during psql, ${p99(alone).toFixed(1)} with neither: ${(p99(ours) / p99(alone)).toFixed(2)} times\n`,
  );
}

async function measureMany(server) {
  const past = Math.round(count * 0.85);
  await withDatabase(server, undefined, (empty) =>
    withDatabase(server, undefined, async (database) => {
      runPsql(
        database,
        `CREATE TABLE materials (id bigint PRIMARY KEY);${table('logs', 'day', -past, count - past - 1)}\nANALYZE;`,
      );
      const connecting = await times(empty, ['partitions', 'list']);
      console.log(`a table of ${count} partitions, a day each; ${rounds} rounds, medians`);
      console.log(`connecting (partitions list of an empty database): ${connecting.toFixed(2)} s`);
      const commands = [
        ['ensure, nothing to do', ['partitions', 'ensure', '--unit', 'day']],
        ['list', ['partitions', 'list']],
      ];
      const { stdout } = await timeEduschema(empty, ['partitions', '--help']).catch(() => ({ stdout: '' }));
      if (/^ +check /m.test(stdout)) commands.splice(1, 0, ['check', ['partitions', 'check']]);
      else console.log('partitions check: not there');
      for (const [name, args] of commands) {
        const seconds = await times(database, args);
        const beyond = goal(seconds - connecting, '<', 2);
        console.log(
          `${name}: ${seconds.toFixed(2)} s, beyond connecting ${name === 'list' ? (seconds - connecting).toFixed(2) : beyond}`,
        );
      }
      const ahead = ['partitions', 'ensure', '--unit', 'day', '--ahead', `${count - past}d`];
      const { seconds, stdout: made } = await timeEduschema(database, ahead);
      console.log(
        `ensure, ${JSON.parse(made).summary.made} made (1 run): ${seconds.toFixed(2)} s, beyond connecting ${goal(seconds - connecting, '<', 2)}`,
      );
    }),
  );
}

async function times(database, args) {
  const seconds = [];
  for (let round = 0; round < rounds; round++) {
    // Findings are exit code 1.
    const result = await timeEduschema(database, args, { statuses: [0, 1] });
    seconds.push(result.seconds);
  }
  return median(seconds);
}

function shuffle(list) {
  return list
    .map((value) => ({ value, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value);
}
