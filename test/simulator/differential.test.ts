import { describe, expect, test } from 'vitest';
import { createImdsSource } from '../../sources/imds/source.ts';
import { DatastoreCounters } from '../../sources/nds/counters.ts';
import { coreCounterAt } from '../../sources/nds/layout.ts';
import { decodeRecords } from '../../sources/nds/records.ts';
import { viewOf } from '../../sources/nds/view.ts';
import { createProcessInspector } from '../../sources/processes/inspector.ts';
import { createProcfsSource } from '../../sources/procfs/source.ts';
import { createSysfsSource } from '../../sources/sysfs/source.ts';
import { encodeDatastore } from '../../simulator/datastore.ts';
import { CPU_MODES } from '../../simulator/truth.ts';
import { silentLogger } from '../../src/log.ts';
import { expectSysfsToBeTrue, read, readDevices, virtualMachine } from './support/sysfs-truth.ts';

test('what sysfs reads of the smallest host is true, through incidents and resets', async () => {
  await expectSysfsToBeTrue('trn2.3xlarge');
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

test('either unit of busy time is found out', async () => {
  const utilizations: unknown[] = [];
  for (const timeUnit of ['us', 'ps'] as const) {
    await using machine = await virtualMachine('trn2.3xlarge', { timeUnit });
    const { host, clock } = machine;
    await using source = createSysfsSource({ host: host.host, logger: silentLogger });
    const seen: (number | undefined)[] = [];
    for (let step = 0; step < 40; step += 1) {
      await clock.advance(1_000);
      host.step();
      for (const core of Object.values((await readDevices(source))[0]?.device_cores ?? {})) seen.push(core.utilization);
    }
    utilizations.push(seen);
  }
  expect(utilizations[0]).toEqual(utilizations[1]);
});

describe('what procfs reads', () => {
  test('of the host is what is true', async () => {
    await using machine = await virtualMachine('trn2.3xlarge');
    const { host, clock } = machine;
    await using source = createProcfsSource({ host: host.host, runtimes: () => [] });
    const switchesBefore = host.truth().host.contextSwitches;
    await read(source, 'vcpu_usage');
    let switches = 0;
    for (let step = 0; step < 30; step += 1) {
      await clock.advance(1_000);
      host.step();
      const [cpu] = await read(source, 'vcpu_usage');
      const [memory] = await read(source, 'memory_info');
      const truth = host.truth().host;
      switches += cpu?.data.context_switch_count ?? NaN;
      const seconds = CPU_MODES.map((_, mode) =>
        truth.vcpuSeconds.reduce((sum, modes) => sum + Math.floor((modes[mode] ?? 0) * 100) / 100, 0),
      );
      expect(Object.values(cpu?.data.cpu_time ?? {})).toEqual(seconds.map((value) => expect.closeTo(value, 6)));
      expect(memory?.data.memory_used_bytes).toBe(
        (Math.floor(truth.memoryTotalBytes / 1024) - Math.floor(truth.memoryFreeBytes / 1024)) * 1024,
      );
    }
    expect(switches).toBe(host.truth().host.contextSwitches - switchesBefore);
  });

  test('finds the Neuron processes and no others, with their tags and containers', async () => {
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

test('the metadata service says who the instance is', async () => {
  await using machine = await virtualMachine('inf1.6xlarge', { imds: true });
  const { host } = machine;
  await using source = createImdsSource({ host: host.host, ...(host.imdsEndpoint !== undefined && { endpoint: host.imdsEndpoint }) });
  const { identity } = host.truth();
  await read(source, 'instance_info').catch(() => []);
  await expect
    .poll(async () => (await read(source, 'instance_info'))[0]?.data)
    .toMatchObject({
      instance_id: identity.instanceId,
      instance_type: 'inf1.6xlarge',
      instance_name: identity.name,
      instance_region: identity.region,
      instance_availability_zone: identity.availabilityZone,
      instance_availability_zone_id: identity.availabilityZoneId,
      ami_id: identity.amiId,
      subnet_id: identity.subnetId,
    });
});
