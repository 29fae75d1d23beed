import { setTimeout as sleep } from 'node:timers/promises';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import type { WorkEvent, WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';
import { columnList, planned } from '../convert/statements.ts';
import type { TableDescription } from '../convert/table-description.ts';

/** Rows of a first batch; the next ones are as large as the aim allows. */
const firstRows = 500;
const mostRows = 20_000;
/** How long those who write may be kept waiting by a batch. */
const aimMs = 60;

/**
 * Moves up to `rows` rows of a child to the table: the triggers and rules of the table do not fire, as they did when the
 * rows were written, and foreign keys are looked at. Until it is committed everybody else sees the rows where they were.
 */
export function planBatch(
  table: TableDescription,
  child: QualifiedName,
  rows: number | null,
): PlannedStatement[] {
  const name = quoteName(table);
  const columns = columnList(
    table.columns.filter(({ generated }) => generated === '').map((column) => column.name),
  );
  const some =
    rows === null ? '' : ` WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY ${quoteName(child)} LIMIT ${rows}))`;
  const { disable, enable } = planSilence(table);
  const list = columns.slice(1, -1);
  return [
    ...planned(
      'nobody writes while rows are between the two',
      [`LOCK TABLE ${name} IN SHARE ROW EXCLUSIVE MODE`],
      { locks: [`SHARE ROW EXCLUSIVE on ${shown(table)}`], waitsFor: `whoever writes ${shown(table)}` },
    ),
    ...planned('the rows were there before: they fire nothing', disable),
    ...planned(`rows of ${shown(child)} go to the table`, [
      `WITH moved AS (DELETE FROM ONLY ${quoteName(child)}${some} RETURNING ${list}) INSERT INTO ${name} ${columns} OVERRIDING SYSTEM VALUE SELECT ${list} FROM moved`,
    ]),
    ...planned('as before', enable),
  ];
}

/** Statements that keep the table's triggers and rules from firing, and undo that; policies as well for an owner whom they bind. */
function planSilence({ triggers, rules, forcesRowSecurity, ...table }: TableDescription): {
  readonly disable: string[];
  readonly enable: string[];
} {
  const alter = `ALTER TABLE ${quoteName(table)}`;
  const active = triggers.filter(({ enabled }) => enabled === 'O' || enabled === 'A');
  const ruling = rules.filter(({ enabled }) => enabled === 'O' || enabled === 'A');
  const always = (enabled: string) => (enabled === 'A' ? 'ENABLE ALWAYS' : 'ENABLE');
  return {
    disable: [
      ...active.map(({ name }) => `${alter} DISABLE TRIGGER ${quoteIdentifier(name)}`),
      ...ruling.map(({ name }) => `${alter} DISABLE RULE ${quoteIdentifier(name)}`),
      ...(forcesRowSecurity ? [`${alter} NO FORCE ROW LEVEL SECURITY`] : []),
    ],
    enable: [
      ...active.map(({ name, enabled }) => `${alter} ${always(enabled)} TRIGGER ${quoteIdentifier(name)}`),
      ...ruling.map(({ name, enabled }) => `${alter} ${always(enabled)} RULE ${quoteIdentifier(name)}`),
      ...(forcesRowSecurity ? [`${alter} FORCE ROW LEVEL SECURITY`] : []),
    ],
  };
}

/** Takes a child away that has no rows left. */
export function planDropChild(table: QualifiedName, child: QualifiedName): PlannedStatement[] {
  return planned(
    'nothing is left in it',
    [`ALTER TABLE ${quoteName(child)} NO INHERIT ${quoteName(table)}`, `DROP TABLE ${quoteName(child)}`],
    { locks: [`ACCESS EXCLUSIVE on ${shown(child)}`], waitsFor: `whoever reads or writes ${shown(table)}` },
  );
}

/**
 * Moves the rows of a child to the table, batch by batch, and drops the child when it is empty. Returns how many were
 * moved. Throws `table-unsuitable` when the table cannot take a row; the others stay where they are, and are read with
 * the table as before.
 */
export async function moveRows(
  worker: Worker,
  table: TableDescription,
  child: QualifiedName,
  { signal, onProgress }: WorkSettings,
): Promise<number> {
  const title = `move rows of ${shown(child)} to ${shown(table)}`;
  let [moved, rows] = [0, firstRows];
  for (;;) {
    const started = performance.now();
    const count = await moveBatch(worker, title, table, child, rows);
    const took = performance.now() - started;
    moved += count;
    // Whoever writes to it by its own name may have been quicker.
    if (count === 0 && (await dropEmpty(worker, table, child))) return moved;
    onProgress?.(progressOf(title, moved, count, took));
    rows = Math.max(50, Math.min(mostRows, Math.round((rows * aimMs) / Math.max(took, 1))));
    // Whoever waited for the batch has its turn.
    await sleep(Math.min(took / 4, 100), undefined, signal ? { signal } : {});
  }
}

function progressOf(title: string, moved: number, count: number, tookMs: number): WorkEvent {
  return {
    type: 'progress',
    command: title,
    relation: null,
    phase: null,
    done: moved,
    total: null,
    unit: 'rows',
    seconds: Math.round(tookMs / 100) / 10,
    percent: null,
    ratePerSecond: Math.round((count / tookMs) * 1000),
    secondsLeft: null,
    waitingFor: [],
  };
}

/** False when it has rows. */
async function dropEmpty(worker: Worker, table: TableDescription, child: QualifiedName): Promise<boolean> {
  const title = `drop ${shown(child)}`;
  return worker.transaction(title, async (sql) => {
    await sql.unsafe(`SET LOCAL row_security = off; LOCK TABLE ${quoteName(child)} IN ACCESS EXCLUSIVE MODE`);
    const [left] = await sql.unsafe(`SELECT FROM ONLY ${quoteName(child)} LIMIT 1`);
    if (!left) await worker.together(sql, title, planDropChild(table, child));
    return !left;
  });
}

async function moveBatch(
  worker: Worker,
  title: string,
  table: TableDescription,
  child: QualifiedName,
  rows: number,
): Promise<number> {
  const statements = planBatch(table, child, rows);
  const at = statements.findIndex(({ sql }) => sql.startsWith('WITH moved'));
  try {
    return await worker.transaction(title, async (sql) => {
      await sql.unsafe('SET LOCAL row_security = off');
      await worker.together(sql, title, statements.slice(0, at));
      const result = await sql.unsafe(statements[at]?.sql ?? '');
      await worker.together(sql, title, statements.slice(at + 1));
      return result.count;
    });
  } catch (error) {
    if (!(error instanceof EduschemaError) || error.details?.sqlstate !== '23505') throw error;
    throw new EduschemaError(
      'table-unsuitable',
      `${shown(table)} cannot take a row of ${shown(child)} back: ${error.details.reason}`,
      {
        excerpt: error.excerpt,
        hint: 'change or delete one of the two, and run the command again; the rows are read with the table as before',
        cause: error.cause,
      },
    );
  }
}
