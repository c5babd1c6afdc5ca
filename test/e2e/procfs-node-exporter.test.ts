import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CPU_MODES } from '../../sources/procfs/cpu-stat.ts';
import { createProcfsSource } from '../../sources/procfs/source.ts';
import { systemHost } from '../../src/host.ts';
import type { GroupData, MetricGroup } from '../../src/readings.ts';
import { peerPath } from '../../scripts/peers.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';

/** Our spelling of a CPU mode → node_exporter's. */
const MODES: Readonly<Record<string, string>> = { io_wait: 'iowait', irq: 'irq', soft_irq: 'softirq' };

interface Sample {
  readonly ours: { readonly [G in MetricGroup]?: GroupData[G] };
  readonly theirs: ReadonlyMap<string, number>;
}

const source = createProcfsSource({ host: systemHost(), runtimes: () => [] });
let exporter: { readonly url: string; readonly stop: () => Promise<void> };

beforeAll(async () => {
  exporter = await startNodeExporter();
});

afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await exporter.stop();
});

describe('this machine as procfs and as node_exporter see it', () => {
  test('CPU seconds by mode, memory, swap and context switches agree', async () => {
    // Scraped between two readings of ours: what node_exporter saw lies between them.
    const before = ours();
    const theirs = await scrape(exporter.url);
    const after = ours();
    for (const mode of CPU_MODES) {
      const seconds = sumOf(theirs, `node_cpu_seconds_total`, `mode="${MODES[mode] ?? mode}"`);
      expect.soft(before.vcpu_usage?.cpu_time?.[mode], mode).toBeLessThanOrEqual(seconds + 0.021);
      expect.soft(after.vcpu_usage?.cpu_time?.[mode], mode).toBeGreaterThanOrEqual(seconds - 0.021);
    }
    expect(after.memory_info?.memory_total_bytes).toBe(theirs.get('node_memory_MemTotal_bytes'));
    expect(after.memory_info?.swap_total_bytes).toBe(theirs.get('node_memory_SwapTotal_bytes'));
    const tolerance = 0.02 * (theirs.get('node_memory_MemTotal_bytes') ?? Number.NaN);
    const used = (theirs.get('node_memory_MemTotal_bytes') ?? Number.NaN) - (theirs.get('node_memory_MemFree_bytes') ?? Number.NaN);
    expectNear(after.memory_info?.memory_used_bytes, used, tolerance);
    expectNear(after.memory_info?.memory_available_bytes, theirs.get('node_memory_MemAvailable_bytes'), tolerance);
  });

  test('shares and context switches of a period agree with what node_exporter’s counters say about it', async () => {
    const from = await sample();
    await delay(2_000);
    const to = await sample();
    const change = (name: string, where: string): number => sumOf(to.theirs, name, where) - sumOf(from.theirs, name, where);
    const usage = to.ours.vcpu_usage;
    expect(usage).toBeDefined();
    const monitorModes = CPU_MODES.filter((mode) => mode !== 'steal').map((mode) => MODES[mode] ?? mode);
    const all = monitorModes.reduce((sum, mode) => sum + change('node_cpu_seconds_total', `mode="${mode}"`), 0);
    for (const mode of ['user', 'system', 'idle']) {
      const percent = (100 * change('node_cpu_seconds_total', `mode="${mode}"`)) / all;
      expectNear(usage?.average_usage?.[mode], percent, 10);
      expectNear(usage?.usage_data?.['0']?.[mode], cpuPercent(from, to, mode, monitorModes), 15);
    }
    const switches = change('node_context_switches_total', '');
    expectNear(usage?.context_switch_count, switches, 0.2 * switches + 500);
  });
});

async function sample(): Promise<Sample> {
  const own = ours();
  return { ours: own, theirs: await scrape(exporter.url) };
}

function ours(): Sample['ours'] {
  const batch = source.read(new Set(['vcpu_usage', 'memory_info']), new AbortController().signal);
  if (batch instanceof Promise) throw new TypeError('procfs reads are synchronous');
  return Object.fromEntries(batch.readings.map(({ group, data }) => [group, data]));
}

function cpuPercent(from: Sample, to: Sample, mode: string, modes: readonly string[]): number {
  const seconds = (name: string): number => {
    const where = `cpu="0",mode="${name}"`;
    return sumOf(to.theirs, 'node_cpu_seconds_total', where) - sumOf(from.theirs, 'node_cpu_seconds_total', where);
  };
  return (100 * seconds(mode)) / modes.reduce((sum, name) => sum + seconds(name), 0);
}

function expectNear(actual: number | undefined, expected: number | undefined, tolerance: number): void {
  expect(expected).toBeTypeOf('number');
  expect(actual).toBeGreaterThanOrEqual((expected ?? Number.NaN) - tolerance);
  expect(actual).toBeLessThanOrEqual((expected ?? Number.NaN) + tolerance);
}

/** Sum over the series of one metric whose labels contain a text. */
function sumOf(page: ReadonlyMap<string, number>, name: string, where: string): number {
  const series = [...page].filter(([key]) => (key === name || key.startsWith(`${name}{`)) && key.includes(where));
  expect(series.length, `${name}{${where}}`).toBeGreaterThan(0);
  return series.reduce((sum, [, value]) => sum + value, 0);
}

async function scrape(url: string): Promise<ReadonlyMap<string, number>> {
  const page = await (await fetch(url)).text();
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

async function startNodeExporter(): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const port = await freePort();
  const collectors = ['cpu', 'meminfo', 'stat'].map((name) => `--collector.${name}`);
  const args = [`--web.listen-address=127.0.0.1:${port}`, '--collector.disable-defaults', ...collectors, '--log.level=error'];
  const child = new RunningProcess('node_exporter', peerPath('node-exporter'), args);
  const url = `http://127.0.0.1:${port}/metrics`;
  await child.until('it answers', async () => ((await fetch(url)).ok ? true : undefined));
  return { url, stop: () => child[Symbol.asyncDispose]() };
}
