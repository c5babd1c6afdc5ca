import { describe, expect, it } from 'vitest';
import { RuntimeRoster } from '../../../sources/neuron-monitor/roster.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from '../../../src/readings.ts';

const a: RuntimeRef = { pid: 1, tag: 'a' };
const b: RuntimeRef = { pid: 2, tag: 'b' };

function reading(runtime: RuntimeRef, periodSeconds: number, group: MetricGroup & 'memory_used' = 'memory_used'): AnyGroupReading {
  return { group, data: {}, runtime, periodSeconds };
}

function alive(roster: RuntimeRoster, atMs: number, ...readings: AnyGroupReading[]): string {
  const listed = readings.flatMap(({ runtime }) => (runtime === undefined ? [] : [runtime]));
  return roster
    .update(listed, readings, atMs)
    .map(({ tag }) => tag)
    .join();
}

describe('which processes are alive', () => {
  it('drops a process with the first record it should have been in', () => {
    const roster = new RuntimeRoster();
    expect(alive(roster, 0, reading(a, 0.001), reading(b, 0.001))).toBe('a,b');
    expect(alive(roster, 5_000, reading(a, 5), reading(b, 5))).toBe('a,b');
    expect(alive(roster, 9_998, reading(a, 4.998))).toBe('a');
    expect(alive(roster, 15_000)).toBe('');
  });

  it('keeps processes through records that are about the host alone', () => {
    const roster = new RuntimeRoster();
    alive(roster, 0, reading(a, 0.001));
    for (const atMs of [1_000, 2_000, 3_000, 4_000]) expect(alive(roster, atMs)).toBe('a');
    expect(alive(roster, 5_000, reading(a, 5))).toBe('a');
    for (const atMs of [6_000, 7_000, 8_000, 9_000]) expect(alive(roster, atMs)).toBe('a');
    expect(alive(roster, 10_000)).toBe('');
  });

  it('keeps a process that is sampled less often than another', () => {
    const roster = new RuntimeRoster();
    alive(roster, 0, reading(a, 0.001), reading(b, 0.001));
    for (const atMs of [1_000, 2_000, 3_000, 4_000]) expect(alive(roster, atMs, reading(a, 1))).toBe('a,b');
    expect(alive(roster, 5_000, reading(a, 1), reading(b, 5))).toBe('a,b');
    expect(alive(roster, 6_000)).toBe('b');
  });

  it('takes the newest entry of a process', () => {
    const roster = new RuntimeRoster();
    roster.update([a], [], 0);
    expect(roster.update([{ ...a, error: 'detached' }], [], 5_000)).toEqual([{ ...a, error: 'detached' }]);
  });

  it('forgets processes: ten thousand that come and go leave nothing behind', () => {
    const roster = new RuntimeRoster();
    for (let pid = 1; pid <= 10_000; pid += 1) {
      const runtime = { pid, tag: 't' };
      expect(roster.update([runtime], [reading(runtime, 5)], pid * 5_000)).toHaveLength(1);
    }
  });
});
