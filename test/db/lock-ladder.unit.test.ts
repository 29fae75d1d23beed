import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { climbLockLadder, lockTimeoutOf, pauseOf } from '../../src/db/lock-ladder.ts';

describe('the lock ladder', () => {
  it('starts at 100 ms, never goes down, and stops at the longest', () => {
    expect([0, 1, 2, 3, 4, 50].map((attempt) => lockTimeoutOf(attempt, 2000))).toEqual([
      100, 100, 150, 150, 225, 2000,
    ]);
    fc.assert(
      fc.property(fc.nat({ max: 100 }), fc.integer({ min: 1, max: 60_000 }), (attempt, longest) => {
        expect(lockTimeoutOf(attempt + 1, longest)).toBeGreaterThanOrEqual(lockTimeoutOf(attempt, longest));
        expect(lockTimeoutOf(attempt, longest)).toBeLessThanOrEqual(longest);
      }),
    );
  });

  it('pauses for half a second at most at first, and for a minute at most ever', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
        expect(pauseOf(attempt, random)).toBeLessThanOrEqual(Math.min(60_000, 500 * 2 ** attempt));
      }),
    );
  });

  it('gives up at the deadline, and at once for another error', async () => {
    const options = { longestMs: 1000, deadlineSeconds: 0, onRetry: () => {} };
    let tries = 0;
    const fails = () => {
      tries++;
      return Promise.reject(new Error('no'));
    };

    await expect(climbLockLadder(fails, { ...options, isRetryable: () => true })).rejects.toThrow('no');
    await expect(
      climbLockLadder(fails, { ...options, deadlineSeconds: 60, isRetryable: () => false }),
    ).rejects.toThrow('no');

    expect(tries).toBe(2);
  });
});
