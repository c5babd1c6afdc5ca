import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createSysfsSource } from '../../../sources/sysfs/source.ts';
import type { SysfsOptions } from '../../../sources/sysfs/source.ts';
import type { Host } from '../../../src/host.ts';
import type { LogFields, Logger } from '../../../src/log.ts';
import type { DeviceCore, DeviceCounters, DeviceErrors, MetricGroup, NeuronDeviceCounters } from '../../../src/readings.ts';
import type { PullSource, ReadingBatch } from '../../../src/source.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { scratchDirectory } from '../../support/scratch.ts';

/** A sysfs tree that a test writes, the source that reads it, and time in between. */
export class SysfsTest {
  readonly clock = new ManualClock();
  readonly logged: string[] = [];
  readonly source: PullSource;
  readonly root: string;
  readonly #scratch = scratchDirectory();

  constructor(options: Partial<Omit<SysfsOptions, 'host' | 'logger'>> & { readonly root?: string } = {}) {
    const { root, ...rest } = options;
    this.root = root ?? this.#scratch.path;
    this.source = createSysfsSource({ host: this.host, logger: this.#logger(), ...rest });
  }

  get host(): Host {
    const nowhere = join(this.#scratch.path, 'nowhere');
    return { clock: this.clock, env: {}, sysRoot: this.root, procRoot: nowhere, devRoot: nowhere, fsRoot: nowhere };
  }

  /** Writes files by their path below `/sys`. */
  write(files: Readonly<Record<string, string>>): void {
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.root, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content, 'latin1');
    }
  }

  /** Writes files of one device by their path below its directory. */
  writeDevice(index: number, files: Readonly<Record<string, string>>): void {
    this.write(Object.fromEntries(Object.entries(files).map(([path, content]) => [`${deviceRoot(index)}/${path}`, content])));
  }

  read(...groups: readonly MetricGroup[]): Promise<ReadingBatch> {
    const wanted = groups.length === 0 ? (['neuron_hw_counters', 'neuron_device_counters'] as const) : groups;
    return Promise.resolve(this.source.read(new Set(wanted), new AbortController().signal));
  }

  /** Lets a second pass, then reads. */
  async readLater(afterMs = 1_000): Promise<ReadingBatch> {
    await this.clock.advance(afterMs);
    return this.read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
    this.#scratch[Symbol.dispose]();
  }

  #logger(): Logger {
    const log = (fields: LogFields, message: string): void => void this.logged.push(`${message} ${JSON.stringify(fields)}`);
    const logger: Logger = { debug: () => {}, info: log, warn: log, error: log, child: () => logger };
    return logger;
  }
}

export function deviceRoot(index: number): string {
  return `devices/virtual/neuron_device/neuron${index}`;
}

/** What both groups say of a device. */
export type DeviceState = DeviceErrors & DeviceCounters;

export interface DevicesState extends Omit<NeuronDeviceCounters, 'neuron_devices'> {
  readonly neuron_devices: readonly DeviceState[];
}

export function dataOf(batch: ReadingBatch): DevicesState {
  for (const reading of batch.readings) {
    if (reading.group !== 'neuron_device_counters') continue;
    const errors = new Map(errorsOf(batch).map(({ neuron_device_index, ecc }) => [neuron_device_index, ecc]));
    const { neuron_devices: devices = [], ...rest } = reading.data;
    return { ...rest, neuron_devices: devices.map((device) => ({ ...device, ecc: errors.get(device.neuron_device_index) ?? {} })) };
  }
  throw new Error('no reading of neuron_device_counters');
}

function errorsOf(batch: ReadingBatch): readonly DeviceErrors[] {
  return batch.readings.flatMap((reading) => (reading.group === 'neuron_hw_counters' ? (reading.data.neuron_devices ?? []) : []));
}

/** Seconds that the rates of the batch cover. */
export function periodOf(batch: ReadingBatch): number | undefined {
  return batch.readings.find(({ group }) => group === 'neuron_device_counters')?.periodSeconds;
}

export function deviceOf(batch: ReadingBatch, index = 0): DeviceState {
  const device = dataOf(batch).neuron_devices.find(({ neuron_device_index }) => neuron_device_index === index);
  if (device === undefined) throw new Error(`no device ${index}`);
  return device;
}

export function coreOf(batch: ReadingBatch, core = 0, device = 0): DeviceCore {
  const found = deviceOf(batch, device).device_cores?.[core];
  if (found === undefined) throw new Error(`no core ${core}`);
  return found;
}

/** What went wrong, in order: code and message. */
export function failuresOf(batch: ReadingBatch): readonly string[] {
  return batch.failures.map(({ error }) => `${error.code}: ${error.message}`);
}
