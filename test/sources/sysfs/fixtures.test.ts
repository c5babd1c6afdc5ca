import { describe, expect, it } from 'vitest';
import { expectGolden } from '../../support/golden.ts';
import type { ReadingBatch } from '../../../src/source.ts';
import { archiveNames, unpackArchive } from '../../support/sysfs-archive.ts';
import { SysfsTest, dataOf, failuresOf } from './support.ts';

const EVERYTHING = { peaks: true, events: true };

/** Archives whose readings are compared with those of another archive instead of a golden. */
const COMPARED: ReadonlySet<string> = new Set(['2.28-trn2', '2.31-trn2']);

async function readArchive(name: string): Promise<ReadingBatch> {
  using tree = unpackArchive(name);
  await using sysfs = new SysfsTest({ root: tree.root, detail: EVERYTHING });
  expect([...sysfs.source.groups()]).toEqual(['neuron_hw_counters', 'neuron_device_counters', 'neuron_hardware_info']);
  const batch = await sysfs.read('neuron_hw_counters', 'neuron_device_counters', 'neuron_hardware_info');
  expect(batch).toMatchObject({ source: 'sysfs', sampledAtMs: sysfs.clock.nowMs() });
  expect(failuresOf(batch)).toEqual([]);
  return batch;
}

it.each(archiveNames().filter((name) => !COMPARED.has(name)))('the tree %s gives the readings of its golden', async (name) => {
  expectGolden(`sysfs/${name}.json`, (await readArchive(name)).readings);
});

describe.each(archiveNames())('the tree %s', (name) => {
  it('gives the same again without descriptors to keep', async () => {
    using tree = unpackArchive(name);
    await using kept = new SysfsTest({ root: tree.root, detail: EVERYTHING });
    await using opened = new SysfsTest({ root: tree.root, detail: EVERYTHING, maxKeptFiles: 0 });
    expect(await opened.read()).toEqual(await kept.read());
    expect(await opened.readLater()).toEqual(await kept.readLater());
  });
});

it('the rearranged tree of driver 2.31 gives the readings of 2.30', async () => {
  const before = await readArchive('2.30-trn2');
  const after = await readArchive('2.31-trn2');
  expect(dataOf(after)).toEqual({ ...dataOf(before), driver_version: '2.31.7.0' });
});

it('driver 2.28 adds the count of error events to the readings of 2.24', async () => {
  const before = await readArchive('2.24-trn2');
  const after = await readArchive('2.28-trn2');
  const events = dataOf(after).neuron_devices.map(({ device_health }) => device_health?.hw_error_events);
  expect(events).toEqual([1, 0]);
  const devices = dataOf(before).neuron_devices.map((device, index) => ({
    ...device,
    device_health: { ...device.device_health, hw_error_events: events[index] },
  }));
  expect(dataOf(after)).toEqual({ ...dataOf(before), driver_version: '2.28.0.0', neuron_devices: devices });
});

it('what only some want to know is not read for the others', async () => {
  using tree = unpackArchive('2.24-trn2');
  await using sysfs = new SysfsTest({ root: tree.root });
  const [device] = dataOf(await sysfs.read()).neuron_devices;
  expect(Object.keys(device ?? {})).not.toContain('device_host_memory_peak');
  expect(Object.keys(device?.device_cores?.['0'] ?? {})).toEqual(['memory', 'model_loads', 'reset_requests']);
});
