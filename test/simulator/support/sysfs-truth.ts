import { expect } from 'vitest';
import { createSysfsSource } from '../../../sources/sysfs/source.ts';
import type { VirtualInstanceType } from '../../../simulator/instances.ts';
import { createVirtualHost } from '../../../simulator/virtual-host.ts';
import type { VirtualHost, VirtualHostOptions } from '../../../simulator/virtual-host.ts';
import { DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from '../../../simulator/truth.ts';
import type { DeviceTruth, MemoryTruth } from '../../../simulator/truth.ts';
import { silentLogger } from '../../../src/log.ts';
import type { AnyGroupReading, DeviceCounters, DeviceErrors, MetricGroup, NumberMap } from '../../../src/readings.ts';
import type { PullSource } from '../../../src/source.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { scratchDirectory } from '../../support/scratch.ts';

/** A simulated host in a folder of its own, and the clock that both follow. */
export interface VirtualMachine extends AsyncDisposable {
  readonly host: VirtualHost;
  readonly clock: ManualClock;
}

export async function virtualMachine(
  instanceType: VirtualInstanceType,
  options: Partial<VirtualHostOptions> = {},
): Promise<VirtualMachine> {
  const scratch = scratchDirectory();
  const clock = new ManualClock();
  const host = await createVirtualHost({ instanceType, seed: 9, directory: scratch.path, clock, ...options });
  return {
    host,
    clock,
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    },
  };
}

export async function read<G extends MetricGroup>(
  source: PullSource,
  group: G,
): Promise<readonly Extract<AnyGroupReading, { readonly group: G }>[]> {
  const batch = await source.read(new Set<MetricGroup>([group]), new AbortController().signal);
  expect(batch.failures.map(({ error }) => error.message)).toEqual([]);
  return batch.readings.filter((reading): reading is Extract<AnyGroupReading, { readonly group: G }> => reading.group === group);
}

export async function readDevices(source: PullSource): Promise<readonly (DeviceCounters & DeviceErrors)[]> {
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

/** Reads five minutes of a simulated host through sysfs, and expects each reading to be what the simulator did. */
export async function expectSysfsToBeTrue(instanceType: VirtualInstanceType): Promise<void> {
  await using machine = await virtualMachine(instanceType);
  const { host, clock } = machine;
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
}
