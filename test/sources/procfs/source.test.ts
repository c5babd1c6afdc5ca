import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bootTimeMs } from '../../../sources/procfs/pid-stat.ts';
import type { ScanResult } from '../../../sources/processes/inspector.ts';
import { createProcfsSource } from '../../../sources/procfs/source.ts';
import type { MetricGroup, RuntimeRef } from '../../../src/readings.ts';
import type { ReadingBatch } from '../../../src/source.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../../support/fixture-host.ts';
import { expectGolden } from '../../support/golden.ts';
import { BOOT_MS, expectNothingLeftBehind, read } from './support.ts';

const fixtures = resolve(import.meta.dirname, '../../fixtures/procfs');

/** A host that shows one moment of a fixture after the other. */
function replay(name: string, runtimes: readonly RuntimeRef[] = []) {
  const root = temporaryFolder();
  const host = fixtureHost(root);
  const show = (moment: number): void => {
    rmSync(host.procRoot, { recursive: true, force: true });
    cpSync(join(fixtures, name, String(moment)), host.procRoot, { recursive: true });
  };
  show(1);
  const source = createProcfsSource({ host, runtimes: () => runtimes });
  return { host, show, source };
}

function dataOf(batch: ReadingBatch, group: MetricGroup): unknown {
  return batch.readings.find((reading) => reading.group === group)?.data;
}

describe('procfs source', () => {
  test('a baseline, then neuron-monitor’s numbers: whole output of two moments of a trn1.2xlarge', async () => {
    const runtimes = [
      { pid: 4242, tag: 'train', startTimeMs: BOOT_MS + 9_000_000 },
      { pid: 4243, tag: 'ends', startTimeMs: BOOT_MS + 9_100_000 },
      { pid: 4244, tag: 'pid is reused', startTimeMs: BOOT_MS + 9_100_000 },
      { pid: 9999, tag: 'out of sight' },
    ];
    const { host, show, source } = replay('trn1.2xlarge', runtimes);
    const first = read(source);
    await host.clock.advance(980);
    show(2);
    const second = read(source);
    const shown = [first, second].map((batch) => JSON.parse(JSON.stringify(batch).replaceAll(host.procRoot, '/proc')) as unknown);
    expectGolden('procfs/trn1.2xlarge.json', shown);
    expect(second.runtimes?.map(({ pid }) => pid)).toEqual([4242, 9999]);
  });

  test('each group counts its period from its own last read', async () => {
    const { host, source } = replay('trn1.2xlarge');
    read(source);
    await host.clock.advance(1000);
    read(source, new Set(['vcpu_usage']));
    await host.clock.advance(1000);
    expect(read(source).readings.map(({ group, periodSeconds }) => [group, periodSeconds])).toEqual([
      ['vcpu_usage', 1],
      ['memory_info', 2],
    ]);
  });

  test('a wall clock that jumps does not change a period', async () => {
    const { host, source } = replay('trn1.2xlarge');
    read(source);
    await host.clock.advance(1000);
    host.clock.jumpWallClock(-3_600_000);
    expect(read(source).readings.map(({ periodSeconds }) => periodSeconds)).toEqual([1, 1]);
  });

  test('CPUs that come and go cost their own shares for one period, and nothing decreases', async () => {
    const { host, show, source } = replay('cpu-hotplug');
    const batches = [read(source, new Set(['vcpu_usage']))];
    for (const moment of [2, 3]) {
      await host.clock.advance(1000);
      show(moment);
      batches.push(read(source, new Set(['vcpu_usage'])));
    }
    const data = batches.map((batch) => dataOf(batch, 'vcpu_usage'));
    expect(data[1]).toMatchObject({ usage_data: { 0: { user: 50 } } });
    expect(data[1]).not.toHaveProperty('usage_data.1');
    expect(data[1]).not.toHaveProperty('usage_data.2');
    expect(data[1]).not.toHaveProperty('usage_data.3');
    expect(data[1]).not.toHaveProperty('average_usage');
    expect(data[1]).not.toHaveProperty('context_switch_count');
    expect(data[2]).toMatchObject({
      average_usage: { user: 50, system: 10, idle: 40 },
      usage_data: { 0: { user: 50 }, 2: { user: 50 }, 3: { user: 50 } },
      context_switch_count: 100,
      cpu_time: { idle: 36_000.8 },
    });
    expect(batches.every((batch) => batch.failures.length === 0)).toBe(true);
  });

  test('I/O wait that runs backwards is no time, in shares and in totals', async () => {
    const { host, show, source } = replay('iowait-backwards');
    read(source);
    await host.clock.advance(1000);
    show(2);
    expect(dataOf(read(source), 'vcpu_usage')).toMatchObject({
      usage_data: { 0: { user: 49.5, idle: 50.5, io_wait: 0 } },
      cpu_time: { io_wait: 14 },
    });
  });

  test('a file larger than the first buffer is read whole', () => {
    const root = temporaryFolder();
    const cpus = Array.from({ length: 2_000 }, (_, cpu) => `cpu${cpu} 100 0 0 100 0 0 0 0 0 0\n`).join('');
    writeTree(root, { 'proc/stat': `cpu  200000 0 0 200000 0 0 0 0 0 0\n${cpus}ctxt 1\n` });
    const source = createProcfsSource({ host: fixtureHost(root), runtimes: () => [] });
    expect(read(source).failures.filter(({ group }) => group === 'vcpu_usage')).toEqual([]);
  });
});

