import { lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createNdsSource } from '../../../sources/nds/source.ts';
import { createProcessInspector } from '../../../sources/processes/inspector.ts';
import type { NeuronHardwareInfo } from '../../../src/readings.ts';
import type { PullSource, ReadingBatch } from '../../../src/source.ts';
import { buildDatastore } from '../../support/datastore.ts';
import type { DatastoreContent } from '../../support/datastore.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../../support/fixture-host.ts';
import { startProcess } from '../../support/fixture-process.ts';

const ALL = new Set(['execution_stats', 'memory_used', 'neuroncore_counters'] as const);
const CONTENT = { shortTag: 'of the datastore', runtimeVersion: [2, 34, 10] } as const;
const BOOT_MS = 1_767_225_600_000;

/** A host whose datastores are files. */
function setUp(options: { readonly files?: Readonly<Record<string, string>>; readonly info?: NeuronHardwareInfo } = {}) {
  const root = temporaryFolder();
  const host = fixtureHost(root);
  writeTree(root, {
    'proc/stat': 'cpu  1 0 0 1 0 0 0 0\nbtime 1767225600\n',
    ...(options.files ?? {
      'sys/class/neuron_device/neuron0/core_count': '2',
      'sys/class/neuron_device/neuron0/info/architecture/device_name': 'Trainium1\n',
    }),
  });
  for (const device of [0, 1]) mkdirSync(join(host.devRoot, `neuron${device}`), { recursive: true });
  const { info } = options;
  const inspector = createProcessInspector({ host });
  const source = createNdsSource({ host, inspector, ...(info !== undefined && { hardwareInfo: () => info }) });
  onTestFinished(() => source[Symbol.asyncDispose]());
  const write = (device: number, pid: number, content: DatastoreContent): void =>
    writeFileSync(join(host.devRoot, `neuron${device}`, String(pid)), buildDatastore(content));
  return { host, source, write, inspector };
}

async function read(source: PullSource): Promise<ReadingBatch> {
  return await source.read(ALL, new AbortController().signal);
}

