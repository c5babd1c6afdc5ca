import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AgentError } from '../../src/errors.ts';
import { errnoName, fileError } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { AnyGroupReading, DeviceCounters, DeviceErrors, DeviceHealth, MetricGroup, NeuronHardwareInfo } from '../../src/readings.ts';
import type { PullSource, ReadingBatch, SourceFailure } from '../../src/source.ts';
import { neuronHardwareInfo } from '../hardware/hardware-info.ts';
import { deviceFinding, failureOf } from '../visibility.ts';
import { UnitFromTime } from '../busy-time.ts';
import { DeviceReader } from './device-reader.ts';
import { Driver, readUltraserver } from './facts.ts';
import type { SysfsDetail } from './inventory.ts';
import { NodeReader } from './node-file.ts';
import type { SysfsGroup } from './sweep.ts';
import { findDevices } from './walk.ts';
import type { DeviceDirectory } from './walk.ts';

export interface SysfsOptions {
  readonly host: Host;
  readonly logger: Logger;
  readonly detail?: SysfsDetail;
  /** Physical cores that form one logical core on this host, where something says so: sysfs does not. */
  readonly logicalCoreConfig?: () => number | undefined;
  /** Descriptors kept open at most; half of what the process may open by default. */
  readonly maxKeptFiles?: number;
}

const GROUPS: ReadonlySet<MetricGroup> = new Set(['neuron_hw_counters', 'neuron_device_counters', 'neuron_hardware_info']);
/** Counters that came with driver 2.30.2. */
const CORRECTED_ERRORS = ['mem_ecc_corrected', 'sram_ecc_corrected'] as const;
const NO_GROUPS: ReadonlySet<MetricGroup> = new Set();
/** A sweep hands the event loop back this often. */
const SLICE_MS = 4;
const FALLBACK_KEPT_FILES = 8_192;
const MAX_KEPT_FILES = 16_384;

/**
 * Device-wide counters and hardware facts from the Neuron driver's sysfs tree under `host.sysRoot`, for drivers 2.8 and later.
 * It only reads, and opens no file that a read could change. A bad file costs its own value; `read` never rejects for data.
 */
export function createSysfsSource(options: SysfsOptions): PullSource {
  return new SysfsSource(options);
}

class SysfsSource implements PullSource {
  readonly kind = 'pull';
  readonly id = 'sysfs';
  readonly #options: SysfsOptions;
  readonly #host: Host;
  readonly #logger: Logger;
  readonly #detail: SysfsDetail;
  readonly #reader: NodeReader;
  readonly #driver: Driver;
  /** Readers of the devices that are there now, by index. */
  #devices: ReadonlyMap<number, DeviceReader> = new Map();
  /** Readers of all devices since the driver was loaded. */
  readonly #readers = new Map<number, DeviceReader>();
  /** Indexes of devices that were there and are not. */
  readonly #gone = new Set<number>();
  readonly #newlyGone: SourceFailure[] = [];
  readonly #health = new Map<number, string>();
  #unit = new UnitFromTime();
  readonly #readAtMs = new Map<SysfsGroup, number>();

  constructor(options: SysfsOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#logger = options.logger.child({ component: 'sysfs' });
    this.#detail = options.detail ?? { peaks: false, events: false };
    this.#reader = new NodeReader(options.maxKeptFiles ?? keptFileBudget(options.host));
    this.#driver = new Driver(options.host.sysRoot);
  }

  /** No group without a driver; when the tree may not be listed, all of them, so that reading fails and names the reason. */
  groups(): ReadonlySet<MetricGroup> {
    const failures: SourceFailure[] = [];
    const directories = this.#find(failures);
    this.#follow(directories);
    return directories.length > 0 || failures.length > 0 || this.#newlyGone.length > 0 ? GROUPS : NO_GROUPS;
  }

