// How fast search_materials() is, over 200 words, against the guide's ILIKE and against pg_trgm.
//   node bench/search.mjs [--materials=200000] [--words=200] [--rounds=3]
// The words are those of the texts themselves, from the most frequent to those in one row, and a few of one syllable.
// Needs a built clone (npm ci) and psql. Uses the server of BENCH_DATABASE_URL (a superuser's URL, with pg_trgm), else
// the embedded one of a scratch folder.
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

const materials = numberOf('materials', 200_000);
const wanted = numberOf('words', 200);
const rounds = numberOf('rounds', 3);
const goals = { median: 20, worst: 5 };

/** The guide's performance query without its count of recent downloads, which would only cost it more. */
const ilike = (table) => `
  SELECT m.id, m.title, c.name AS category_name, m.download_count
  FROM ${table} m LEFT JOIN categories c ON m.category_id = c.id
  WHERE m.is_active = true AND (m.title ILIKE $1 OR m.description ILIKE $1)
  ORDER BY m.download_count DESC LIMIT 20`;

const ways = {
  'search_materials()': { query: 'SELECT * FROM search_materials($1)', value: (word) => word },
  "the guide's ILIKE": { query: ilike('guide.materials'), value: (word) => `%${word}%` },
  'ILIKE with pg_trgm': { query: ilike('trgm.materials'), value: (word) => `%${word}%` },
};

await withServer(({ url }) =>
  withDatabase(url, { migrated: true }, async (database) => {
    console.log(describeMachine(url));
    eduschema(
      clone,
      ...['seed', '--quiet', '--url', database, '--as-of=2026-11-01'],
      ...[`--materials=${materials}`, `--downloads=${materials * 2}`, '--views=0'],
    );
    makeRivals(database);
    const sql = postgres(database, { max: 1, prepare: false, onnotice: () => {} });
    const words = await chooseWords(sql);
    await compareWords(sql, words);
    await sql.end();
    compareIndexes(database);
    compareInserts(database);
  }),
);

/** The same rows in a table as the guide has it, with its indexes, and in one with pg_trgm. */
function makeRivals(database) {
  for (const [schema, indexes] of Object.entries({
    guide: [
      'INDEX ON guide.materials (category_id, is_active, created_at DESC)',
      "INDEX fulltext ON guide.materials USING gin (to_tsvector('simple', title || ' ' || coalesce(description, '')))",
      'INDEX ON guide.materials (title) WHERE is_active = true',
    ],
    trgm: ['INDEX trigrams ON trgm.materials USING gin (title gin_trgm_ops, description gin_trgm_ops)'],
  }))
    psql(
      database,
      ...[
        ...(schema === 'trgm' ? ['CREATE EXTENSION pg_trgm'] : []),
        `CREATE SCHEMA ${schema}`,
        `CREATE TABLE ${schema}.materials AS TABLE materials`,
        `ALTER TABLE ${schema}.materials ADD PRIMARY KEY (id)`,
        ...indexes.map((index) => `CREATE ${index}`),
        `VACUUM ANALYZE ${schema}.materials`,
      ].flatMap((statement) => ['-c', statement]),
    );
  psql(database, '-c', 'VACUUM ANALYZE materials', '-c', 'CHECKPOINT');
}

/** Words of titles and descriptions at even distances by how many rows have them, with the issue's own. */
async function chooseWords(sql) {
  const rows = await sql`
    SELECT word, count(*)::int AS n
    FROM (SELECT DISTINCT id, regexp_replace(word, '[.,:()~]+', '', 'g') AS word
          FROM materials, regexp_split_to_table(title || ' ' || coalesce(description, ''), '\\s+') AS word) w
    WHERE char_length(word) >= 2 GROUP BY 1 ORDER BY n DESC, word`;
  const own = ['교육', '복지', '교', '개인정보'];
  const others = rows.map(({ word }) => word).filter((word) => !own.includes(word));
  const count = Math.min(wanted - own.length, others.length);
  const even = Array.from(
    { length: count },
    (_, index) => others[Math.floor((index * others.length) / count)],
  );
  return [...own, ...new Set(even)];
}