describe('nds source', () => {
  test('what a process does, under its own identity', async () => {
    const { host, source, write } = setUp();
    startProcess(host, {
      pid: 42,
      startTicks: 900,
      executable: '/usr/bin/python3',
      environment: { NEURON_PROCESS_TAG: 'of the environment' },
    });
    write(0, 42, { ...CONTENT, cores: { 0: { 1: 100n, 23: 5n } } });
    const first = await read(source);
    const runtime = {
      pid: 42,
      tag: 'of the datastore',
      startTimeMs: BOOT_MS + 9_000,
      attributes: { 'process.executable.name': 'python3', 'neuron.runtime.version': '2.34.10' },
    };
    expect(first).toMatchObject({ source: 'nds', failures: [], runtimes: [runtime] });
    expect(first.readings).toMatchObject([{ group: 'memory_used', runtime, data: { neuron_device: 5 } }]);
    write(0, 42, { ...CONTENT, cores: { 0: { 1: 103n, 29: 1_000n }, 1: { 1: 2n } } });
    await host.clock.advance(1_000);
    const second = await read(source);
    expect(second.readings.map(({ group }) => group)).toEqual(['execution_stats', 'memory_used', 'neuroncore_counters']);
    expect(second.readings[0]).toMatchObject({ data: { execution_summary: { completed: 5 } }, periodSeconds: 1 });
  });

  test('a pid that names another process by now lends nothing of it', async () => {
    const { host, source, write, inspector } = setUp();
    write(0, 42, CONTENT);
    const { runtimes } = await read(source);
    expect(inspector.discover(host.clock.monotonicMs())).toEqual(runtimes);
    expect(runtimes).toEqual([{ pid: 42, tag: 'of the datastore', attributes: { 'neuron.runtime.version': '2.34.10' } }]);
  });

  test('a process that ended is missing from the next batch', async () => {
    const { host, source, write } = setUp();
    write(0, 42, CONTENT);
    write(1, 43, CONTENT);
    await read(source);
    rmSync(join(host.devRoot, 'neuron0/42'));
    expect((await read(source)).runtimes?.map(({ pid }) => pid)).toEqual([43]);
  });

  test('a new file under the name of another one is another process’s, however much it counts; none stays open when its owner is gone', async () => {
    const { host, source, write } = setUp();
    const openFiles = (): readonly string[] =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        // The descriptor of this very listing is gone by now.
        if (lstatSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false }) === undefined) return [];
        const target = readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'utf8' });
        return target.startsWith(host.devRoot) ? [target] : [];
      });
    write(0, 42, { ...CONTENT, cores: { 0: { 1: 100n } } });
    await read(source);
    writeFileSync(join(host.devRoot, 'new'), buildDatastore({ ...CONTENT, cores: { 0: { 1: 5_000n } } }));
    renameSync(join(host.devRoot, 'new'), join(host.devRoot, 'neuron0/42'));
    await host.clock.advance(1_000);
    const { readings, runtimes } = await read(source);
    expect(readings.map(({ group }) => group)).toEqual(['memory_used']);
    expect(runtimes?.map(({ pid }) => pid)).toEqual([42]);
    expect(openFiles()).toEqual([join(host.devRoot, 'neuron0/42')]);
    rmSync(join(host.devRoot, 'neuron0/42'));
    await read(source);
    expect(openFiles()).toEqual([]);
  });

  test('every core is looked at between two readings, those behind the records as well', async () => {
    const { host, source, write } = setUp({ files: {}, info: { neuroncore_per_device_count: 8, logical_neuroncore_config: 2 } });
    const count = (done: bigint): void =>
      write(0, 42, { ...CONTENT, cores: { 0: { 1: done, 13: 0.25 }, 3: { 1: done, 13: 0.5 }, 15: { 1: done, 13: 0.75 } } });
    count(1n);
    await read(source);
    for (const done of [2n, 3n, 4n, 5n]) {
      count(done);
      await host.clock.advance(250);
    }
    const { readings } = await read(source);
    expect(readings[0]).toMatchObject({
      group: 'execution_stats',
      data: {
        execution_summary: { completed: 12 },
        latency_stats: { device_latency: { p0: 0.25, p25: 0.25, p50: 0.5, p75: 0.75 } },
        latency_coverage: 1,
      },
    });
  });

  test('LNC: of the process, else of the host’s file, else of the device', async () => {
    const files = {
      'sys/class/neuron_device/neuron0/info/architecture/device_name': 'Trainium2\n',
      'sys/class/neuron_device/neuron0/core_count': '8',
    };
    const coresOf = (batch: ReadingBatch, pid: number): readonly string[] =>
      batch.readings.flatMap((reading) =>
        reading.group === 'memory_used' && reading.runtime?.pid === pid ? Object.keys(reading.data.neuroncore_memory_usage ?? {}) : [],
      );
    const { host, source, write } = setUp({ files });
    startProcess(host, { pid: 42, startTicks: 900, environment: { NEURON_LOGICAL_NC_CONFIG: '1' } });
    write(1, 42, CONTENT);
    write(1, 43, CONTENT);
    const byDefault = await read(source);
    expect(coresOf(byDefault, 42)).toEqual(['8', '9', '10', '11', '12', '13', '14', '15']);
    expect(coresOf(byDefault, 43)).toEqual(['4', '5', '6', '7']);
    writeTree(host.fsRoot, { 'opt/aws/neuron/logical_nc_config': 'NEURON_LOGICAL_NC_CONFIG=1\n' });
    expect(coresOf(await read(source), 43)).toHaveLength(8);
  });

  test('facts of another source say how many cores there are where sysfs does not', async () => {
    const { source, write } = setUp({ files: {}, info: { neuroncore_per_device_count: 4, logical_neuroncore_config: 2 } });
    write(0, 42, CONTENT);
    expect((await read(source)).readings[0]?.data).toMatchObject({ neuroncore_memory_usage: { 3: {} } });
  });

  test('nobody knows how many cores a device has: said, and nothing guessed', async () => {
    const { source, write } = setUp({ files: {} });
    write(0, 42, CONTENT);
    expect(await read(source)).toMatchObject({ readings: [], failures: [{ error: { code: 'source_absent' } }] });
  });

  test('a host without devices serves nothing', () => {
    const host = fixtureHost(temporaryFolder());
    expect(createNdsSource({ host, inspector: createProcessInspector({ host }) }).groups()).toEqual(new Set());
  });

  test('other groups read nothing', async () => {
    const { source } = setUp();
    expect(await source.read(new Set(['vcpu_usage']), new AbortController().signal)).toMatchObject({ readings: [], failures: [] });
  });

  test('dispose may be repeated, may come without a read, and ends the reading', async () => {
    const { source, write } = setUp();
    write(0, 42, CONTENT);
    await read(source);
    await source[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    expect(source.groups()).toEqual(new Set());
    expect(await read(source)).toMatchObject({ readings: [], failures: [] });
  });
});
