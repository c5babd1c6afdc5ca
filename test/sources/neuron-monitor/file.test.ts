import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createNeuronMonitorSource } from '../../../sources/neuron-monitor/source.ts';
import type { Timer } from '../../../src/host.ts';
import { silentLogger } from '../../../src/log.ts';
import { fixtureHost, temporaryFolder } from '../../support/fixture-host.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { EMPTY_RECORD, fullRecord } from '../../support/neuron-monitor-record.ts';
import { RecordingSink } from '../../support/recording-sink.ts';

function system(groups: Readonly<Record<string, number>>): string {
  const data = Object.entries(groups).map(([group, period]) => [group, { period }]);
  return JSON.stringify({ neuron_runtime_data: [], system_data: Object.fromEntries(data) });
}

/** Knows whether somebody waits: time moves only then, and never while a file is being read. */
class WaitingClock extends ManualClock {
  readonly #timers = new Set<symbol>();

  get isWaitedFor(): boolean {
    return this.#timers.size > 0;
  }

  override setTimer(callback: () => void, delayMs: number): Timer {
    const key = Symbol('timer');
    this.#timers.add(key);
    const timer = super.setTimer(() => {
      this.#timers.delete(key);
      callback();
    }, delayMs);
    return {
      [Symbol.dispose]: () => {
        this.#timers.delete(key);
        timer[Symbol.dispose]();
      },
    };
  }
}

interface Replay {
  readonly clock: WaitingClock;
  readonly sink: RecordingSink;
  /** Milliseconds on the clock when each record arrived. */
  readonly arrivals: number[];
  readonly stop: () => Promise<void>;
}

async function replay(
  lines: readonly string[],
  options: { readonly speed?: 'recorded' | 'max'; readonly loop?: boolean } = {},
): Promise<Replay> {
  const path = join(temporaryFolder(), 'records.ndjson');
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  const clock = new WaitingClock();
  const host = fixtureHost('/nowhere', { clock });
  const arrivals: number[] = [];
  const sink = new RecordingSink(() => {
    arrivals.push(clock.monotonicMs());
    return Promise.resolve();
  });
  const source = createNeuronMonitorSource({ mode: 'file', host, logger: silentLogger, path, ...options });
  await source.start(sink);
  return { clock, sink, arrivals, stop: () => source[Symbol.asyncDispose]() };
}

/** Whole seconds from the first arrival to each one. */
function seconds({ arrivals }: Replay): readonly number[] {
  return arrivals.map((atMs) => Math.round((atMs - (arrivals[0] ?? 0)) / 1000));
}

async function advanceUntil({ clock, sink }: Replay, holds: (sink: RecordingSink) => boolean): Promise<void> {
  while (!holds(sink)) await (clock.isWaitedFor ? clock.advance(100) : new Promise((resolve) => setImmediate(resolve)));
}

describe('replay of a file', () => {
  it('keeps the recorded pace, and stamps arrival', async () => {
    const run = await replay([fullRecord({ periodSeconds: 0.001 }), fullRecord({ periodSeconds: 5 }), fullRecord({ periodSeconds: 5 })]);
    const started = run.clock.nowMs();
    await advanceUntil(run, ({ events }) => events.includes('ended'));
    expect(seconds(run)).toEqual([0, 5, 10]);
    expect(run.sink.batches.map(({ sampledAtMs }) => sampledAtMs - started)).toEqual(run.arrivals);
    expect(run.sink.events).toEqual(['live', 'batch', 'batch', 'batch', 'ended']);
    await run.stop();
  });

  it('finds the time of a record whose groups have different periods', async () => {
    const run = await replay([
      system({ vcpu_usage: 0.001, memory_info: 0.001 }),
      system({ vcpu_usage: 2 }),
      system({ memory_info: 3 }),
      system({ vcpu_usage: 2 }),
      system({ vcpu_usage: 2, memory_info: 3 }),
    ]);
    await advanceUntil(run, ({ events }) => events.includes('ended'));
    expect(seconds(run)).toEqual([0, 2, 3, 4, 6]);
    await run.stop();
  });

  it('gives records without any group the pace of the one before', async () => {
    const run = await replay([EMPTY_RECORD, EMPTY_RECORD, system({ vcpu_usage: 2 }), EMPTY_RECORD]);
    await advanceUntil(run, ({ events }) => events.includes('ended'));
    expect(seconds(run)).toEqual([0, 5, 7, 9]);
    await run.stop();
  });

  it('does not catch up in a burst when it fell behind', async () => {
    const run = await replay(Array.from({ length: 5 }, () => fullRecord({ periodSeconds: 1 })));
    await run.sink.until(({ batches }) => batches.length === 1);
    run.clock.suspend(3_600_000);
    await advanceUntil(run, ({ events }) => events.includes('ended'));
    const times = seconds(run);
    expect(times.slice(1).map((at) => at - (times[1] ?? 0))).toEqual([0, 1, 2, 3]);
    await run.stop();
  });

  it('goes as fast as it is taken when asked to', async () => {
    const run = await replay(
      Array.from({ length: 50 }, () => fullRecord({ periodSeconds: 5 })),
      { speed: 'max' },
    );
    await run.sink.until(({ events }) => events.includes('ended'));
    expect(run.sink.batches).toHaveLength(50);
    expect(run.clock.monotonicMs()).toBe(0);
    await run.stop();
  });

  it('knows which processes are alive by the time of the records, at any speed', async () => {
    const run = await replay([fullRecord({ periodSeconds: 5 }), fullRecord({ periodSeconds: 5 }), system({ vcpu_usage: 5 })], {
      speed: 'max',
    });
    await run.sink.until(({ events }) => events.includes('ended'));
    expect(run.sink.batches.map(({ runtimes }) => runtimes?.length)).toEqual([1, 1, 0]);
    await run.stop();
  });

  it('starts over in a loop, never faster than once a second', async () => {
    const run = await replay([system({ vcpu_usage: 0.001 })], { loop: true });
    await advanceUntil(run, ({ batches }) => batches.length === 4);
    expect(seconds(run)).toEqual([0, 1, 2, 3]);
    expect(run.sink.events).toEqual(['live', 'batch', 'batch', 'batch', 'batch']);
    await run.stop();
  });

  it('does not loop over a file without a record', async () => {
    const run = await replay(['no record'], { loop: true });
    await run.sink.until(({ events }) => events.includes('ended'));
    expect(run.sink.events).toEqual(['malformed', 'ended']);
    await run.stop();
  });

  it('stops at once while it waits for a record to be due', async () => {
    const run = await replay([fullRecord(), fullRecord({ periodSeconds: 3600 })]);
    await run.sink.until(({ batches }) => batches.length === 1);
    await run.stop();
    await run.clock.advance(3_600_000);
    expect(run.sink.events).toEqual(['live', 'batch']);
  });

  it.each([
    ['no such file', 'missing.ndjson', 'source_absent'],
    ['a folder', '.', 'source_absent'],
  ])('refuses to start: %s', async (_name, name, code) => {
    const source = createNeuronMonitorSource({
      mode: 'file',
      host: fixtureHost('/nowhere'),
      logger: silentLogger,
      path: join(temporaryFolder(), name),
    });
    await expect(source.start(new RecordingSink())).rejects.toMatchObject({ code, component: 'neuron-monitor' });
    await source[Symbol.asyncDispose]();
  });
});
