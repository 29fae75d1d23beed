import { showName } from '../db/identifiers.ts';
import type { Targets } from './journal.ts';

/** What came back in a table. */
export interface UndoRow {
  readonly table: string;
  /** Rows that were gone. */
  readonly restored: number;
  /** Rows that refer to what they referred to. */
  readonly moved: number;
  /** Rows with values that were changed. */
  readonly changed: number;
  readonly left: number;
}

/** Rows that could not be put back. */
export interface UndoProblem {
  readonly table: string;
  /** As in "5 rows were changed since". */
  readonly problem: string;
  readonly rows: number;
  /** False where there is nothing to put back: the row was removed since. */
  readonly lost: boolean;
}

/** Counts what an undo comes to. */
export interface UndoTally {
  add(table: number, what: 'restored' | 'moved' | 'changed', rows: number): void;
  addProblem(table: number, problem: string, rows: number, lost?: boolean): void;
  addAll(other: UndoTally): void;
  rows(): UndoRow[];
  problems(): UndoProblem[];
}

/** A tally of nothing, for the tables of a run. */
export function createUndoTally({ tables }: Targets): UndoTally {
  const byTable = new Map<string, UndoRow>();
  const problems = new Map<string, UndoProblem>();
  const nameOf = (table: number) => showName((tables[table] as Targets['tables'][number]).name);
  function addRow(row: UndoRow) {
    const had = byTable.get(row.table) ?? { table: row.table, restored: 0, moved: 0, changed: 0, left: 0 };
    byTable.set(row.table, {
      table: row.table,
      restored: had.restored + row.restored,
      moved: had.moved + row.moved,
      changed: had.changed + row.changed,
      left: had.left + row.left,
    });
  }
  function addToProblems(problem: UndoProblem) {
    const key = `${problem.table} ${problem.problem}`;
    problems.set(key, { ...problem, rows: problem.rows + (problems.get(key)?.rows ?? 0) });
  }
  return {
    add(table, what, rows) {
      if (rows > 0)
        addRow({ table: nameOf(table), restored: 0, moved: 0, changed: 0, left: 0, [what]: rows });
    },
    addProblem(table, problem, rows, lost = true) {
      if (rows === 0) return;
      addRow({ table: nameOf(table), restored: 0, moved: 0, changed: 0, left: rows });
      addToProblems({ table: nameOf(table), problem, rows, lost });
    },
    addAll(other) {
      for (const row of other.rows()) addRow(row);
      for (const problem of other.problems()) addToProblems(problem);
    },
    rows: () => [...byTable.values()],
    problems: () => [...problems.values()],
  };
}
