import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { LatencyWatch, PollPace, latencySeconds, percentiles, summarize } from '../../../sources/nds/latency.ts';
import { latencyRanges, viewOf } from '../../../sources/nds/layout.ts';
import { buildDatastore, headerOffset } from '../../support/datastore.ts';

describe('percentiles', () => {
  test('rank rule of neuron-monitor: sorted[floor((n - 1) × q)], no interpolation', () => {
    const samples = Array.from({ length: 14 }, (_, i) => ({ seconds: (14 - i) / 10, weight: 1 }));
    // With 14 executions published captures show p0 = p1 and p99 ≠ p100.
    expect(percentiles(samples)).toEqual({ p0: 0.1, p1: 0.1, p25: 0.4, p50: 0.7, p75: 1, p99: 1.3, p100: 1.4 });
  });

  test('a weight stands for that many executions', () => {
    expect(
      percentiles([
        { seconds: 2, weight: 1 },
        { seconds: 1, weight: 99 },
      ]),
    ).toEqual({ p0: 1, p1: 1, p25: 1, p50: 1, p75: 1, p99: 1, p100: 2 });
  });

  test('none without samples', () => {
    expect(percentiles([])).toBeUndefined();
  });

  test('the same as spelling every execution out', () => {
    const sample = fc.record({ seconds: fc.double({ min: 1e-6, max: 10, noNaN: true }), weight: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 50 }), (samples) => {
        const all = samples.flatMap(({ seconds, weight }) => Array.from({ length: weight }, () => seconds)).toSorted((a, b) => a - b);
        const at = (quantile: number): number | undefined => all[Math.floor((all.length - 1) * quantile)];
        expect(percentiles(samples)).toEqual({
          p0: at(0),
          p1: at(0.01),
          p25: at(0.25),
          p50: at(0.5),
          p75: at(0.75),
          p99: at(0.99),
          p100: at(1),
        });
      }),
    );
  });
});

describe('latency watch', () => {
  test.each([
    [0, undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [86_400, undefined],
    // A count of 12,345 read as a double.
    [6.1e-320, undefined],
    [0.0065, 0.0065],
  ])('latency slot %d means %d s', (value, expected) => {
    expect(latencySeconds(value)).toBe(expected);
  });

  test.each([1, 4, 5, 8, 16])('of %d cores, the ranges to renew hold all that is looked at, and little else', (coreCount) => {
    const ranges = latencyRanges(coreCount);
    for (let core = 0; core < coreCount; core += 1) {
      for (const counter of [1, 13, 14]) {
        const at = headerOffset(core, counter);
        expect(
          ranges.some(({ from, to }) => from <= at && at + 8 <= to),
          `core ${core}, counter ${counter}`,
        ).toBe(true);
      }
    }
    expect(ranges.reduce((sum, { from, to }) => sum + to - from, 0)).toBeLessThanOrEqual(768 * coreCount);
    expect(ranges.every(({ to }) => to <= 67_200)).toBe(true);
  });

  function watched(coreCount = 2) {
    const bytes = buildDatastore();
    const view = new DataView(bytes.buffer);
    const watch = new LatencyWatch(viewOf(view.buffer), coreCount);
    const complete = (core: number, completed: number, seconds: number): void => {
      view.setFloat64(headerOffset(core, 13), seconds, true);
      view.setFloat64(headerOffset(core, 14), seconds * 2, true);
      view.setBigUint64(headerOffset(core, 1), BigInt(completed), true);
    };
    return { watch, complete };
  }

  test('takes a value whenever the count moved, and says how many it missed', () => {
    const { watch, complete } = watched();
    complete(0, 100, 0.5);
    watch.poll();
    complete(0, 101, 0.01);
    watch.poll();
    watch.poll();
    complete(0, 104, 0.03);
    complete(1, 1, 0.02);
    watch.poll();
    expect(watch.take()).toEqual({
      device: [
        { seconds: 0.01, weight: 1 },
        { seconds: 0.03, weight: 3 },
        { seconds: 0.02, weight: 1 },
      ],
      total: [
        { seconds: 0.02, weight: 1 },
        { seconds: 0.06, weight: 3 },
        { seconds: 0.04, weight: 1 },
      ],
      seen: 3,
      completed: 5,
    });
    expect(watch.take()).toMatchObject({ seen: 0, completed: 0 });
  });

  test('the last count of 2^32 executions is followed by the first of the next', () => {
    const { watch, complete } = watched();
    complete(0, 2 ** 32 - 1, 0.5);
    watch.poll();
    complete(0, 2 ** 32 + 1, 0.01);
    watch.poll();
    expect(watch.take()).toMatchObject({ completed: 2, device: [{ weight: 2 }] });
  });

  test('a count that fell is another process: nothing is taken', () => {
    const { watch, complete } = watched();
    complete(0, 1_000, 0.5);
    watch.poll();
    complete(0, 3, 0.01);
    watch.poll();
    expect(watch.take()).toMatchObject({ seen: 0, completed: 0 });
  });

  test('slots that hold no seconds give executions without latency', () => {
    const { watch, complete } = watched();
    watch.poll();
    complete(0, 1, Number.NaN);
    watch.poll();
    expect(watch.take()).toEqual({ device: [], total: [], seen: 0, completed: 1 });
  });

  test('samples of one period are bounded, coverage tells', () => {
    const { watch, complete } = watched();
    complete(0, 1, 0.001);
    watch.poll();
    for (let count = 2; count <= 20_001; count += 1) {
      complete(0, count, 0.001);
      watch.poll();
    }
    const seen = watch.take();
    expect(seen.device).toHaveLength(16_384);
    expect(summarize([seen])?.coverage).toBeCloseTo(16_384 / 20_000, 6);
  });

  test('several devices of a process are one distribution', () => {
    const part = (seconds: number) => ({ device: [{ seconds, weight: 1 }], total: [], seen: 1, completed: 2 });
    expect(summarize([part(1), part(2)])).toEqual({ coverage: 0.5, device: { p0: 1, p1: 1, p25: 1, p50: 1, p75: 1, p99: 1, p100: 2 } });
    expect(summarize([])).toBeUndefined();
  });
});

describe('pace of the polls', () => {
  test('faster when executions are missed, slower again after a quarter of a thousand calm looks', () => {
    const pace = new PollPace();
    const paces = [pace.intervalMs];
    for (const most of [1, 2, 0, 7, 3, 3, 3]) {
      pace.looked(most);
      paces.push(pace.intervalMs);
    }
    expect(paces).toEqual([16, 16, 8, 8, 4, 2, 1, 1]);
    for (let look = 0; look < 249; look += 1) pace.looked(1);
    expect(pace.intervalMs).toBe(1);
    pace.looked(0);
    expect(pace.intervalMs).toBe(2);
    for (let look = 0; look < 2_000; look += 1) pace.looked(0);
    expect(pace.intervalMs).toBe(16);
  });
});
