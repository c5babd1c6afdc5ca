import { connectedDevices } from './instances.ts';
import type { InstanceSpec } from './instances.ts';
import { MemoryAccount } from './memory.ts';
import type { Random } from './random.ts';
import { COUNTER_COUNT, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { CoreTruth, CoreWork, DeviceTruth, EccTruth, PowerTruth, ProcessCoreTruth } from './truth.ts';

export class CoreState implements CoreTruth {
  readonly counters = new BigUint64Array(COUNTER_COUNT);
  readonly releasedCounters = new BigUint64Array(COUNTER_COUNT);
  readonly memory = new MemoryAccount(DEVICE_MEMORY_CATEGORIES.length);
}

export type MutableEcc = { -readonly [K in keyof EccTruth]: number };

const DRIVER_MEMORY = DEVICE_MEMORY_CATEGORIES.indexOf('driver_memory');
const HOST_DRIVER_MEMORY = HOST_MEMORY_CATEGORIES.indexOf('driver_memory');
const DRIVER_BYTES_PER_CORE = 1_064_960;
const DRIVER_HOST_BYTES = 2_097_152;
/** The driver's health tick is 50 ms. */
const HEARTBEATS_PER_SECOND = 20;
/** Percent of maximum power of an idle device, and of one whose cores are all busy at full efficiency. */
const POWER_IDLE = 0.6;
const POWER_FULL = 92;

/** One device: its cores, its memory, its error counters, its power samples. */
export class DeviceState implements DeviceTruth {
  readonly index: number;
  readonly serialNumber: string;
  readonly connected: readonly number[];
  readonly cores: readonly CoreState[];
  readonly hostMemory = new MemoryAccount(HOST_MEMORY_CATEGORIES.length);
  readonly slabs = new Slabs();
  ecc: MutableEcc = noErrors();
  power: PowerTruth | undefined;
  unhealthyComponents: readonly string[] = [];
  heartbeat = 0;
  hardwareErrorEvents = 0;
  resetRequests = 0;
  resetting = false;
  /** Power demand of this tick, 0…1 of full, added up by the processes. */
  demand = 0;
  readonly #random: Random;
  #powerMinute: { readonly epochSeconds: number; sum: number; min: number; max: number; samples: number } | undefined;

  constructor(index: number, spec: InstanceSpec, random: Random) {
    this.index = index;
    this.serialNumber = random.hex(16);
    this.connected = connectedDevices(spec, index);
    this.cores = Array.from({ length: spec.physicalCoresPerDevice }, () => new CoreState());
    this.#random = random;
    for (const core of this.cores) core.memory.change(DRIVER_MEMORY, DRIVER_BYTES_PER_CORE);
    this.hostMemory.change(HOST_DRIVER_MEMORY, DRIVER_HOST_BYTES);
  }

  tick(dtSeconds: number, epochMs: number): void {
    this.heartbeat += Math.round(HEARTBEATS_PER_SECOND * dtSeconds);
    const noise = Math.abs(this.#random.normal()) * 0.4;
    this.#samplePower(POWER_IDLE + noise + (POWER_FULL - POWER_IDLE) * Math.min(1, this.demand), epochMs);
    this.demand = 0;
  }

  /** Kernel counters and firmware counters start again; reset requests are the driver's own and stay. */
  reset(): void {
    this.resetRequests += 1;
    this.ecc = noErrors();
    this.unhealthyComponents = [];
    this.slabs.wipe();
    for (const core of this.cores) {
      core.counters.fill(0n);
      core.releasedCounters.fill(0n);
    }
  }

  /** The driver publishes a minute when it is over, if it has at least 60 samples of it. */
  #samplePower(percent: number, epochMs: number): void {
    const minuteEnd = Math.floor(epochMs / 60_000) * 60 + 60;
    const minute = this.#powerMinute;
    if (minute !== undefined && minute.epochSeconds === minuteEnd) {
      minute.sum += percent;
      minute.min = Math.min(minute.min, percent);
      minute.max = Math.max(minute.max, percent);
      minute.samples += 1;
      return;
    }
    if (minute !== undefined && minute.samples >= 60) {
      const { epochSeconds, min, max, sum, samples } = minute;
      this.power = { epochSeconds, min: hundredths(min), max: hundredths(max), average: hundredths(sum / samples) };
    }
    this.#powerMinute = { epochSeconds: minuteEnd, sum: percent, min: percent, max: percent, samples: 1 };
  }
}

function noErrors(): MutableEcc {
  return { memoryCorrected: 0, memoryUncorrected: 0, memoryRepairableUncorrected: 0, sramCorrected: 0, sramUncorrected: 0 };
}

function hundredths(percent: number): number {
  return Math.round(percent * 100) / 100;
}

/** Physical core → what it counted in one datastore. */
export type SlabCounts = ReadonlyMap<number, CoreWork>;

/** Slots for processes of one device. */
const SLABS = 16;

/**
 * The memory of one device's datastores. The counters of cores stay in it when a process ends, and the next owner finds them: the
 * slot that was given back the longest time ago is the next one taken (drivers since 2.30.2).
 */
export class Slabs {
  #free: SlabCounts[] = Array.from({ length: SLABS }, () => new Map());

  /** Returns the counts in the slot that a process gets. */
  take(): SlabCounts {
    return this.#free.shift() ?? new Map();
  }

  giveBack(found: SlabCounts, cores: readonly ProcessCoreTruth[]): void {
    const left = new Map(found);
    for (const core of cores) left.set(core.physicalCore, workOf(core, found.get(core.physicalCore)));
    this.#free.push(left);
  }

  wipe(): void {
    this.#free = this.#free.map(() => new Map());
  }
}

function workOf(core: ProcessCoreTruth, before: CoreWork | undefined): CoreWork {
  const counters = BigUint64Array.from({ length: COUNTER_COUNT }, (_, i) => (core.counters[i] ?? 0n) + (before?.counters[i] ?? 0n));
  const last = core.lastTotalSeconds === 0 && before !== undefined ? before : core;
  return { counters, lastDeviceSeconds: last.lastDeviceSeconds, lastTotalSeconds: last.lastTotalSeconds };
}
