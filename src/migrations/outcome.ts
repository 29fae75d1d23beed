import { EduschemaError } from '../errors.ts';
import { currentAfter, type MigrationPlan } from './plan.ts';
import { isTransactional, nameOfUnit, type Prepared } from './prepare.ts';

/** What is true after a step or a hook failed in a transaction, as a sentence; `done` steps stay. */
export function outcomeOf(plan: MigrationPlan, { unit, direction }: Prepared, done: number): string {
  const now = currentOf(plan, done);
  if (unit.type === 'hook')
    return unit.when === 'before' || plan.hooks.after.length === 0 || isAllOrNothing(plan, done)
      ? `nothing was applied; ${now}`
      : `${stayedOf(plan, done)}; ${now}\n${afterIsDue}`;
  const what = unit.type === 'versioned' ? unit.file.version : unit.file.name;
  return direction === 'down'
    ? `${what} was not rolled back; ${now}`
    : `nothing of ${what} was applied; ${now}`;
}

/** The error for a run that was interrupted when `done` steps were done. */
export function interrupted(
  plan: MigrationPlan,
  done: number,
  cause: unknown,
  command: string,
): EduschemaError {
  const { steps, hooks } = plan;
  const partly = partlyOf(steps[done]);
  const unhooked = done === steps.length && hooks.after.length > 0 ? 'the after hook has not run; ' : '';
  return new EduschemaError(
    'interrupted',
    `interrupted: ${done} of ${steps.length} done; ${partly}${unhooked}${currentOf(plan, done)}`,
    { hint: `run ${command} again to go on`, cause },
  );
}

/** The same when nobody has said at what it failed. */
export function outcomeAfter(plan: MigrationPlan, done: number): string {
  const step = plan.steps[done];
  if (step && isTransactional(step)) return outcomeOf(plan, step, done);
  return `${partlyOf(step)}${currentOf(plan, done)}`;
}

/** What the error says itself about what is true now. */
export function outcomeIn(error: unknown): string | undefined {
  const outcome = error instanceof EduschemaError ? error.details?.outcome : undefined;
  return typeof outcome === 'string' ? outcome : undefined;
}

function partlyOf(step: Prepared | undefined): string {
  return step && !isTransactional(step)
    ? `${nameOfUnit(step.unit)} runs outside a transaction: what it had carried out stays; `
    : '';
}

const afterIsDue = 'the after hook is due: the next eduschema migrate runs it, also when nothing is pending';

/** Whether the hook failed in one transaction with all steps. */
function isAllOrNothing({ steps }: MigrationPlan, done: number): boolean {
  return steps.length > 0 && done === 0;
}

function stayedOf({ steps }: MigrationPlan, done: number): string {
  if (steps.length === 0) return 'no migration was pending';
  return done === 1 ? 'the migration of this run stays' : `the ${done} migrations of this run stay`;
}

function currentOf({ state, steps }: MigrationPlan, done: number): string {
  const current = currentAfter(state, steps.slice(0, done));
  return current === undefined ? 'no version is applied' : `${current} is the current version`;
}