describe('procfs source with something amiss', () => {
  test('a host without procfs serves nothing, and says so when asked all the same', () => {
    const source = createProcfsSource({ host: fixtureHost(temporaryFolder()), runtimes: () => [{ pid: 1, tag: '1' }] });
    expect(source.groups()).toEqual(new Set());
    const batch = read(source);
    expect(batch.failures.map(({ group, error }) => [group, error.code])).toEqual([
      ['vcpu_usage', 'source_absent'],
      ['memory_info', 'source_absent'],
    ]);
    expect(batch.readings).toMatchObject([
      { group: 'neuron_runtime_vcpu_usage', data: {}, error: expect.stringContaining('no such file') },
    ]);
  });

  test('a file that cannot be read costs its group, and heals', async () => {
    const { host, show, source } = replay('trn1.2xlarge');
    read(source);
    rmSync(join(host.procRoot, 'stat'));
    const without = read(source, new Set(['vcpu_usage', 'memory_info']));
    expect(without.readings.map(({ group }) => group)).toEqual(['memory_info']);
    expect(without.failures.map(({ error }) => error.code)).toEqual(['source_absent']);
    await host.clock.advance(2000);
    show(2);
    expect(read(source).failures).toEqual([]);
    expect(read(source, new Set(['vcpu_usage'])).readings).toMatchObject([{ periodSeconds: 0 }]);
  });

  test('an unreadable process is an error in words, an ended one is not', () => {
    const runtime = { pid: 4242, tag: 'a' };
    const { host, source } = replay('trn1.2xlarge', [runtime]);
    rmSync(join(host.procRoot, '4242'), { recursive: true });
    expect(read(source, new Set(['neuron_runtime_vcpu_usage'])).runtimes).toEqual([runtime]);
    cpSync(join(fixtures, 'trn1.2xlarge/1/4242'), join(host.procRoot, '4242'), { recursive: true });
    expect(read(source, new Set(['neuron_runtime_vcpu_usage'])).readings).toMatchObject([{ data: { thread_count: 57 } }]);
    rmSync(join(host.procRoot, '4242'), { recursive: true });
    expect(read(source, new Set(['neuron_runtime_vcpu_usage']))).toMatchObject({ readings: [], failures: [], runtimes: [] });
  });

  test('a process that ended before its first reading has ended: its start time says that it was there', () => {
    const { source } = replay('trn1.2xlarge', [{ pid: 4_243, tag: 'a', startTimeMs: 1_700_000_000_000 }]);
    expect(read(source, new Set(['neuron_runtime_vcpu_usage']))).toMatchObject({ readings: [], failures: [], runtimes: [] });
  });

  test.each([
    ['empty files', { stat: '', meminfo: '', '4242/stat': '' }],
    ['half a line', { stat: 'cpu  1 2', meminfo: 'MemTot', '4242/stat': '4242 (a' }],
    ['garbage', { stat: 'cpu \0\0\ncpu0 x\n', meminfo: '\u00ff\u00fe', '4242/stat': ')(' }],
  ])('%s fail in every group and throw in none', (_name, files) => {
    const root = temporaryFolder();
    writeTree(join(root, 'proc'), files);
    const source = createProcfsSource({ host: fixtureHost(root), runtimes: () => [{ pid: 4242, tag: 'a' }] });
    expect(read(source).failures.map(({ group, error }) => [group, error.code])).toEqual([
      ['vcpu_usage', 'source_malformed'],
      ['memory_info', 'source_malformed'],
      ['neuron_runtime_vcpu_usage', 'source_malformed'],
    ]);
  });

  test('1,000 processes that come and go leave nothing behind', () => {
    expectNothingLeftBehind(1_000);
  });

  test('dispose closes what is open, may be repeated, and may come without a read', async () => {
    const before = openDescriptors();
    const { source } = replay('trn1.2xlarge');
    read(source);
    expect(openDescriptors()).toBeGreaterThan(before);
    await source[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    expect(openDescriptors()).toBe(before);
    await createProcfsSource({ host: fixtureHost(temporaryFolder()), runtimes: () => [] })[Symbol.asyncDispose]();
  });
});

describe('boot time', () => {
  test.each([
    ['known', 'cpu  1 2 3 4 5 6 7 8\nbtime 1767225600\n', BOOT_MS],
    ['not in the file', 'cpu  1 2 3 4 5 6 7 8\n', undefined],
  ])('%s', (_name, stat, expected) => {
    const root = temporaryFolder();
    writeTree(root, { 'proc/stat': stat });
    expect(bootTimeMs(fixtureHost(root))).toBe(expected);
  });

  test('no file', () => {
    expect(bootTimeMs(fixtureHost(temporaryFolder()))).toBeUndefined();
  });
});

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('processes that may not be looked at', () => {
  function withScans(scans: () => ScanResult) {
    const host = fixtureHost(temporaryFolder());
    writeTree(host.procRoot, { stat: 'cpu  1 0 0 1 0 0 0 0\n', meminfo: 'MemTotal: 2 kB\nMemFree: 1 kB\n', uptime: '1.00 1.00\n' });
    return createProcfsSource({ host, runtimes: () => [], scans });
  }

  test('are one failure for each scan, with their number and the remedy as fields', () => {
    let scans: ScanResult = { count: 1, denied: 12 };
    const source = withScans(() => scans);
    const first = read(source);
    expect(first.deniedProcesses).toBe(12);
    expect(first.failures[0]?.error).toMatchObject({ code: 'source_denied', details: { processes: 12 } });
    expect(read(source).failures).toEqual([]);
    scans = { count: 2, denied: 13 };
    const third = read(source);
    expect(third.deniedProcesses).toBe(13);
    expect(third.failures[0]?.error.message).toBe(first.failures[0]?.error.message);
  });

  test('are none where all may be looked at, which is known as well', () => {
    const batch = read(withScans(() => ({ count: 1, denied: 0 })));
    expect(batch.deniedProcesses).toBe(0);
    expect(batch.failures).toEqual([]);
  });

  test('are not known before the first scan has ended', () => {
    expect(read(withScans(() => ({ count: 0, denied: 0 })))).not.toHaveProperty('deniedProcesses');
  });
});
