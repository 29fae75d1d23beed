import { cancelOnAbort } from '../db/cancel-on-abort.ts';
import type { Database, Session } from '../db/connect.ts';
import { type QualifiedName, quoteName } from '../db/identifiers.ts';
import { inTransaction } from '../db/in-transaction.ts';
import type { Worker } from '../db/worker.ts';

/**
 * Freshens the statistics of tables, the largest first, two at a time: it is the processor that they wait for. What a
 * second session cannot do, for want of a connection or a lock, the worker does.
 */
export async function analyzeTables(
  database: Database,
  worker: Worker,
  tables: readonly (QualifiedName & { readonly rows: number })[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const left = [...tables].sort((a, b) => b.rows - a.rows);
  const analyze = (table: QualifiedName) =>
    worker.transaction(`analyze ${table.schema}.${table.name}`, (sql) =>
      sql.unsafe(`ANALYZE ${quoteName(table)}`),
    );
  const refused: QualifiedName[] = [];
  const helper = helpAnalyze(database, left, refused, signal).catch(() => {});
  try {
    for (let table = left.shift(); table; table = left.shift()) await analyze(table);
  } finally {
    // Nothing is left for it but what it is at.
    left.length = 0;
    await helper;
  }
  for (const table of refused) await analyze(table);
}

/** Takes tables from `left`, and puts those that it could not do into `refused`. */
async function helpAnalyze(
  database: Database,
  left: QualifiedName[],
  refused: QualifiedName[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (left.length < 2) return;
  await database.withSession({ applicationName: 'eduschema worker' }, async (session: Session) => {
    const stop = cancelOnAbort(database, session, signal);
    try {
      // The worker has the largest one.
      for (let table = left.shift(); table && !signal?.aborted; table = left.shift()) {
        const name = table;
        await inTransaction(session, '', async (sql) => {
          await sql.unsafe("SET LOCAL lock_timeout = '2s'");
          await sql.unsafe(`ANALYZE ${quoteName(name)}`);
        }).catch(() => refused.push(name));
      }
    } finally {
      stop();
    }
  });
}
