import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SMOOTHED_STEP_MS, SampleClock } from '../../src/sample-clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { T0_MS } from '../support/metrics.ts';

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

/** A wall clock that is moved by hand; a cycle is sampled when it is asked for. */
function setUp() {
  const clock = new ManualClock(T0_MS);
  const sampleClock = new SampleClock(clock);
  const cycle = (afterMs: number, stepMs = 0) => {
    clock.suspend(afterMs);
    clock.jumpWallClock(stepMs);
    return sampleClock.next(clock.nowMs());
  };
  return { clock, sampleClock, cycle };
}

describe('SampleClock', () => {
  it('gives a cycle the wall clock time of its sample', () => {
    const { cycle } = setUp();
    expect(cycle(5 * SECOND)).toEqual({ sampledAtMs: T0_MS + 5 * SECOND, clockState: { shiftMs: 0, setBacks: 0 }, setBackMs: 0 });
  });

  it.each([
    ['a day', -DAY],
    ['an hour', -HOUR],
    ['ten seconds', -10 * SECOND],
    ['a little more than what is smoothed', -SMOOTHED_STEP_MS - 1],
  ])('follows a wall clock that is set back by %s, and reports the step once', (_name, stepMs) => {
    const { cycle } = setUp();
    cycle(SECOND);
    const after = cycle(SECOND, stepMs);
    expect(after.sampledAtMs).toBe(T0_MS + 2 * SECOND + stepMs);
    expect(after.setBackMs).toBe(-stepMs);
    expect(after.clockState).toEqual({ shiftMs: stepMs, setBacks: 1 });
    const next = cycle(SECOND);
    expect(next.sampledAtMs).toBe(T0_MS + 3 * SECOND + stepMs);
    expect(next.setBackMs).toBe(0);
    expect(next.clockState).toBe(after.clockState);
  });

  it('smooths a step back of one second: times go on at half speed until the clock has caught up', () => {
    const { cycle } = setUp();
    cycle(SECOND);
    const moments = [cycle(SECOND, -SECOND), cycle(SECOND), cycle(SECOND), cycle(SECOND)];
    expect(moments.map(({ sampledAtMs }) => sampledAtMs - T0_MS)).toEqual([2_000, 2_500, 3_000, 4_000]);
    expect(moments.every(({ setBackMs, clockState }) => setBackMs === 0 && clockState.setBacks === 0)).toBe(true);
  });

  it('takes several small steps back in a row as one when they are more than what is smoothed', () => {
    const { cycle } = setUp();
    cycle(100);
    const moments = [cycle(100, -SECOND), cycle(100, -SECOND), cycle(100, -SECOND)];
    expect(moments.map(({ setBackMs }) => setBackMs > 0)).toEqual([false, false, true]);
  });

  it('is not disturbed by an hour forward, and follows two hours back afterwards', () => {
    const { cycle } = setUp();
    cycle(SECOND);
    const forward = cycle(SECOND, HOUR);
    expect(forward.sampledAtMs).toBe(T0_MS + HOUR + 2 * SECOND);
    expect(forward.setBackMs).toBe(0);
    expect(forward.clockState).toEqual({ shiftMs: HOUR, setBacks: 0 });
    const back = cycle(SECOND, -2 * HOUR);
    expect(back.sampledAtMs).toBe(T0_MS - HOUR + 3 * SECOND);
    expect(back.setBackMs).toBe(2 * HOUR);
    expect(back.clockState).toEqual({ shiftMs: -HOUR, setBacks: 1 });
  });

  it('follows a step that happened while the process was stopped for ten minutes', () => {
    const { cycle } = setUp();
    cycle(SECOND);
    const after = cycle(600 * SECOND, -HOUR);
    expect(after.sampledAtMs).toBe(T0_MS + 601 * SECOND - HOUR);
    expect(after.setBackMs).toBe(HOUR);
  });

  it('takes a sample that arrives late for no step, and gives it a time after the cycle before', () => {
    const { clock, sampleClock, cycle } = setUp();
    cycle(SECOND);
    clock.suspend(10 * SECOND);
    const late = sampleClock.next(T0_MS + 500);
    expect(late.sampledAtMs).toBe(T0_MS + SECOND + 1);
    expect(late.setBackMs).toBe(0);
  });

  it('never gives a time after the wall clock that was set back, although the source had read it before', () => {
    const { clock, sampleClock, cycle } = setUp();
    cycle(SECOND);
    clock.suspend(SECOND);
    const readBefore = clock.nowMs();
    clock.jumpWallClock(-DAY);
    expect(sampleClock.next(readBefore).sampledAtMs).toBe(T0_MS + 2 * SECOND - DAY);
  });

  it('gives cycles of one millisecond times that differ by a millisecond, and never sees a step in them', () => {
    const { cycle } = setUp();
    const times = Array.from({ length: 1_000 }, () => cycle(0));
    expect(new Set(times.map(({ sampledAtMs }) => Math.trunc(sampledAtMs))).size).toBe(1_000);
    expect(times.every(({ setBackMs }) => setBackMs === 0)).toBe(true);
  });

  it('states the start of the self-metrics in the new time of the clock, different from before and never after a sample', () => {
    const { sampleClock, cycle } = setUp();
    cycle(SECOND);
    expect(sampleClock.selfStartMs).toBe(T0_MS);
    cycle(SECOND, HOUR);
    expect(sampleClock.selfStartMs).toBe(T0_MS);
    cycle(SECOND, -HOUR);
    expect(sampleClock.selfStartMs).toBe(T0_MS + 1);
    cycle(SECOND, -DAY);
    expect(sampleClock.selfStartMs).toBe(T0_MS - DAY);
  });

  it('gives rising times between steps back, whatever happens to the wall clock', () => {
    const move = fc.record({ afterMs: fc.integer({ min: 0, max: 60_000 }), stepMs: fc.integer({ min: -2 * DAY, max: 2 * DAY }) });
    fc.assert(
      fc.property(fc.array(move, { minLength: 1, maxLength: 30 }), (moves) => {
        const { clock, sampleClock, cycle } = setUp();
        let before: number | undefined;
        for (const { afterMs, stepMs } of moves) {
          const { sampledAtMs, setBackMs } = cycle(afterMs, stepMs);
          if (before !== undefined && setBackMs === 0) expect(sampledAtMs).toBeGreaterThan(before);
          expect(Math.abs(sampledAtMs - clock.nowMs())).toBeLessThanOrEqual(SMOOTHED_STEP_MS + moves.length);
          expect(sampleClock.selfStartMs).toBeLessThanOrEqual(sampledAtMs);
          before = sampledAtMs;
        }
      }),
    );
  });
});