  async read(groups: ReadonlySet<MetricGroup>, signal: AbortSignal): Promise<ReadingBatch> {
    const sampledAtMs = this.#host.clock.nowMs();
    const failures: SourceFailure[] = [];
    this.#follow(this.#find(failures));
    failures.push(...this.#newlyGone.splice(0));
    const readings: AnyGroupReading[] = [];
    readings.push(...(await this.#readDevices(groups, failures, signal)));
    if (groups.has('neuron_hardware_info')) readings.push({ group: 'neuron_hardware_info', data: this.#hardwareInfo() });
    return { source: this.id, sampledAtMs, readings, failures };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.releaseAll();
    this.#devices = new Map();
    this.#readers.clear();
  }

  #find(failures: SourceFailure[]): readonly DeviceDirectory[] {
    try {
      const devices = findDevices(this.#host.sysRoot);
      const finding = devices.length === 0 ? deviceFinding(this.#host) : undefined;
      if (finding?.is === 'hidden') failures.push({ error: failureOf(finding, this.id), group: 'neuron_hw_counters' });
      return devices;
    } catch (thrown) {
      failures.push({ error: fileError(thrown, this.id), group: 'neuron_hw_counters' });
      return [];
    }
  }

  /** Makes the readers follow the devices that are there now; after a reload of the driver all begin anew. */
  #follow(directories: readonly DeviceDirectory[]): void {
    if (this.#driver.check()) {
      if (this.#readers.size > 0 && directories.length > 0) this.#logger.info({ version: this.#driver.version }, 'driver was loaded anew');
      this.#reader.releaseAll();
      this.#readers.clear();
      this.#unit = new UnitFromTime();
    }
    const now = new Map<number, DeviceReader>();
    for (const directory of directories) now.set(directory.index, this.#readerOf(directory));
    this.#noteChange(now);
    for (const [index, reader] of this.#devices) if (now.get(index) !== reader) reader.release();
    this.#devices = now;
  }

  /** A device that was away for a while keeps its reader: what it counted before it went is not counted again. */
  #readerOf(directory: DeviceDirectory): DeviceReader {
    const known = this.#readers.get(directory.index);
    if (known?.directory.path === directory.path) return known;
    const reader = new DeviceReader({ directory, reader: this.#reader, unit: this.#unit, detail: this.#detail });
    this.#readers.set(directory.index, reader);
    return reader;
  }

  /** Devices that left, and devices that came back, are one log line each; those that left are a failure as well, which is counted. */
  #noteChange(now: ReadonlyMap<number, DeviceReader>): void {
    const gone = [...this.#devices.keys()].filter((index) => !now.has(index));
    const back = [...now.keys()].filter((index) => this.#gone.has(index));
    for (const index of gone) this.#gone.add(index);
    for (const index of back) this.#gone.delete(index);
    if (back.length > 0) this.#logger.info({ devices: back }, 'devices are back');
    if (gone.length === 0) return;
    this.#logger.warn({ devices: gone }, 'devices are gone');
    const error = new AgentError('source_absent', this.id, 'devices are gone', { details: { devices: gone } });
    this.#newlyGone.push({ error, group: 'neuron_device_counters', isLogged: true });
  }

  async #readDevices(
    groups: ReadonlySet<MetricGroup>,
    failures: SourceFailure[],
    signal: AbortSignal,
  ): Promise<readonly AnyGroupReading[]> {
    const { clock } = this.#host;
    const [errors, counters] = [groups.has('neuron_hw_counters'), groups.has('neuron_device_counters')];
    if (!errors && !counters) return [];
    const startedAtMs = clock.monotonicMs();
    const found = { errors: [] as DeviceErrors[], counters: [] as DeviceCounters[] };
    const countersAreLive = this.#countersAreLive();
    let sliceAtMs = startedAtMs;
    for (const device of [...this.#devices.values()].toSorted((a, b) => a.directory.index - b.directory.index)) {
      const nowMs = clock.monotonicMs();
      if (nowMs - sliceAtMs >= SLICE_MS) {
        sliceAtMs = nowMs;
        await setImmediate();
      }
      if (signal.aborted) break;
      const sample = device.read({ errors, counters, countersAreLive, monotonicMs: clock.monotonicMs() });
      failures.push(...sample.failures);
      if (sample.errors !== undefined) found.errors.push(sample.errors);
      if (sample.counters !== undefined) found.counters.push(sample.counters);
    }
    return [
      ...(errors ? [this.#errorReading(found.errors, startedAtMs)] : []),
      ...(counters ? [this.#counterReading(found.counters, startedAtMs)] : []),
    ];
  }

  #errorReading(devices: readonly DeviceErrors[], startedAtMs: number): AnyGroupReading {
    const group = 'neuron_hw_counters';
    const inventories = [...this.#devices.values()].map((device) => device.inventory);
    const uncounted = CORRECTED_ERRORS.filter((name) => !inventories.some(({ ecc }) => ecc.has(name)));
    const isPartial = devices.length > 0 && uncounted.length > 0;
    const data = { neuron_devices: devices, counts: 'cumulative', ...(isPartial && { uncounted }) } as const;
    return { group, ...this.#period(group, startedAtMs), data };
  }

  #counterReading(devices: readonly DeviceCounters[], startedAtMs: number): AnyGroupReading {
    for (const device of devices) this.#noteHealth(device.neuron_device_index, device.device_health);
    const group = 'neuron_device_counters';
    const ultraserver = readUltraserver(this.#host.sysRoot);
    const { version } = this.#driver;
    return {
      group,
      ...this.#period(group, startedAtMs),
      data: {
        neuron_devices: devices,
        ...(version !== undefined && { driver_version: version }),
        ...(ultraserver !== undefined && { ultraserver }),
      },
    };
  }

  /** Since the last reading of the group. */
  #period(group: SysfsGroup, startedAtMs: number): { readonly periodSeconds?: number } {
    const before = this.#readAtMs.get(group);
    this.#readAtMs.set(group, startedAtMs);
    return before === undefined ? {} : { periodSeconds: (startedAtMs - before) / 1000 };
  }

  #countersAreLive(): boolean {
    const inventories = [...this.#devices.values()].map((device) => device.inventory);
    return this.#driver.countersAreLive(inventories.some(({ ecc }) => ecc.has('mem_ecc_corrected')));
  }

  #hardwareInfo(): NeuronHardwareInfo {
    const devices = [...this.#devices.values()];
    for (const device of devices) device.refreshFacts(this.#host.clock.monotonicMs());
    // All devices of a host are of one kind; one that is in reset may not say which.
    const named = devices.find((device) => device.facts.name !== undefined) ?? devices[0];
    if (named === undefined) return {};
    const { name, architecture } = named.facts;
    const { coreArchitecture, coreCount } = named;
    const logicalCoreConfig = this.#options.logicalCoreConfig?.();
    return {
      ...neuronHardwareInfo({
        deviceCount: devices.length,
        ...(name !== undefined && { deviceName: name }),
        ...(architecture !== undefined && { deviceArchitecture: architecture }),
        ...(coreArchitecture !== undefined && { coreArchitecture }),
        ...(coreCount > 0 && { physicalCores: coreCount }),
        ...(logicalCoreConfig !== undefined && { logicalCoreConfig }),
      }),
      neuron_device_indexes: devices.map(({ directory }) => directory.index),
    };
  }

  /** Health is logged when it changes. */
  #noteHealth(device: number, health: DeviceHealth | undefined): void {
    if (health === undefined || health.reason === 'not_reported') return;
    const { state, reason, unhealthy_components: components } = health;
    const now = [state, reason, ...components].join(' ');
    const before = this.#health.get(device);
    this.#health.set(device, now);
    if (before === now || (before === undefined && state === 'healthy')) return;
    const fields = { device, state, reason, components };
    if (state === 'healthy') this.#logger.info(fields, 'device is healthy again');
    else this.#logger.warn(fields, 'device is not healthy');
  }
}

/** Half of the descriptors this process may have: sockets and other sources need some too. */
function keptFileBudget(host: Host): number {
  let text = '';
  try {
    text = readFileSync(join(host.procRoot, 'self', 'limits'), 'latin1');
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
  }
  const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(text) ?? [];
  if (soft === undefined) return FALLBACK_KEPT_FILES;
  return soft === 'unlimited' ? MAX_KEPT_FILES : Math.min(MAX_KEPT_FILES, Math.floor(Number(soft) / 2));
}
