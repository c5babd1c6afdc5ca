import { expect, test } from 'vitest';
import { DatastoreCounters } from '../../sources/nds/counters.ts';
import { coreCounterAt, viewOf } from '../../sources/nds/layout.ts';
import { decodeRecords } from '../../sources/nds/records.ts';
import { createProcessInspector } from '../../sources/processes/inspector.ts';
import { encodeDatastore } from '../../simulator/datastore-writer.ts';
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

test('counters of older drivers stand still while a process runs, and nothing is made of them', async () => {
  await using machine = await virtualMachine('trn1.32xlarge', { driverVersion: '2.24.7.0' });
  const { host, clock } = machine;
  await using source = createSysfsSource({ host: host.host, logger: silentLogger, detail: { peaks: false, events: true } });
  for (let step = 0; step < 40; step += 1) {
    await clock.advance(5_000);
    host.step();
    for (const device of await readDevices(source)) {
      for (const core of Object.values(device.device_cores ?? {})) {
        expect(core.utilization).toBeUndefined();
        expect(core.flops).toBeUndefined();
        expect(core.executions).toBeUndefined();
      }
    }
  }
  const events = (await readDevices(source)).flatMap(({ device_cores }) =>
    Object.values(device_cores ?? {}).map((core) => core.events?.['success'] ?? 0),
  );
  const released = host.truth().devices.flatMap(({ cores }) => cores.map((core) => Number(core.releasedCounters[1])));
  expect(events).toEqual(released);
  expect(Math.max(...released)).toBeGreaterThan(0);
});

test('the inspector finds the Neuron processes of a simulated host and no others, with their tags and containers', async () => {
  await using machine = await virtualMachine('trn2.48xlarge');
  const { host, clock } = machine;
  using inspector = createProcessInspector({ host: host.host });
  for (let step = 0; step < 20; step += 1) {
    await clock.advance(16_000);
    host.step();
    inspector.scan(clock.monotonicMs());
    await clock.advance(100);
    const found = inspector.scan(clock.monotonicMs());
    const truth = host.truth().processes;
    expect(found.map(({ pid, tag }) => [pid, tag]).toSorted()).toEqual(truth.map(({ pid, tag }) => [pid, tag]).toSorted());
    const containers = found.flatMap(({ attributes }) => attributes?.['container.id'] ?? []);
    expect(containers.toSorted()).toEqual(truth.flatMap(({ containerId }) => containerId ?? []).toSorted());
    for (const process of truth) {
      const startTimeMs = found.find(({ pid }) => pid === process.pid)?.startTimeMs ?? NaN;
      expect(Math.abs(startTimeMs - (host.truth().originMs + process.startedAtMs))).toBeLessThan(10);
    }
  }
});

test('datastores say what is true of each process on each device', async () => {
  await using machine = await virtualMachine('trn2.48xlarge');
  const { host } = machine;
  host.step(40_000);
  const { processes, instance } = host.truth();
  for (const process of processes) {
    for (const device of process.devices) {
      const bytes = encodeDatastore(process, device);
      const counters = new DatastoreCounters(instance.physicalCoresPerDevice);
      counters.read(viewOf(bytes.buffer));
      const view = new DataView(bytes.buffer);
      const cores = process.cores.filter((core) => core.device === device);
      for (const core of cores) {
        const ids = [0, 1, 2, 3, 4, 5, 6, 8, 11, 16, 27, 28, 29];
        expect(ids.map((id) => counters.core(core.physicalCore, id))).toEqual(ids.map((id) => Number(core.counters[id])));
        const written = [...ids, 32, 40].map((id) => view.getBigUint64(coreCounterAt(core.physicalCore, id), true));
        expect(written).toEqual([...ids, 32, 40].map((id) => core.counters[id]));
        expect(counters.latencyDeviceSeconds(core.physicalCore) ?? 0).toBe(core.lastDeviceSeconds);
        const bytesOf = [22, 23, 24, 25, 26].map((id) => counters.core(core.physicalCore, id));
        expect(bytesOf.reduce((a, b) => a + b, 0)).toBe(core.memoryBytes.reduce((a, b) => a + b, 0));
      }
      const records = decodeRecords(bytes);
      expect(records).toMatchObject({ proof: 'sealed', leftOut: 0, tag: process.tag, runtimeVersion: '2.34.10' });
      const models = process.models.filter((model) => model.device === device);
      expect(records.models.map(({ modelId, name, uuid, core }) => [modelId, name, uuid, core])).toEqual(
        models.map(({ id, name, uuid, logicalCore }) => [id, name, uuid, logicalCore]),
      );
    }
  }
});
