import { expect, test } from 'vitest';
import { createSysfsSource } from '../../sources/sysfs/source.ts';
import { VIRTUAL_INSTANCE_TYPES } from '../../simulator/instances.ts';
import { silentLogger } from '../../src/log.ts';
import type { DeviceCounters, DeviceErrors } from '../../src/readings.ts';
import { expectSysfsToBeTrue, readDevices, virtualMachine } from './support/sysfs-truth.ts';

test.each(VIRTUAL_INSTANCE_TYPES)('what sysfs reads of %s is true, through incidents and resets', async (instanceType) => {
  await expectSysfsToBeTrue(instanceType);
});

test('what sysfs reads of errors, health and power is true', async () => {
  await using machine = await virtualMachine('trn2.48xlarge', { seed: 2 });
  const { host, clock } = machine;
  await using source = createSysfsSource({ host: host.host, logger: silentLogger });
  const states = new Set<string>();
  let corrected = 0;
  for (let step = 0; step < 150; step += 1) {
    await clock.advance(2_000);
    host.step();
    const readings = await readDevices(source);
    for (const device of host.truth().devices) {
      const { ecc, device_health: health, device_power: power }: Partial<DeviceCounters & DeviceErrors> = readings[device.index] ?? {};
      const seen = device.resetting || Object.keys(ecc ?? {}).length < 5 ? {} : (ecc ?? {});
      expect(seen).toEqual(
        Object.keys(seen).length === 0
          ? {}
          : {
              mem_ecc_corrected: device.ecc.memoryCorrected,
              mem_ecc_uncorrected: device.ecc.memoryUncorrected,
              mem_ecc_repairable_uncorrected: device.ecc.memoryRepairableUncorrected,
              sram_ecc_corrected: device.ecc.sramCorrected,
              sram_ecc_uncorrected: device.ecc.sramUncorrected,
            },
      );
      corrected = Math.max(corrected, ecc?.['mem_ecc_corrected'] ?? 0);
      states.add([health?.state, health?.reason, ...(health?.unhealthy_components ?? [])].join(' '));
      expect(health?.unhealthy_components).toEqual(device.resetting ? [] : device.unhealthyComponents);
      // A sample is asked for up to half a minute after it was published.
      expect((device.power?.epochSeconds ?? 0) - (power?.epoch_seconds ?? device.power?.epochSeconds ?? 0)).toBeLessThanOrEqual(60);
    }
  }
  expect(corrected).toBeGreaterThan(0);
  expect([...states].toSorted()).toEqual(['healthy ', 'unhealthy components hbm', 'unhealthy device_unreachable']);
});
