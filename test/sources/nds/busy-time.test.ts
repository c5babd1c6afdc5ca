import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { BusyShare, UnitFromLatency, busyMilliseconds } from '../../../sources/busy-time.ts';
import type { CoreWork } from '../../../sources/busy-time.ts';

const SECOND = { maxSinceLastMoveMs: 1_000, completed: 0 } satisfies Partial<CoreWork>;

function unitAfter(...work: readonly (Partial<CoreWork> & { readonly busy: number })[]) {
  const calibration = new UnitFromLatency();
  for (const one of work) calibration.observe({ ...SECOND, ...one });
  return calibration.unit;
}

describe('unit of busy time', () => {
  test.each([
    ['nothing seen', [], undefined],
    ['an idle core says nothing', [{ busy: 0, completed: 10 }], undefined],
    ['more than a second of nanoseconds in a second: picoseconds', [{ busy: 800_000_000_000 }], 'ps'],
    ['more than a second of microseconds, but not of nanoseconds: not enough', [{ busy: 500_000_000 }], undefined],
    ['… until executions × latency decide', [{ busy: 500_000_000, completed: 50, latencySeconds: 0.01 }], 'ns'],
    ['little busy time that fits executions × latency: microseconds', [{ busy: 400_000, completed: 40, latencySeconds: 0.01 }], 'us'],
    ['the same as picoseconds', [{ busy: 400_000_000_000, completed: 40, latencySeconds: 0.01 }], 'ps'],
    ['one execution is enough: the busy time is its latency', [{ busy: 9_900_000_000, completed: 1, latencySeconds: 0.01 }], 'ps'],
    ['no execution is nothing to estimate by', [{ busy: 20_000, completed: 0, latencySeconds: 0.01 }], undefined],
    ['no latency, a hundred executions that picoseconds would make impossibly short', [{ busy: 400_000, completed: 100 }], 'us'],
    [
      'one execution that was longer than the interval',
      [
        { busy: 3_000_000, maxSinceLastMoveMs: 3_000 },
        { busy: 2_900_000, maxSinceLastMoveMs: 3_000, completed: 3, latencySeconds: 0.9 },
      ],
      'us',
    ],
    [
      'an execution that began before the first reading rules nothing out',
      [{ busy: 800_000_000_000, maxSinceLastMoveMs: Number.POSITIVE_INFINITY }],
      undefined,
    ],
  ] as const)('%s', (_name, work, expected) => {
    expect(unitAfter(...work)).toBe(expected);
  });

  test('a unit that turns out impossible is taken back', () => {
    const calibration = new UnitFromLatency();
    calibration.observe({ busy: 400_000, completed: 40, latencySeconds: 0.01, maxSinceLastMoveMs: 1_000 });
    expect(calibration.unit).toBe('us');
    calibration.observe({ busy: 400_000_000_000, completed: 40, latencySeconds: 0.01, maxSinceLastMoveMs: 1_000 });
    expect(calibration.unit).toBe('ps');
  });

  test('any workload in any unit leads to that unit or to none, never to another', () => {
    const execution = fc.record({
      seconds: fc.double({ min: 0.000_05, max: 0.5, noNaN: true }),
      count: fc.integer({ min: 1, max: 2_000 }),
      jitter: fc.double({ min: 0.5, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.constantFrom('us', 'ns', 'ps'), fc.array(execution, { minLength: 1, maxLength: 20 }), (unit, periods) => {
        const perMicrosecond = { us: 1, ns: 1e3, ps: 1e6 }[unit];
        const calibration = new UnitFromLatency();
        for (const { seconds, count, jitter } of periods) {
          const completed = Math.min(count, Math.floor(1 / seconds));
          if (completed === 0) continue;
          const busy = Math.round(completed * seconds * 1e6 * perMicrosecond);
          calibration.observe({ busy, completed, maxSinceLastMoveMs: 1_000, latencySeconds: seconds * jitter });
          expect([undefined, unit]).toContain(calibration.unit);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('milliseconds of each unit', () => {
    expect([busyMilliseconds(1_500, 'us'), busyMilliseconds(1_500_000, 'ns'), busyMilliseconds(1_500_000_000, 'ps')]).toEqual([
      1.5, 1.5, 1.5,
    ]);
  });
});

describe('share of an interval', () => {
  test('what does not fit is carried on: an execution of three seconds, looked at every second', () => {
    const share = new BusyShare();
    expect([0, 0, 3_000, 0, 0, 0].map((busyMs) => share.next(busyMs, 1_000))).toEqual([0, 0, 100, 100, 100, 0]);
  });

  test('steps that straddle intervals average out', () => {
    const share = new BusyShare();
    const shares = Array.from({ length: 50 }, (_, i) => share.next(i % 2 === 0 ? 800 : 1_200, 1_000));
    expect(shares.slice(1).every((percent) => percent === 100)).toBe(true);
  });

  test('a minute is the most that is carried', () => {
    const share = new BusyShare();
    share.next(1e9, 1_000);
    const shares = Array.from({ length: 60 }, () => share.next(0, 1_000));
    expect(shares[58]).toBe(100);
    expect(shares[59]).toBe(0);
  });

  test('a whole interval is 100, however it is rounded', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 10_000, noNaN: true }), (intervalMs) => {
        expect(new BusyShare().next(2 * intervalMs, intervalMs)).toBeLessThanOrEqual(100);
      }),
    );
  });

  test('never outside 0 to 100, and never more in total than there was', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5_000), fc.integer({ min: 1, max: 5_000 }))), (periods) => {
        const share = new BusyShare();
        let spentMs = 0;
        for (const [busyMs, intervalMs] of periods) {
          const percent = share.next(busyMs, intervalMs);
          expect(percent).toBeGreaterThanOrEqual(0);
          expect(percent).toBeLessThanOrEqual(100);
          spentMs += (percent * intervalMs) / 100;
        }
        expect(spentMs).toBeLessThanOrEqual(periods.reduce((sum, [busyMs]) => sum + busyMs, 0) + 1e-6);
      }),
    );
  });
});
