import { createMeter } from '../db/progress-meter.ts';
import type { WorkEvent } from '../db/work-settings.ts';
import type { LoadProgress } from './load-parts.ts';

const eachMs = 1000;

/** Tells of rows as they are sent, once a second at most, and keeps how long each table took. */
export function createLoadProgress(
  seed: string,
  tell: (event: WorkEvent) => void,
  setLoading: (loading: boolean) => void,
): LoadProgress & { durationOf(table: string): number | null } {
  const durations = new Map<string, number>();
  const meter = createMeter();
  let started = 0;
  let told = 0;
  return {
    begin({ table, numbers, kind }, index, total) {
      started = told = performance.now();
      setLoading(true);
      const shown = kind === 'table' ? `${table}` : `${table} (list)`;
      tell({ type: 'started', name: `${seed}: ${shown}`, index, total });
      if (numbers > 0) meter(countOf(table, 0, numbers), started);
    },
    at({ table, numbers }, rows, done) {
      const now = performance.now();
      if (now - told < eachMs) return;
      told = now;
      const count = countOf(table, done, numbers);
      const pace = meter(count, now);
      tell({
        type: 'progress',
        seconds: Math.round((now - started) / 100) / 10,
        ...count,
        ...pace,
        // Of a number there may be several rows, and whoever watches wants to know of rows.
        ratePerSecond: pace.ratePerSecond && Math.round((pace.ratePerSecond * rows) / Math.max(1, done)),
        waitingFor: [],
      });
    },
    end({ table }) {
      const durationMs = Math.round(performance.now() - started);
      durations.set(table, durationMs);
      setLoading(false);
      tell({ type: 'done', name: `${seed}: ${table}`, durationMs });
    },
    durationOf: (table) => durations.get(table) ?? null,
  };
}

function countOf(relation: string, done: number, total: number) {
  return { command: 'COPY', relation, phase: null, done, total, unit: 'rows' as const };
}
