import type { Database } from '../db/connect.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import { seedJournal } from '../db/own-tables.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { type Worker, withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { byAuthor } from './by-author.ts';
import { createContext } from './context.ts';
import type { CodeSeed, TableSeed } from './define-seed.ts';
import { readSeeds, type SeedFile } from './folder.ts';
import { createJournal, readRuns, type SeedRun, writeRun } from './journal.ts';
import { createLoadProgress } from './load-progress.ts';
import { checkGiven, type SeedOptions, wishesOf } from './options.ts';
import { findCurrentVersion, requireVersion } from './required-version.ts';
import { runTables } from './run-tables.ts';
import { sessionOpener } from './session.ts';
import { type SeedSettings, searchPathOf } from './settings.ts';
import { runSeedSql } from './sql-seed.ts';

/** What a command did, or found done, for a table or a file. */
export interface SeedRow {
  readonly seed: string;
  readonly file: string;
  /** Null for a seed in SQL or code. */
  readonly table: string | null;
  /** `seeded`, `there already`. */
  readonly state: 'seeded' | 'there already';
  readonly run: number;
  readonly rows: number | null;
  readonly checksum: string | null;
  readonly durationMs: number | null;
}

export interface SeedResult {
  readonly rows: readonly SeedRow[];
  /** Of the seeds of tables: which number, date and values they were made with. */
  readonly runs: readonly { seed: string; run: number; seedNumber: number; asOf: string; values: object }[];
  /** Files that run once, ran, and were edited since. */
  readonly edited: readonly string[];
  /** From the first question to the last answer. */
  readonly durationMs: number;
}

/** Runs the seeds of the folder that are not done yet. Throws before anything is changed for what cannot be meant. */
export async function seed(
  database: Database,
  settings: SeedSettings,
  options: SeedOptions,
): Promise<SeedResult> {
  const wishes = wishesOf(options);
  const files = await readSeeds(settings.directory, settings.shownDirectory, options.only);
  checkGiven(files, wishes);
  const started = performance.now();
  return withSeedWorker(database, settings, async (worker, journal, progressFor) => {
    const outcome = {
      rows: [] as SeedRow[],
      runs: [] as SeedResult['runs'][number][],
      edited: [] as string[],
    };
    const openFor = await sessionOpener(worker, settings);
    for (const file of files) {
      const isOfTables = file.content.kind === 'module' && 'tables' in file.content.seed;
      await openFor(isOfTables ? 'tables' : 'file');
      const runs = (await readRuns(worker.session.sql, journal)).filter(
        ({ seed: name }) => name === file.name,
      );
      const needed = file.content.kind === 'module' ? file.content.seed.requires : undefined;
      if (needed !== undefined) await requireVersion(worker.session.sql, settings.journal, file.file, needed);
      if (file.content.kind === 'module' && 'tables' in file.content.seed)
        await runTableSeed(file, file.content.seed, runs);
      else await runFile(file, runs);
    }
    return { ...outcome, durationMs: Math.round(performance.now() - started) };

    async function runTableSeed(file: SeedFile, content: TableSeed, runs: readonly SeedRun[]) {
      const progress = progressFor(file.name);
      const current = await findCurrentVersion(worker.session.sql, settings.journal);
      const { run, action } = await runTables({
        database,
        worker,
        journal,
        file,
        seed: content,
        runs,
        wishes,
        current,
        searchPath: searchPathOf(settings, 'LOCAL'),
        signal: settings.signal,
        progress,
      });
      const shown = action === 'nothing' ? runs : [run];
      for (const one of shown) {
        outcome.runs.push({
          seed: file.name,
          run: one.run,
          seedNumber: one.seedNumber ?? 0,
          asOf: new Date(one.asOf ?? 0).toISOString(),
          values: one.values,
        });
        // Of a list, only what was added is ours.
        for (const part of one.parts.filter(({ kind, rows }) => kind === 'table' || rows !== 0))
          outcome.rows.push({
            seed: file.name,
            file: file.file,
            table: part.table,
            state: action === 'nothing' ? 'there already' : 'seeded',
            run: one.run,
            rows: part.rows,
            checksum: part.checksum,
            durationMs: progress.durationOf(part.table),
          });
      }
    }

    async function runFile(file: SeedFile, runs: readonly SeedRun[]) {
      const [before] = runs;
      const { content } = file;
      const when = content.kind === 'sql' ? content.sql.when : ((content.seed as CodeSeed).when ?? 'once');
      const row = { seed: file.name, file: file.file, table: null, run: 1, rows: null, checksum: null };
      if (before && when === 'once') {
        if (before.fileChecksum !== file.checksum) outcome.edited.push(file.file);
        outcome.rows.push({ ...row, state: 'there already', durationMs: null });
        return;
      }
      const started = performance.now();
      await worker.transaction(`run ${file.file}`, async (sql) => {
        if (content.kind === 'sql') await runSeedSql(worker.session, sql, content.sql);
        else {
          const facts = { seedNumber: wishes.seedNumber ?? 1, asOf: wishes.asOf ?? wishes.today };
          const context = createContext({ ...facts, values: {}, earlier: [] });
          const { tap } = worker.session;
          const { boundaries } = tap;
          await byAuthor(file.file, 'run', async () => (content.seed as CodeSeed).run(sql, context));
          await sql`SELECT`;
          if (tap.boundaries !== boundaries) throw endedTransaction(file.file);
        }
        await writeRun(sql, journal, {
          ...{ seed: file.name, run: 1, state: 'done', seedNumber: null, asOf: null, values: {}, parts: [] },
          fileChecksum: file.checksum,
        });
      });
      outcome.rows.push({ ...row, state: 'seeded', durationMs: Math.round(performance.now() - started) });
    }
  });
}

function endedTransaction(file: string): EduschemaError {
  return new EduschemaError('seed-invalid', `${file} ended the transaction that was to record it`, {
    hint: 'leave COMMIT and ROLLBACK out; what it committed stays, and it would run again',
    details: { file },
  });
}

/** Opens the session that seeds, while no other eduschema seeds this database, with the journal in place. */
export async function withSeedWorker<T>(
  database: Database,
  settings: SeedSettings,
  use: (
    worker: Worker,
    journal: QualifiedName,
    progressFor: (seed: string) => ReturnType<typeof createLoadProgress>,
  ) => Promise<T>,
): Promise<T> {
  const journal = seedJournal(settings.journal);
  let loading = false;
  const tell = settings.onProgress ?? (() => {});
  const quiet: WorkSettings = {
    ...settings,
    // While rows are sent we count them ourselves; the server counts those of one COPY of many.
    onProgress: (event) => (event.type === 'progress' && loading ? undefined : tell(event)),
  };
  return withWorker(database, `seeds of ${journal.schema}.${journal.name}`, quiet, async (worker) => {
    if (settings.schema !== undefined) await worker.session.sql.unsafe(searchPathOf(settings, 'SESSION'));
    await worker.transaction(`create ${journal.schema}.${journal.name}`, async (sql) => {
      const [found] =
        await sql`SELECT to_regclass(${`"${journal.schema}"."${journal.name}"`}) IS NOT NULL AS there`;
      if (!found?.there) await sql.unsafe(createJournal(journal));
    });
    return use(worker, journal, (seedName) =>
      createLoadProgress(seedName, tell, (now) => {
        loading = now;
      }),
    );
  });
}
