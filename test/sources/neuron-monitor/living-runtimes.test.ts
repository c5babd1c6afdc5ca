import { describe, expect, it } from 'vitest';
import { LivingRuntimes, StreamPeriods } from '../../../sources/neuron-monitor/living-runtimes.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from '../../../src/readings.ts';

const a: RuntimeRef = { pid: 1, tag: 'a' };
const b: RuntimeRef = { pid: 2, tag: 'b' };

function reading(runtime: RuntimeRef, periodSeconds: number, group: MetricGroup & 'memory_used' = 'memory_used'): AnyGroupReading {
  return { group, data: {}, runtime, periodSeconds };
}

/** The processes of one stream, with the periods that the stream has taught so far. */
class Stream {
  readonly #living = new LivingRuntimes();
  readonly #periods = new StreamPeriods();

  take(atMs: number, runtimes: readonly RuntimeRef[], readings: readonly AnyGroupReading[]): readonly RuntimeRef[] {
    this.#periods.learn(readings);
    return this.#living.update(runtimes, readings, { atMs, periods: this.#periods });
  }
}

function alive(stream: Stream, atMs: number, ...readings: AnyGroupReading[]): string {
  const listed = readings.flatMap(({ runtime }) => (runtime === undefined ? [] : [runtime]));
  return stream
    .take(atMs, listed, readings)
    .map(({ tag }) => tag)
    .join();
}

describe('which processes are alive', () => {
  it('drops a process with the first record it should have been in', () => {
    const living = new Stream();
    expect(alive(living, 0, reading(a, 0.001), reading(b, 0.001))).toBe('a,b');
    expect(alive(living, 5_000, reading(a, 5), reading(b, 5))).toBe('a,b');
    expect(alive(living, 9_998, reading(a, 4.998))).toBe('a');
    expect(alive(living, 15_000)).toBe('');
  });

  it('keeps processes through records that are about the host alone', () => {
    const living = new Stream();
    alive(living, 0, reading(a, 0.001));
    for (const atMs of [1_000, 2_000, 3_000, 4_000]) expect(alive(living, atMs)).toBe('a');
    expect(alive(living, 5_000, reading(a, 5))).toBe('a');
    for (const atMs of [6_000, 7_000, 8_000, 9_000]) expect(alive(living, atMs)).toBe('a');
    expect(alive(living, 10_000)).toBe('');
  });

  it('keeps a process that is sampled less often than another', () => {
    const living = new Stream();
    alive(living, 0, reading(a, 0.001), reading(b, 0.001));
    for (const atMs of [1_000, 2_000, 3_000, 4_000]) expect(alive(living, atMs, reading(a, 1))).toBe('a,b');
    expect(alive(living, 5_000, reading(a, 1), reading(b, 5))).toBe('a,b');
    expect(alive(living, 6_000)).toBe('b');
  });

  it('takes the newest entry of a process', () => {
    const living = new Stream();
    living.take(0, [a], []);
    expect(living.take(5_000, [{ ...a, error: 'detached' }], [])).toEqual([{ ...a, error: 'detached' }]);
  });

  it('forgets processes: ten thousand that come and go leave nothing behind', () => {
    const living = new Stream();
    for (let pid = 1; pid <= 10_000; pid += 1) {
      const runtime = { pid, tag: 't' };
      expect(living.take(pid * 5_000, [runtime], [reading(runtime, 5)])).toHaveLength(1);
    }
  });

  it.each([30, 60, 600])(
    'keeps a process whose groups have a period of %i s through the seconds before its second reading',
    (periodSeconds) => {
      const stream = new Stream();
      const host: AnyGroupReading = { group: 'memory_info', data: {}, periodSeconds: 1 };
      alive(stream, 0, reading(a, 0.06), { ...host, periodSeconds: 0.06 });
      for (let second = 1; second < periodSeconds; second += 1) expect(alive(stream, second * 1_000, host)).toBe('a');
      expect(alive(stream, periodSeconds * 1_000, reading(a, periodSeconds), host)).toBe('a');
      expect(alive(stream, 2 * periodSeconds * 1_000, host)).toBe('');
    },
  );

  it('knows the period of a process that comes later from the readings of the others', () => {
    const stream = new Stream();
    alive(stream, 0, reading(a, 0.06));
    alive(stream, 5_000, reading(a, 5));
    expect(alive(stream, 10_000, reading(a, 5), reading(b, 0.4))).toBe('a,b');
    expect(alive(stream, 15_000, reading(a, 5))).toBe('a');
  });

  it('learns a period from a first reading that covers more than a second', () => {
    const stream = new Stream();
    alive(stream, 0, reading(a, 5), reading(b, 5));
    expect(alive(stream, 5_000, reading(b, 5))).toBe('b');
  });
});
