// What counting downloads costs: writers that insert logs of ten hot materials as fast as they can, each row committed.
//   node bench/counters.mjs [--writers=32] [--seconds=20] [--rounds=1]
// Our statement trigger, the guide's row trigger, and no trigger, on the same tables; and the guide's own schema, whose
// audit records each count. Then statements of five rows each. The loop runs in the server, so that no client is measured.
// Needs a built clone (npm ci) and psql. Uses the server of BENCH_DATABASE_URL (a superuser's URL), else the embedded one
// of a scratch folder.
import { join } from 'node:path';
import postgres from 'postgres';
import {
  clone,
  describeMachine,
  eduschema,
  median,
  numberOf,
  psql,
  withDatabase,
  withServer,
} from './server.mjs';

const writers = numberOf('writers', 32);
const seconds = numberOf('seconds', 20);
const rounds = numberOf('rounds', 1);
const hot = 10;

const rowTrigger = `
  CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN UPDATE materials SET download_count = download_count + 1 WHERE id = NEW.material_id; RETURN NEW; END $$;
  CREATE TRIGGER count_row AFTER INSERT ON download_logs FOR EACH ROW EXECUTE FUNCTION count_row()`;
const withoutAudit = 'DROP TRIGGER materials_audit_update ON materials';
const withoutOurs = 'DROP TRIGGER increment_material_downloads ON download_logs';

const ways = {
  'our statement trigger': { migrated: true, statements: [] },
  "the guide's row trigger": { migrated: true, statements: [withoutOurs, withoutAudit, rowTrigger] },
  'the guide as written': { migrated: false, statements: [] },
  'no trigger': { migrated: true, statements: [withoutOurs, withoutAudit] },
};

await withServer(async ({ url }) => {
  console.log(describeMachine(url));
  for (const rows of [1, 5]) {
    console.log(
      `\n${writers} writers, ${rows === 1 ? 'a row' : `${rows} rows`} a statement, ${hot} hot materials, ${seconds} s (medians of ${rounds})`,
    );
    const rates = {};
    for (const [way, settings] of Object.entries(ways)) {
      const runs = [];
      for (let round = 0; round < rounds; round++)
        runs.push(await withDatabase(url, settings, (database) => measure(database, settings, rows)));
      rates[way] = median(runs.map(({ rate }) => rate));
      const deadlocks = runs.reduce((total, run) => total + run.deadlocks, 0);
      const wrong = runs.reduce((total, run) => total + run.wrong, 0);
      const counts = way === 'no trigger' ? '' : wrong === 0 ? ', counts exact' : `, ${wrong} counts wrong`;
      console.log(
        `  ${way.padEnd(26)}${Math.round(rates[way]).toLocaleString('en').padStart(9)} rows/s   ${deadlocks} deadlocks${counts}`,
      );
    }
    const ours = rates['our statement trigger'];
    console.log(
      `  ratio: ${(ours / rates["the guide's row trigger"]).toFixed(2)} of the row trigger, ${(ours / rates['the guide as written']).toFixed(2)} of the guide as written, ${(ours / rates['no trigger']).toFixed(2)} of no trigger`,
    );
  }
});

async function measure(database, { migrated, statements }, rows) {
  if (migrated) {
    eduschema(clone, 'seed', '--quiet', '--url', database, '--materials=1000', '--downloads=0');
    psql(database, ...statements.flatMap((statement) => ['-c', statement]));
  } else {
    psql(database, '-f', join(clone, 'bench/guide-schema.sql'));
    psql(
      database,
      '-c',
      "INSERT INTO materials (title, uploaded_by) SELECT 'Test Material ' || i, 1 FROM generate_series(1, 1000) i",
    );
  }
  psql(database, '-c', 'VACUUM ANALYZE materials', '-c', 'CHECKPOINT');
  const sql = postgres(database, { max: writers + 1, prepare: false, onnotice: () => {} });
  // All begin at once, whenever their connections came to be.
  const start = new Date(Date.now() + 1500).toISOString();
  await Promise.all(Array.from({ length: writers }, () => sql.unsafe(loop(start, rows)).simple()));
  const [{ logs, wrong }] = await sql.unsafe(
    `SELECT (SELECT count(*) FROM download_logs)::int AS logs,
            (SELECT count(*) FROM materials m WHERE download_count <> (SELECT count(*) FROM download_logs WHERE material_id = m.id))::int AS wrong`,
  );
  const [{ deadlocks }] = await sql.unsafe(
    'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
  );
  await sql.end();
  return { rate: logs / seconds, wrong, deadlocks };
}

/** A statement of the application each time, in a transaction of its own. Of several rows, one that a deadlock ended is left out. */
function loop(start, rows) {
  const insert = `INSERT INTO download_logs (material_id, user_ip, session_id)
          SELECT 1 + floor(random() * ${hot}), '10.0.0.1', 'bench' FROM generate_series(1, ${rows});`;
  return `DO $$
    DECLARE stop timestamptz := timestamptz '${start}' + interval '${seconds} s';
    BEGIN
      PERFORM pg_sleep(greatest(0, extract(epoch FROM timestamptz '${start}' - clock_timestamp())));
      COMMIT;
      WHILE clock_timestamp() < stop LOOP
        ${rows === 1 ? insert : `BEGIN ${insert} EXCEPTION WHEN deadlock_detected THEN NULL; END;`}
        COMMIT;
      END LOOP;
    END $$`;
}
