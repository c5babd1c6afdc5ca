import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GroupTest } from '../../support/receive.ts';
import { HostileHost, expectOnlyBrokenValuesToBeMissing, numbersOf, sorted } from './hostile-host.ts';
import { SysfsTest, dataOf, deviceRoot } from './support.ts';

it('only the broken values of 40 hostile trees are missing, and all come back', async () => {
  await expectOnlyBrokenValuesToBeMissing(Array.from({ length: 40 }, (_, seed) => seed));
});

describe('counters that are set back', () => {
  it('give no negative step and are right at the next reading', async () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const host = new HostileHost(seed, 2);
      await using sysfs = host.sysfs;
      const groups = [new GroupTest('neuron_hw_counters'), new GroupTest('neuron_device_counters', { isEnabled: () => true })] as const;
      for (let step = 0; step < 4; step += 1) {
        const cleared = step === 2;
        if (cleared) for (const counter of host.counters) if (!counter.key.includes('/ecc/')) counter.value = 0;
        host.advance();
        const batch = await sysfs.readLater();
        expect(sorted(numbersOf(batch))).toEqual(sorted(host.expected()));
        for (const reading of batch.readings) {
          if (reading.group !== 'neuron_hw_counters' && reading.group !== 'neuron_device_counters') continue;
          const { points, failures } = reading.group === 'neuron_hw_counters' ? groups[0].receive(reading) : groups[1].receive(reading);
          expect(failures).toEqual([]);
          expect(points.filter(({ value }) => !(Number(value) >= 0))).toEqual([]);
        }
      }
    }
  });

  it('by a reload of the driver begin again', async () => {
    const host = new HostileHost(3, 2);
    await using sysfs = host.sysfs;
    await sysfs.read();
    for (const directory of ['module', 'devices']) rmSync(join(sysfs.root, directory), { recursive: true });
    const without = await sysfs.readLater();
    expect(dataOf(without).neuron_devices).toEqual([]);
    expect(without.failures).toHaveLength(1);
    expect(sysfs.source.groups().size).toBe(0);
    sysfs.write({ 'module/neuron/version': '2.29.0.0\n' });
    for (const counter of host.counters) {
      counter.value = 1;
      host.write(counter, '1\n');
    }
    const batch = await sysfs.readLater();
    expect(sorted(numbersOf(batch))).toEqual(sorted(host.expected()));
    expect(batch.failures).toEqual([]);
  });
});

describe('a device that vanishes during the sweep', () => {
  it.each([0, 8_192])('costs itself, with %i descriptors kept', async (maxKeptFiles) => {
    await using sysfs = new SysfsTest({ maxKeptFiles });
    for (const device of [0, 1, 2]) sysfs.writeDevice(device, { 'stats/hardware/mem_ecc_corrected': `${device + 5}\n` });
    await sysfs.read();
    let asked = 0;
    const monotonicMs = sysfs.clock.monotonicMs.bind(sysfs.clock);
    // The clock is asked before each device: here it takes away the next one but one.
    sysfs.clock.monotonicMs = () => {
      asked += 1;
      if (asked === 2) rmSync(join(sysfs.root, deviceRoot(2)), { recursive: true });
      return monotonicMs();
    };
    const batch = await sysfs.read();
    expect(dataOf(batch).neuron_devices.map(({ neuron_device_index, ecc }) => [neuron_device_index, ecc['mem_ecc_corrected']])).toEqual([
      [0, 5],
      [1, 6],
    ]);
    expect(batch.failures).toEqual([]);
  });
});

it('a thousand devices are read, and more than that are not looked for', async () => {
  await using sysfs = new SysfsTest({ maxKeptFiles: 100 });
  for (let device = 0; device < 1_000; device += 1) sysfs.writeDevice(device, { 'stats/hardware/mem_ecc_corrected': `${device}\n` });
  const batch = await sysfs.read();
  expect(dataOf(batch).neuron_devices.map(({ ecc }) => ecc['mem_ecc_corrected'])).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  for (let device = 1_000; device < 1_100; device += 1) sysfs.writeDevice(device, { 'stats/hardware/mem_ecc_corrected': '1\n' });
  expect(dataOf(await sysfs.readLater()).neuron_devices).toHaveLength(1_024);
});
