import { relative } from 'node:path';
import type { Session } from '../db/connect.ts';
import { isServerError } from '../db/explain-error.ts';
import { EduschemaError } from '../errors.ts';
import { excerptAt, findPlace, offsetOfPosition } from '../sql/excerpt.ts';
import type { FailedMigration } from './failure.ts';
import type { MigrationContext } from './module.ts';
import type { PreparedModule } from './prepare.ts';

/** Runs `up` or `down` of a TypeScript migration. Throws `migration-failed`, naming the query and the line. */
export async function runModule(
  session: Session,
  { module, direction, unit }: PreparedModule,
  migration: FailedMigration,
  context: Pick<MigrationContext, 'signal' | 'log'>,
): Promise<void> {
  if (unit.type !== 'versioned') throw new TypeError('a repeatable migration is SQL');
  const { version, description, path } = unit.file;
  try {
    await session.preparing(async () =>
      module[direction]?.(session.sql as never, { version, description, direction, ...context }),
    );
  } catch (error) {
    const ended = module.transaction && session.tap.transaction === 'none';
    const outcome = () => 'it ended the transaction that it runs in: what it committed itself stays';
    throw moduleFailed(error, path, ended ? { ...migration, outcome } : migration);
  }
}

function moduleFailed(error: unknown, path: string, migration: FailedMigration): EduschemaError {
  if (error instanceof EduschemaError) return error;
  const server = isServerError(error) ? error : undefined;
  const query = (error as { query?: string } | undefined)?.query;
  const thrown = error instanceof Error ? error : new Error(String(error));
  const line = findLine(thrown.stack ?? '', path);
  const shown =
    query && server?.position
      ? ['', excerptAt(query, findPlace(query, offsetOfPosition(query, 0, Number(server.position))))]
      : [];
  const told = [
    thrown.message,
    server?.detail,
    query && !server?.position ? `in: ${query.trim().split('\n')[0]}` : undefined,
  ];
  const outcome = migration.outcome();
  return new EduschemaError(
    'migration-failed',
    `${migration.title} failed${line ? ` at line ${line} of` : ' in'} ${migration.file}${server ? ` (${server.code})` : ''}`,
    {
      excerpt: [
        ...told.filter((text) => text !== undefined).map((text) => `  ${text}`),
        ...shown,
        '',
        outcome,
      ].join('\n'),
      hint: server?.hint ?? `fix the file and run ${migration.command} again`,
      cause: error,
      details: {
        file: migration.file,
        line,
        statement: query,
        sqlstate: server?.code,
        reason: thrown.message,
        detail: server?.detail,
        outcome,
      },
    },
  );
}

/** The line of the first frame of a stack that lies in the migration's file. */
function findLine(stack: string, path: string): number | undefined {
  const at = stack
    .split('\n')
    .find((frame) => frame.includes(path) || frame.includes(relative(process.cwd(), path)));
  const line = at && /:(\d+):\d+\)?$/.exec(at.trim())?.[1];
  return line ? Number(line) : undefined;
}
