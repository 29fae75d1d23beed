import type { WorkSettings } from '../../db/work-settings.ts';

/** A step that was done. */
export interface DoneStep {
  readonly title: string;
  readonly durationMs: number;
}

/** Tells of steps as they begin and end, and keeps what was done. */
export interface Steps {
  readonly done: readonly DoneStep[];
  run<T>(title: string, work: () => Promise<T>): Promise<T>;
}

/** `total` is how many steps are to be expected; more are told as they come. */
export function createSteps({ onProgress }: WorkSettings, total: number): Steps {
  const done: DoneStep[] = [];
  let begun = 0;
  return {
    done,
    async run(title, work) {
      const started = performance.now();
      onProgress?.({ type: 'started', name: title, index: begun++, total: Math.max(total, begun) });
      const result = await work();
      const durationMs = Math.round(performance.now() - started);
      done.push({ title, durationMs });
      onProgress?.({ type: 'done', name: title, durationMs });
      return result;
    },
  };
}