async function compareWords(sql, words) {
  const times = {};
  for (const [way, { query, value }] of Object.entries(ways)) {
    times[way] = [];
    for (const word of words) {
      const runs = [];
      for (let round = 0; round <= rounds; round++) {
        const started = performance.now();
        await sql.unsafe(query, [value(word)]);
        // The first one warms the caches.
        if (round > 0) runs.push(performance.now() - started);
      }
      times[way].push(median(runs));
    }
  }
  const [ours, guide, trgm] = Object.values(times);
  console.log(
    `\n${words.length} words in ${materials.toLocaleString('en')} materials, the 20 most downloaded; ms (medians of ${rounds})`,
  );
  console.log(
    `${''.padEnd(22)}${['median', 'worst', '교육', '복지', '교', '개인정보'].map((title) => pad(title, 10)).join('')}`,
  );
  for (const [way, all] of Object.entries(times))
    console.log(
      way.padEnd(22) +
        [median(all), Math.max(...all), ...all.slice(0, 4)].map((ms) => pad(ms.toFixed(1), 10)).join(''),
    );
  for (const [rival, all] of Object.entries({ "the guide's ILIKE": guide, 'ILIKE with pg_trgm': trgm })) {
    const ratios = all.map((ms, index) => ms / ours[index]);
    const least = ratios.indexOf(Math.min(...ratios));
    console.log(
      `\nas fast as ${rival}: median ${(median(all) / median(ours)).toFixed(1)} times, worst against worst ${(Math.max(...all) / Math.max(...ours)).toFixed(1)} times` +
        `\n  word by word: median ${median(ratios).toFixed(1)} times, least ${ratios[least].toFixed(1)} times (${words[least]}: ${ours[least].toFixed(1)} against ${all[least].toFixed(1)} ms); ${ratios.filter((ratio) => ratio < goals.worst).length} words under ${goals.worst} times`,
    );
  }
  console.log(`the goal against ILIKE: median ${goals.median} times, worst ${goals.worst} times`);
}

function compareIndexes(database) {
  const sizes = psql(
    database,
    '-c',
    `SELECT name, pg_size_pretty(pg_relation_size(name::regclass)) FROM unnest(ARRAY['materials', 'idx_materials_search', 'guide.fulltext', 'trgm.trigrams']) name`,
  );
  console.log(
    `\nsizes\n${sizes.trim().replaceAll(/^(.*)\|(.*)$/gm, (_, name, size) => `  ${name.padEnd(22)}${pad(size, 10)}`)}`,
  );
}

/** What an index adds to the insertion of a row: tables that have nothing but it. */
function compareInserts(database) {
  const indexes = {
    none: undefined,
    'pairs (ours)': 'gin (material_search_pairs(title, description))',
    pg_trgm: 'gin (title gin_trgm_ops, description gin_trgm_ops)',
    "the guide's tsvector": "gin (to_tsvector('simple', title || ' ' || coalesce(description, '')))",
  };
  const count = Math.min(20_000, materials);
  const costs = {};
  for (const [name, index] of Object.entries(indexes)) {
    const runs = [];
    for (let round = 0; round < rounds; round++) {
      psql(
        database,
        ...[
          'DROP TABLE IF EXISTS bare',
          'CREATE TABLE bare (title varchar(200), description text)',
          ...(index ? [`CREATE INDEX ON bare USING ${index}`] : []),
          'CHECKPOINT',
        ].flatMap((statement) => ['-c', statement]),
      );
      const timing = psql(
        database,
        ...[
          '-c',
          '\\timing on',
          '-c',
          `INSERT INTO bare SELECT title, description FROM materials LIMIT ${count}`,
        ],
      );
      runs.push(Number(/([\d.]+) ms/.exec(timing)?.[1]));
    }
    costs[name] = (median(runs) * 1000) / count;
  }
  console.log(`\ninsertion of ${count.toLocaleString('en')} rows, us a row (medians of ${rounds})`);
  for (const [name, cost] of Object.entries(costs))
    console.log(`  ${name.padEnd(22)}${pad(cost.toFixed(1), 10)}`);
}

/** Hangul takes two columns of a terminal. */
function pad(text, width) {
  const wide = [...text].filter((sign) => sign > '\u1100').length;
  return text.padStart(width - wide);
}
