import { describe, expect, it } from 'vitest';
import { createMeter } from '../../src/db/progress-meter.ts';
import { describeRow } from '../../src/db/statement-progress.ts';

describe('the progress of a statement', () => {
  it('counts what the phase of an index build counts', () => {
    const row = {
      command: 'CREATE INDEX CONCURRENTLY',
      blocks_done: 5,
      blocks_total: 10,
      tuples_done: 3,
      tuples_total: 9,
      lockers_done: 1,
      lockers_total: 2,
    };
    const at = (phase: string) => {
      const { done, total, unit } = describeRow('create_index', { ...row, phase }, 't');
      return [done, total, unit];
    };

    expect(at('building index: scanning table')).toEqual([5, 10, 'blocks']);
    expect(at('building index: loading tuples in tree')).toEqual([3, 9, 'rows']);
    expect(at('waiting for old snapshots')).toEqual([1, 2, 'transactions']);
    expect(
      describeRow('create_index', { ...row, phase: 'x', blocks_total: 0, tuples_total: 0 }, '16405'),
    ).toMatchObject({
      done: null,
      unit: null,
      relation: null,
    });
  });

  it('reads the columns of 14 and of 18', () => {
    const vacuum14 = {
      phase: 'vacuuming indexes',
      heap_blks_total: 9,
      heap_blks_scanned: 9,
      max_dead_tuples: 5,
      num_dead_tuples: 1,
    };
    const vacuum18 = {
      phase: 'vacuuming indexes',
      heap_blks_total: 9,
      indexes_total: 4,
      indexes_processed: 1,
      delay_time: 0,
    };

    expect(describeRow('vacuum', vacuum14, 't')).toMatchObject({
      command: 'VACUUM',
      done: null,
      total: null,
    });
    expect(describeRow('vacuum', vacuum18, 't')).toMatchObject({ done: 1, total: 4, unit: 'indexes' });
    expect(
      describeRow(
        'copy',
        { command: 'COPY FROM', bytes_processed: 7, bytes_total: 0, tuples_processed: 3 },
        't',
      ),
    ).toMatchObject({ done: 3, total: null, unit: 'rows' });
    expect(
      describeRow('copy', { command: 'COPY FROM', bytes_processed: 7, bytes_total: 70 }, 't'),
    ).toMatchObject({ done: 7, total: 70, unit: 'bytes' });
    expect(
      describeRow(
        'analyze',
        { phase: 'acquiring sample rows', sample_blks_total: 4, sample_blks_scanned: 1 },
        't',
      ),
    ).toMatchObject({ done: 1, total: 4, unit: 'blocks' });
    expect(
      describeRow(
        'cluster',
        { command: 'VACUUM FULL', phase: 'seq scanning heap', heap_blks_total: 4, heap_blks_scanned: 1 },
        't',
      ),
    ).toMatchObject({ command: 'VACUUM FULL', done: 1, total: 4 });
    expect(
      describeRow('cluster', { command: 'CLUSTER', phase: 'rebuilding index', index_rebuild_count: 2 }, 't'),
    ).toMatchObject({ done: 2, unit: 'indexes' });
  });

  it('has a rate and a time left, and counts each phase anew', () => {
    const meter = createMeter();
    const at = (done: number | null, phase = 'a') => ({
      command: 'c',
      relation: null,
      phase,
      done,
      total: 100,
      unit: 'blocks' as const,
    });

    expect(meter(at(10), 0)).toEqual({ percent: 10, ratePerSecond: null, secondsLeft: null });
    expect(meter(at(30), 2000)).toEqual({ percent: 30, ratePerSecond: 10, secondsLeft: 7 });
    expect(meter(at(30), 60_000)).toEqual({ percent: 30, ratePerSecond: null, secondsLeft: null });
    expect(meter(at(5, 'b'), 61_000)).toEqual({ percent: 5, ratePerSecond: null, secondsLeft: null });
    expect(meter(at(null), 62_000)).toEqual({ percent: null, ratePerSecond: null, secondsLeft: null });
  });
});
