import { createMeter } from '../../db/progress-meter.ts';
import type { WorkEvent } from '../../db/work-settings.ts';
import type { Position } from './backfill.ts';

/** Turns how far a copy is into events with its rate and the time left, one a second at most. */
export function createCopyProgress(
  relation: string,
  onProgress: ((event: WorkEvent) => void) | undefined,
): (at: Position) => void {
  const started = performance.now();
  const meter = createMeter();
  let told = Number.NEGATIVE_INFINITY;
  let before: { readonly at: number; readonly rows: number } | undefined;
  return ({ block, endBlock, rows }) => {
    const now = performance.now();
    const facts = {
      command: 'copy',
      relation,
      phase: null,
      done: block,
      total: endBlock,
      unit: 'blocks',
    } as const;
    const pace = meter(facts, now);
    before ??= { at: now, rows };
    if (!onProgress || now - told < 1000) return;
    told = now;
    const seconds = (now - before.at) / 1000;
    const ratePerSecond = seconds > 0 ? Math.round((rows - before.rows) / seconds) : null;
    onProgress({
      type: 'progress',
      ...facts,
      ...pace,
      phase: `${rows.toLocaleString('en')} rows${ratePerSecond === null ? '' : `, ${ratePerSecond.toLocaleString('en')} a second`}`,
      ratePerSecond,
      seconds: Math.round((now - started) / 100) / 10,
      waitingFor: [],
    });
  };
}
