/** A statement of a plan, and what whoever signs the plan wants to know of it. */
export interface PlannedStatement {
  readonly sql: string;
  /** What it is for, in a few words. */
  readonly why: string;
  /** The locks that make somebody wait, as `ACCESS EXCLUSIVE on public.t`. */
  readonly locks?: readonly string[] | undefined;
  /** Whom it waits for, as `whoever writes public.t`. */
  readonly waitsFor?: string | undefined;
}

/** Statements that are carried out together, or one that must not be in a transaction. */
export interface Step {
  /** `attach the partition of 2026-12 to public.download_logs`. */
  readonly title: string;
  /** False: each statement by itself, without a lock timeout, as CREATE INDEX CONCURRENTLY demands. */
  readonly transaction: boolean;
  readonly statements: readonly PlannedStatement[];
}

/**
 * The steps as SQL that psql runs: each statement behind what it is for and what it locks. A step in a transaction
 * waits for its locks as long as the first try of the ladder would at the longest.
 */
export function renderPlan(steps: readonly Step[], lockTimeout: string): string {
  return steps.map((step) => renderStep(step, lockTimeout)).join('\n');
}

function renderStep({ title, transaction, statements }: Step, lockTimeout: string): string {
  const lines = statements.flatMap(({ sql, why, locks = [], waitsFor }) => [
    `-- ${why}`,
    ...(locks.length > 0 ? [`-- locks ${locks.join(', ')}`] : []),
    ...(waitsFor ? [`-- waits for ${waitsFor}`] : []),
    `${sql};`,
  ]);
  const begin = ['BEGIN;', `SET LOCAL lock_timeout = '${lockTimeout}';`];
  const body = transaction ? [...begin, ...lines, 'COMMIT;'] : lines;
  return [`-- ${title}`, ...body, ''].join('\n');
}
