import { setTimeout as sleep } from 'node:timers/promises';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { underUtc } from '../catalogue.ts';
import { planDropWide } from './attach-steps.ts';
import { shown } from './choices.ts';
import { findState } from './state.ts';
import type { Steps } from './steps.ts';
import type { TableDescription } from './table-description.ts';

/** An index that is to be built, and the step that does. */
export interface Build {
  readonly name: string;
  readonly step: Step;
}

const mostBuilds = 5;

/**
 * Builds an index. Two who build one on the same table at the same time wait for each other, and one of the two fails:
 * when that is us, it is built again. Any other failure leaves it as it is, for the next run.
 */
export async function buildIndex(
  worker: Worker,
  table: TableDescription,
  { name, step }: Build,
  steps: Steps,
  { onProgress, signal }: WorkSettings,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await steps.run(step.title, () => worker.carryOut(step));
    } catch (error) {
      const isDeadlock = error instanceof EduschemaError && error.details?.sqlstate === '40P01';
      if (!isDeadlock || tries === mostBuilds) throw error;
      onProgress?.({
        type: 'log',
        message: `somebody else is at work on ${shown(table)}: ${name} is built again`,
      });
      const { wide } = await underUtc(worker.session.sql, (sql) => findState(sql, table));
      if (wide.some((index) => index.name === name)) await worker.carryOut(planDropWide(table, name));
      await sleep(tries * 1000, undefined, signal ? { signal } : {});
    }
  }
}
