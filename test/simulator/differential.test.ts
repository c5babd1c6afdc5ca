import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createImdsSource } from '../../sources/imds/source.ts';
import { DatastoreCounters } from '../../sources/nds/counters.ts';
import { coreCounterAt } from '../../sources/nds/layout.ts';
import { decodeRecords } from '../../sources/nds/records.ts';
import { viewOf } from '../../sources/nds/view.ts';
import { createProcessInspector } from '../../sources/processes/inspector.ts';
import { createProcfsSource } from '../../sources/procfs/source.ts';
import { createSysfsSource } from '../../sources/sysfs/source.ts';
import { encodeDatastore } from '../../simulator/datastore.ts';
import { VIRTUAL_INSTANCE_TYPES } from '../../simulator/instances.ts';
import type { VirtualInstanceType } from '../../simulator/instances.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import type { VirtualHost, VirtualHostOptions } from '../../simulator/virtual-host.ts';
import { CPU_MODES, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from '../../simulator/truth.ts';
import type { DeviceTruth, MemoryTruth } from '../../simulator/truth.ts';
import { silentLogger } from '../../src/log.ts';
import type { AnyGroupReading, DeviceCounters, DeviceErrors, MetricGroup, NumberMap } from '../../src/readings.ts';
import type { PullSource } from '../../src/source.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { scratchDirectory } from '../support/scratch.ts';

let scratch: ReturnType<typeof scratchDirectory>;
let clock: ManualClock;

beforeEach(() => {
  scratch = scratchDirectory();
  clock = new ManualClock();
});

afterEach(() => scratch[Symbol.dispose]());

function virtualHost(instanceType: VirtualInstanceType, options: Partial<VirtualHostOptions> = {}): Promise<VirtualHost> {
  return createVirtualHost({ instanceType, seed: 9, directory: scratch.path, clock, ...options });
}

async function read<G extends MetricGroup>(
  source: PullSource,
  group: G,
): Promise<readonly Extract<AnyGroupReading, { readonly group: G }>[]> {
  const batch = await source.read(new Set<MetricGroup>([group]), new AbortController().signal);
  expect(batch.failures.map(({ error }) => error.message)).toEqual([]);
  return batch.readings.filter((reading): reading is Extract<AnyGroupReading, { readonly group: G }> => reading.group === group);
}

async function readDevices(source: PullSource): Promise<readonly (DeviceCounters & DeviceErrors)[]> {
  const [errors] = await read(source, 'neuron_hw_counters');
  const [counters] = await read(source, 'neuron_device_counters');
  const ecc = new Map(errors?.data.neuron_devices?.map((device) => [device.neuron_device_index, device.ecc]));
  return (counters?.data.neuron_devices ?? []).map((device) => ({ ...device, ecc: ecc.get(device.neuron_device_index) ?? {} }));
}

function named(categories: readonly string[], bytes: MemoryTruth['bytes']): NumberMap {
  return Object.fromEntries(categories.map((category, i) => [category, bytes[i] ?? NaN]));
}

/** Counters of physical cores that the reading states as totals. */
function truthOfCore(device: DeviceTruth, core: number): Readonly<Record<string, unknown>> {
  const state = device.cores[core];
  const counter = (id: number): number => Number(state?.counters[id]);
  return {
    memory: named(DEVICE_MEMORY_CATEGORIES, state?.memory.bytes ?? new Float64Array()),
    memory_peak: named(DEVICE_MEMORY_CATEGORIES, state?.memory.peakBytes ?? new Float64Array()),
    executions: {
      completed: counter(1),
      completed_with_err: counter(2),
      completed_with_num_err: counter(3),
      timed_out: counter(4),
      incorrect_input: counter(5),
      failed_to_queue: counter(6),
    },
    model_loads: counter(27),
    reset_requests: device.resetRequests,
  };
}

/** What was read of work, added up over all intervals, beside what the model did in the same intervals. */
class WorkLedger {
  readonly busySeconds = { read: 0, true: 0 };
  readonly flop = { read: 0, true: 0 };
  #before: readonly bigint[] = [];

  add(core: { readonly utilization?: number; readonly flops?: number }, counters: BigUint64Array, seconds: number): void {
    const before = this.#before;
    this.#before = [counters[0] ?? 0n, counters[29] ?? 0n];
    const [busy = 0n, macs = 0n] = this.#before.map((value, i) => value - (before[i] ?? 0n));
    // A reset in between: nothing can be read, so nothing is compared.
    if (before.length === 0 || busy < 0n || core.flops === undefined) return;
    this.busySeconds.true += Number(busy) / 1e12;
    this.flop.true += 2 * Number(macs);
    this.busySeconds.read += ((core.utilization ?? 0) * seconds) / 100;
    this.flop.read += core.flops * seconds;
  }
}

describe.each(VIRTUAL_INSTANCE_TYPES)('what sysfs reads of %s', (instanceType) => {
  test('is what is true, through incidents and resets', async () => {
    await using host = await virtualHost(instanceType);
    await using source = createSysfsSource({ host: host.host, logger: silentLogger, detail: { peaks: true, events: false } });
    const ledgers = new Map<string, WorkLedger>();
    for (let step = 0; step < 75; step += 1) {
      await clock.advance(4_000);
      host.step();
      const { devices } = host.truth();
      const readings = await readDevices(source);
      expect(readings).toHaveLength(devices.length);
      for (const [i, reading] of readings.entries()) {
        const device = devices[i];
        if (device === undefined) throw new Error('no such device');
        expect(reading.device_host_memory).toEqual(named(HOST_MEMORY_CATEGORIES, device.hostMemory.bytes));
        for (const [index, { utilization, flops, ...totals }] of Object.entries(reading.device_cores ?? {})) {
          expect(totals).toEqual(truthOfCore(device, Number(index)));
          expect(utilization ?? 0).toBeLessThanOrEqual(100);
          const key = `${i}/${index}`;
          const ledger = ledgers.get(key) ?? new WorkLedger();
          ledgers.set(key, ledger);
          const rates = { ...(utilization !== undefined && { utilization }), ...(flops !== undefined && { flops }) };
          ledger.add(rates, device.cores[Number(index)]?.counters ?? new BigUint64Array(), 4);
        }
      }
    }
    expect(ledgers.size).toBe(host.truth().instance.deviceCount * host.truth().instance.physicalCoresPerDevice);
    expect(Math.max(...[...ledgers.values()].map(({ busySeconds }) => busySeconds.true))).toBeGreaterThan(60);
    for (const [key, { busySeconds, flop }] of ledgers) {
      expect(Math.abs(flop.read - flop.true) / Math.max(1, flop.true), key).toBeLessThan(1e-9);
      // Time of the last execution of a batch job may still wait to be spread: never more than an execution has.
      expect(Math.abs(busySeconds.read - busySeconds.true), key).toBeLessThan(3);
    }
  });
});

test('what sysfs reads of errors, health and power is what is true', async () => {
  await using host = await virtualHost('trn2.48xlarge', { seed: 2 });
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
  await using host = await virtualHost('trn1.32xlarge', { driverVersion: '2.24.7.0' });
  await using source = createSysfsSource({ host: host.host, logger: silentLogger, detail: { peaks: false, events: true } });
  for (let step = 0; step < 40; step += 1) {
    await clock.advance(5_000);
    host.step();
    for (const device of await readDevices(source)) {
      for (const core of Object.values(device.device_cores ?? {}))
        expect([core.utilization, core.flops, core.executions]).toEqual([undefined, undefined, undefined]);
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
    clock = new ManualClock();
    await using host = await virtualHost('trn2.3xlarge', { timeUnit });
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
    await using host = await virtualHost('trn2.3xlarge');
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
    await using host = await virtualHost('trn2.48xlarge');
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
  await using host = await virtualHost('trn2.48xlarge');
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
  await using host = await virtualHost('inf1.6xlarge', { imds: true });
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
