import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { QualifiedName } from '../../../db/identifiers.ts';
import { parseName } from '../../../db/parse-name.ts';
import { EduschemaError } from '../../../errors.ts';
import type { Report } from '../../../output/report.ts';
import type { RestoreResult } from '../../../partitions/restore/restore.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions, type CommonOptions } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends CommonOptions {
  readonly into?: string;
  readonly for?: string;
  readonly dryRun?: boolean;
}

/** `eduschema partitions restore` */
export function partitionsRestoreCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('restore <archive>')
    .description('a partition that was retired is attached again, from its archive or its table')
    .option('--into <table>', 'load the archive into a new table of its own instead')
    .option('--for <span>', 'how long retain leaves it alone: 30d (default: until retain --restored)')
    .option('-n, --dry-run', 'print what would be done, as SQL with its locks')
    .action(
      runner.database(
        async () => ({
          ...(await import('../../../partitions/restore/restore.ts')),
          ...(await import('../../../partitions/restore/restore-into.ts')),
          ...(await import('../../../partitions/restore/source.ts')),
        }),
        async (room, context: DatabaseContext<Options>, given) => {
          const { database, options, settings, world } = context;
          const path = resolve(world.cwd, given as string);
          const schema = settings.migrations.schema;
          const work = watchMigrations(context);
          if (options.into !== undefined) {
            const name = parseName(options.into, schema);
            const source = await room.findSource(database.sql, path, nameOf(given as string, schema));
            if (!source.archive)
              throw new EduschemaError('usage', `${given} has no archive`, {
                hint: 'a retired table without an archive can only be attached again: leave --into out',
              });
            const { rows, already } = await room.restoreInto(database, source.archive, name, work);
            return reportInto(name, rows, already, source.archive.folder);
          }
          const source = await room.findSource(database.sql, path, nameOf(given as string, schema));
          return reportRestore(await room.restore(database, source, options, work));
        },
      ),
    );
  addWorkOptions(command);
}

/** What is no path may be a table's name. */
function nameOf(text: string, schema: string | undefined): QualifiedName | undefined {
  try {
    return parseName(text, schema);
  } catch {
    return undefined;
  }
}

function reportInto(name: QualifiedName, rows: number, already: boolean, archive: string): Report {
  const table = `${name.schema}.${name.name}`;
  const count = rows.toLocaleString('en');
  return {
    rows: [{ partition: table, table: null, way: already ? 'there' : 'load', rows, until: null, archive }],
    summary: { restored: already ? 0 : 1 },
    message: already
      ? `${table} is there already, with the ${count} rows of the archive`
      : `${table} has the ${count} rows of the archive; it is a table of its own`,
  };
}

function reportRestore({ script, ...row }: RestoreResult): Report {
  const { partition, table, way, rows, until } = row;
  const summary = { restored: way === 'there' ? 0 : 1 };
  if (script !== undefined) return { rows: [row], summary, text: script };
  const count = rows === null ? 'its rows' : `${rows.toLocaleString('en')} rows`;
  const kept = until
    ? `retain leaves it alone until ${until.replace('T', ' ').replace(/:\d\dZ$/, ' UTC')}`
    : 'retain leaves it alone; eduschema partitions retain --restored takes it again';
  return {
    rows: [row],
    summary,
    message:
      way === 'there'
        ? `${partition} is there already: a partition of ${table}`
        : `${partition} is a partition of ${table} again, with ${count}\n${kept}`,
  };
}
