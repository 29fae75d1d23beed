import type { StatementProgress } from './statement-progress.ts';

/** What follows from how far a statement was before. */
export interface Pace {
  readonly percent: number | null;
  readonly ratePerSecond: number | null;
  readonly secondsLeft: number | null;
}

/** The rate is of the last so many milliseconds: long enough to be steady, short enough to follow. */
const spanMs = 15_000;

/** A function that, told again and again how far a statement is, says how fast it goes. Each phase counts anew. */
export function createMeter(): (progress: StatementProgress, nowMs: number) => Pace {
  let measured = '';
  let samples: { at: number; done: number }[] = [];
  return ({ command, phase, done, total, unit }, nowMs) => {
    if (done === null) return { percent: null, ratePerSecond: null, secondsLeft: null };
    const measuring = `${command} ${phase} ${unit} ${total}`;
    if (measuring !== measured || done < (samples.at(-1)?.done ?? 0)) samples = [];
    measured = measuring;
    samples = [...samples.filter(({ at }) => at >= nowMs - spanMs), { at: nowMs, done }];
    const [first] = samples as [{ at: number; done: number }];
    const seconds = (nowMs - first.at) / 1000;
    const rate = seconds > 0 ? (done - first.done) / seconds : null;
    return {
      percent: total ? Math.min(100, Math.round((done / total) * 1000) / 10) : null,
      ratePerSecond: rate === null ? null : Math.round(rate * 10) / 10,
      secondsLeft: total && rate ? Math.max(0, Math.round((total - done) / rate)) : null,
    };
  };
}
