import { describe, expect, it } from 'vitest';
import { createEventDisplay, describeProgress } from '../../src/cli/migration-events.ts';
import type { World } from '../../src/cli/world.ts';
import type { Blocker } from '../../src/db/blockers.ts';
import type { ProgressEvent } from '../../src/db/lock-settings.ts';

const blocker: Blocker = {
  pid: 7,
  kind: 'session',
  root: true,
  user: 'anna',
  application: 'shop',
  state: 'active',
  stateSeconds: 1,
  transactionSeconds: 3,
  lockMode: 'AccessShareLock',
  relation: 't',
  preparedAs: null,
  backendStart: null,
  query: 'SELECT 1',
};

const at = (seconds: number, more: Partial<ProgressEvent> = {}): ProgressEvent => ({
  type: 'progress',
  command: 'CREATE INDEX',
  relation: 't',
  phase: 'building index: scanning table',
  done: 1200,
  total: 4800,
  unit: 'blocks',
  percent: 25,
  ratePerSecond: 100,
  secondsLeft: 36,
  seconds,
  waitingFor: [],
  ...more,
});

function display() {
  const logged: string[] = [];
  const spun: string[] = [];
  const said: string[] = [];
  const progress = {
    say: (text: string) => void said.push(text),
    tell: () => {},
    log: (text: string) => void logged.push(text),
    work: (text: string) => void spun.push(text),
    rest: () => {},
  };
  const show = createEventDisplay({ progress, options: {}, warnings: [], world: {} as World });
  show({ type: 'started', name: '2_i', index: 1, total: 3 });
  return { show, logged, spun, said };
}

describe('what a person sees of a long statement', () => {
  it('is how far it is, how long it takes yet, and whom it waits for', () => {
    expect(describeProgress(at(12.4))).toBe(
      'CREATE INDEX on t, building index: scanning table, 25.0 % of 4,800 blocks, 36 s left, since 12 s',
    );
    const rows = {
      command: 'COPY',
      relation: 'view_logs',
      phase: null,
      unit: 'rows',
      total: 1_200_000,
    } as const;
    expect(
      describeProgress(at(11, { ...rows, percent: 40.8, ratePerSecond: 46_431.2, secondsLeft: 15 })),
    ).toBe('COPY on view_logs, 40.8 % of 1,200,000 rows, 46,431 rows/s, 15 s left, since 11 s');
    const waiting = at(3, {
      phase: 'waiting for old snapshots',
      done: 0,
      total: 2,
      unit: 'transactions',
      percent: 0,
      secondsLeft: null,
      waitingFor: [blocker],
    });
    expect(describeProgress(waiting)).toBe(
      'CREATE INDEX on t, waiting for old snapshots, 0 of 2 transactions, waits for pid 7, since 3 s',
    );
    const unknown = at(65, {
      command: null,
      relation: null,
      phase: null,
      done: null,
      total: null,
      unit: null,
      percent: null,
      secondsLeft: null,
    });
    expect(describeProgress(unknown)).toBe('since 1 min 5 s');
  });

  it('is a spinner each time, and in a log a line in ten seconds, for each statement that takes so long', () => {
    const { show, logged, spun } = display();

    for (let second = 1; second <= 35; second++) show(at(second));
    for (let second = 1; second <= 9; second++) show(at(second));
    for (let second = 1; second <= 11; second++) show(at(second));

    expect(spun.length).toBe(1 + 35 + 9 + 11);
    expect(logged.map((line) => line.split('since ')[1])).toEqual(['10 s', '20 s', '30 s', '10 s']);
    expect(logged[0]).toMatch(/^2_i \(2 of 3\): CREATE INDEX on t, building/);
  });

  it('is who is in the way, five at most, with what to do about the stubborn ones', () => {
    const { show, said } = display();
    const prepared = { ...blocker, pid: 0, kind: 'prepared transaction', preparedAs: 'gid', query: null };

    show({ type: 'blocked', blockers: [prepared, ...Array.from({ length: 7 }, () => blocker)] });

    const lines = said.join('\n').split('\n');
    expect(lines.slice(0, 2)).toEqual([
      'waiting for a lock: prepared transaction gid (shop, user anna, active, for 3 s, holds ACCESS SHARE on t)',
      "  it stays until somebody says COMMIT PREPARED or ROLLBACK PREPARED 'gid'",
    ]);
    expect(lines.at(-1)).toBe('  and 3 more');
  });
});
