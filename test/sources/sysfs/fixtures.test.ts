import { describe, expect, it } from 'vitest';
import { expectGolden } from '../../support/golden.ts';
import { archiveNames, unpackArchive } from '../../support/sysfs-archive.ts';
import { SysfsTest, dataOf, failuresOf } from './support.ts';

const EVERYTHING = { peaks: true, events: true };

describe.each(archiveNames().map((name) => [name]))('driver %s', (name) => {
  it('is read as a whole', async () => {
    using tree = unpackArchive(name);
    await using sysfs = new SysfsTest({ root: tree.root, detail: EVERYTHING });
    expect([...sysfs.source.groups()]).toEqual(['neuron_hw_counters', 'neuron_device_counters', 'neuron_hardware_info']);
    const batch = await sysfs.read('neuron_hw_counters', 'neuron_device_counters', 'neuron_hardware_info');
    expect(failuresOf(batch)).toEqual([]);
    expect(batch).toMatchObject({ source: 'sysfs', sampledAtMs: sysfs.clock.nowMs() });
    expectGolden(`sysfs/${name}.json`, batch.readings);
  });

  it('gives the same again without descriptors to keep', async () => {
    using tree = unpackArchive(name);
    await using kept = new SysfsTest({ root: tree.root, detail: EVERYTHING });
    await using opened = new SysfsTest({ root: tree.root, detail: EVERYTHING, maxKeptFiles: 0 });
    expect(await opened.read()).toEqual(await kept.read());
    expect(await opened.readLater()).toEqual(await kept.readLater());
  });
});

it('a rearranged tree says what the tree of the release before says', async () => {
  using before = unpackArchive('2.30-trn2');
  using after = unpackArchive('2.31-trn2');
  await using old = new SysfsTest({ root: before.root, detail: EVERYTHING });
  await using rearranged = new SysfsTest({ root: after.root, detail: EVERYTHING });
  expect(dataOf(await rearranged.read()).neuron_devices).toEqual(dataOf(await old.read()).neuron_devices);
});

it('what only some want to know is not read for the others', async () => {
  using tree = unpackArchive('2.24-trn2');
  await using sysfs = new SysfsTest({ root: tree.root });
  const [device] = dataOf(await sysfs.read()).neuron_devices;
  expect(Object.keys(device ?? {})).not.toContain('device_host_memory_peak');
  expect(Object.keys(device?.device_cores?.['0'] ?? {})).toEqual(['memory', 'model_loads', 'reset_requests']);
});
