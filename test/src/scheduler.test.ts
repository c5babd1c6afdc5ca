import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../src/scheduler.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Run {
  readonly atMs: number;
  readonly values: readonly string[];
}

function record(clock: ManualClock, periods: Readonly<Record<string, number>>, workMs: (run: number) => number = () => 0) {
  const runs: Run[] = [];
  const skipped: [string, number][] = [];
  const failures: unknown[] = [];
  let running = 0;
  let overlaps = 0;
  const scheduler = new Scheduler<string>({
    clock,
    tasks: Object.entries(periods).map(([value, periodMs]) => ({ value, periodMs })),
    run: async (due) => {
      running += 1;
      if (running > 1) overlaps += 1;
      runs.push({ atMs: clock.monotonicMs(), values: due.map((task) => task.value) });
      try {
        const durationMs = workMs(runs.length);
        if (durationMs > 0) await new Promise<void>((resolve) => void clock.setTimer(resolve, durationMs));
      } finally {
        running -= 1;
      }
    },
    skipped: (task, periodsMissed) => skipped.push([task.value, periodsMissed]),
    failed: (thrown) => failures.push(thrown),
  });
  return { scheduler, runs, skipped, failures, overlaps: () => overlaps };
}

describe('Scheduler', () => {
  it('runs at once, then on a fixed grid, and runs tasks that are due together in one call', async () => {
    const clock = new ManualClock();
    const { scheduler, runs } = record(clock, { fast: 1000, slow: 2000 });
    scheduler.start();
    await clock.advance(4000);
    await scheduler[Symbol.asyncDispose]();
    expect(runs).toEqual([
      { atMs: 0, values: ['fast', 'slow'] },
      { atMs: 1000, values: ['fast'] },
      { atMs: 2000, values: ['fast', 'slow'] },
      { atMs: 3000, values: ['fast'] },
      { atMs: 4000, values: ['fast', 'slow'] },
    ]);
  });

  it('does not drift when each run takes time', async () => {
    const clock = new ManualClock();
    const { scheduler, runs } = record(clock, { a: 1000 }, () => 300);
    scheduler.start();
    await clock.advance(5500);
    await scheduler[Symbol.asyncDispose]();
    expect(runs.map((run) => run.atMs)).toEqual([0, 1000, 2000, 3000, 4000, 5000]);
  });

  it('skips what a slow run made late: no overlap, no burst, and the missed periods are told', async () => {
    const clock = new ManualClock();
    const { scheduler, runs, skipped, overlaps } = record(clock, { a: 1000 }, (run) => (run === 2 ? 3500 : 0));
    scheduler.start();
    await clock.advance(7000);
    expect(overlaps()).toBe(0);
    // Run 2 starts at 1000 and ends at 4500: 2000, 3000 and 4000 are late; one run makes up for them, two are skipped.
    expect(runs.map((run) => run.atMs)).toEqual([0, 1000, 4500, 5000, 6000, 7000]);
    expect(skipped).toEqual([['a', 2]]);
    await scheduler[Symbol.asyncDispose]();
  });

  it('makes no catch-up burst after the machine was suspended', async () => {
    const clock = new ManualClock();
    const { scheduler, runs, skipped } = record(clock, { a: 1000 });
    scheduler.start();
    await clock.advance(500);
    clock.suspend(600_000);
    await clock.advance(1000);
    expect(runs.map((run) => run.atMs)).toEqual([0, 600_500, 601_000]);
    expect(skipped).toEqual([['a', 599]]);
    await scheduler[Symbol.asyncDispose]();
  });

  it('takes no notice of the wall clock', async () => {
    const clock = new ManualClock();
    const { scheduler, runs } = record(clock, { a: 1000 });
    scheduler.start();
    await clock.advance(1000);
    clock.jumpWallClock(-86_400_000);
    await clock.advance(1000);
    clock.jumpWallClock(3_600_000);
    await clock.advance(1000);
    expect(runs.map((run) => run.atMs)).toEqual([0, 1000, 2000, 3000]);
    await scheduler[Symbol.asyncDispose]();
  });

  it('survives a run that throws: it is told, and the next run comes', async () => {
    const clock = new ManualClock();
    const { scheduler, runs, failures } = record(clock, { a: 1000 }, (run) => {
      if (run === 2) throw new Error('broken');
      return 0;
    });
    scheduler.start();
    await clock.advance(3000);
    await scheduler[Symbol.asyncDispose]();
    expect(runs.map((run) => run.atMs)).toEqual([0, 1000, 2000, 3000]);
    expect(failures).toEqual([new Error('broken')]);
  });

  it('can be disposed before it starts, twice, and starts nothing afterwards', async () => {
    const clock = new ManualClock();
    const unstarted = record(clock, { a: 1000 });
    await unstarted.scheduler[Symbol.asyncDispose]();
    const { scheduler, runs } = record(clock, { a: 1000 });
    scheduler.start();
    await clock.advance(0);
    await scheduler[Symbol.asyncDispose]();
    await scheduler[Symbol.asyncDispose]();
    await clock.advance(10_000);
    expect(runs).toHaveLength(1);
  });
});
