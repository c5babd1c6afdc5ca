import { expect } from 'vitest';
import { createProcfsSource } from '../../../sources/procfs/source.ts';
import type { MetricGroup, RuntimeRef } from '../../../src/readings.ts';
import type { PullSource, ReadingBatch } from '../../../src/source.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../../support/fixture-host.ts';

const ALL: ReadonlySet<MetricGroup> = new Set(['vcpu_usage', 'memory_info', 'neuron_runtime_vcpu_usage']);
/** Time of the last boot of the hosts under test. */
export const BOOT_MS = 1_767_225_600_000;

export function read(source: PullSource, groups: ReadonlySet<MetricGroup> = ALL): ReadingBatch {
  const batch = source.read(groups, new AbortController().signal);
  if (batch instanceof Promise) throw new TypeError('procfs reads are synchronous');
  return batch;
}

/** Starts `count` processes under seven pids, and expects each reading to be of the living process of its pid. */
export function expectNothingLeftBehind(count: number): void {
  const root = temporaryFolder();
  const host = fixtureHost(root);
  writeTree(root, { 'proc/stat': 'cpu  1 0 0 1 0 0 0 0\nbtime 1767225600\n', 'proc/meminfo': '' });
  let current: RuntimeRef[] = [];
  const source = createProcfsSource({ host, runtimes: () => current });
  for (let start = 0; start < count; start += 1) {
    const pid = 100 + (start % 7);
    writeTree(root, { [`proc/${pid}/stat`]: `${pid} (p) S 1 1 1 0 -1 0 0 0 0 0 ${start} 0 0 0 20 0 1 0 ${start} 1 1 0\n` });
    current = [{ pid, tag: 'same', startTimeMs: BOOT_MS + start * 10 }, ...current].slice(0, 5);
    const [newest, ...others] = read(source, new Set(['neuron_runtime_vcpu_usage'])).readings;
    // The process of this pid started just now: its reading is its own CPU time, without a period.
    expect(newest?.data).toMatchObject({ cpu_time: { user: start / 100 } });
    expect(newest).not.toHaveProperty('periodSeconds');
    expect(others.every(({ runtime }) => runtime?.pid !== pid)).toBe(true);
  }
}
