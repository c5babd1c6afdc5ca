import type { DeviceCore, DeviceCounters, DeviceErrors, DeviceFacts, DeviceHealth, NumberMap } from '../../src/readings.ts';
import type { SourceFailure } from '../../src/source.ts';
import type { UnitFromTime } from '../busy-time.ts';
import { CoreActivity, MAX_BELIEVABLE_BYTES, readCore, readMemory } from './core-reader.ts';
import { ErrorCounter, HealthState, PowerSchedule, parsePower } from './device-state.ts';
import { parseFacts } from './facts.ts';
import type { FactFile } from './files.ts';
import { allFiles, takeInventory } from './inventory.ts';
import type { Inventory, SysfsDetail } from './inventory.ts';
import type { NodeReader } from './node-file.ts';
import { Sweep } from './sweep.ts';
import type { SysfsGroup } from './sweep.ts';
import { findEntries, inodeOf } from './walk.ts';
import type { DeviceDirectory, FoundEntry } from './walk.ts';

export interface DeviceReaderOptions {
  readonly directory: DeviceDirectory;
  readonly reader: NodeReader;
  readonly unit: UnitFromTime;
  readonly detail: SysfsDetail;
}

/** The groups that are due. */
export interface DeviceRequest {
  readonly errors: boolean;
  readonly counters: boolean;
  /** The driver updates the datastore's counters while applications run, not only when they end. */
  readonly countersAreLive: boolean;
  readonly monotonicMs: number;
}

export interface DeviceSample {
  /** Each is absent when it was not asked for, and when the device was not there. */
  readonly errors?: DeviceErrors;
  readonly counters?: DeviceCounters;
  readonly failures: readonly SourceFailure[];
}

/**
 * A driver that is being loaded makes its nodes one after the other: a tree that was found is looked at again after ten seconds,
 * and from then on ever more rarely.
 */
const FIRST_RECHECK_MS = 10_000;
const LONGEST_RECHECK_MS = 600_000;

/** Serial number, firmware and the like are read anew this often. */
const FACTS_MS = 60_000;

/** `DeviceReader` reads one device, and keeps what rates, dips and health need from one reading to the next. */
export class DeviceReader {
  readonly directory: DeviceDirectory;
  readonly #options: DeviceReaderOptions;
  readonly #errors = new Map<string, ErrorCounter>();
  readonly #activities = new Map<number, CoreActivity>();
  readonly #health = new HealthState();
  readonly #power = new PowerSchedule();
  #inventory: Inventory;
  #treeHash: number;
  #inode: number | undefined;
  #recheckAtMs = -Infinity;
  #recheckMs = FIRST_RECHECK_MS;
  /** The last reading of the files of this inventory. */
  #before: DeviceCounters | undefined;
  #facts: DeviceFacts = {};
  #factsAtMs = -Infinity;
  #coreArchitecture: string | undefined;

  constructor(options: DeviceReaderOptions) {
    this.#options = options;
    this.directory = options.directory;
    this.#inode = inodeOf(this.directory.path);
    const files = findEntries(this.directory);
    this.#treeHash = hashOf(files);
    this.#inventory = takeInventory(files, this.#options.detail);
  }

  get inventory(): Inventory {
    return this.#inventory;
  }

  /** The facts of the last reading. */
  get facts(): DeviceFacts {
    return this.#facts;
  }

  /** Physical cores by `core_count`, else as many as have a directory (before 2.28 only root may read the count). */
  get coreCount(): number {
    return this.#facts.core_count ?? this.#inventory.cores.size;
  }

  /** `NCv3`. */
  get coreArchitecture(): string | undefined {
    return this.#coreArchitecture;
  }

  /** Reads the groups; when a file is gone, the tree is searched and everything is read once more. */
  read(request: DeviceRequest): DeviceSample {
    if (inodeOf(this.directory.path) !== this.#inode || this.#hasMoved(request.monotonicMs)) this.#search();
    const first = this.#tryRead(request);
    if (first !== undefined) return first;
    this.#search();
    return this.#tryRead(request) ?? { failures: [] };
  }

  /** Reads the facts. In older drivers some are for root only, so an unreadable one is no failure. Known facts survive a reset. */
  refreshFacts(monotonicMs: number): void {
    if (monotonicMs - this.#factsAtMs < FACTS_MS) return;
    this.#factsAtMs = monotonicMs;
    const quiet = this.#newSweep('neuron_device_counters');
    const texts = new Map<FactFile, string>();
    for (const [name, file] of this.#inventory.facts) {
      const text = quiet.text(file);
      if (text !== undefined) texts.set(name, text);
      this.#options.reader.release(file);
    }
    this.#facts = { ...this.#facts, ...parseFacts(texts) };
    const [core] = this.#inventory.cores.values();
    this.#coreArchitecture = quiet.text(core?.other.arch_type) ?? this.#coreArchitecture;
  }

  release(): void {
    for (const file of allFiles(this.#inventory)) this.#options.reader.release(file);
  }

  /** Undefined when the device, or a file of the inventory, is not there any more. */
  #tryRead(request: DeviceRequest): DeviceSample | undefined {
    if (this.#inode === undefined) return undefined;
    const ofErrors = this.#newSweep('neuron_hw_counters');
    const ofCounters = this.#newSweep('neuron_device_counters');
    const errors = request.errors ? this.#readErrors(ofErrors, request.monotonicMs) : undefined;
    const counters = request.counters ? this.#readCounters(ofCounters, request) : undefined;
    if (ofErrors.gone || ofCounters.gone) return undefined;
    return {
      ...(errors !== undefined && { errors: { neuron_device_index: this.directory.index, ecc: errors } }),
      ...(counters !== undefined && { counters }),
      failures: [...ofErrors.failures(), ...ofCounters.failures()],
    };
  }

  #newSweep(group: SysfsGroup): Sweep {
    return new Sweep(this.#options.reader, this.directory.index, group);
  }

  #search(): void {
    this.release();
    this.#inode = inodeOf(this.directory.path);
    const files = findEntries(this.directory);
    this.#treeHash = hashOf(files);
    this.#inventory = takeInventory(files, this.#options.detail);
    this.#before = undefined;
    this.#factsAtMs = -Infinity;
    this.#recheckAtMs = -Infinity;
    this.#recheckMs = FIRST_RECHECK_MS;
  }

  /** Searches the tree when it is time to; true when it has other entries than the inventory was taken of. */
  #hasMoved(monotonicMs: number): boolean {
    if (monotonicMs < this.#recheckAtMs) return false;
    const isFirst = this.#recheckAtMs === -Infinity;
    this.#recheckAtMs = monotonicMs + this.#recheckMs;
    if (isFirst) return false;
    this.#recheckMs = Math.min(LONGEST_RECHECK_MS, this.#recheckMs * 6);
    return hashOf(findEntries(this.directory)) !== this.#treeHash;
  }

  #readCounters(sweep: Sweep, { countersAreLive, monotonicMs }: DeviceRequest): DeviceCounters {
    const { hostMemory, irregular, power } = this.#inventory;
    sweep.irregular(irregular);
    this.refreshFacts(monotonicMs);
    if (power !== undefined && this.#power.isDue(monotonicMs)) this.#readPower(sweep, monotonicMs);
    const health = this.#readHealth(sweep, monotonicMs);
    const hostUsage = readMemory(sweep, hostMemory, this.#before?.device_host_memory);
    const hostPeaks = this.#options.detail.peaks
      ? sweep.counts(hostMemory.peaks, { before: this.#before?.device_host_memory_peak, max: MAX_BELIEVABLE_BYTES })
      : undefined;
    const sample = this.#power.current(monotonicMs);
    const cores = this.#readCores(sweep, countersAreLive, monotonicMs);
    const resetFailures = this.#readResetFailures(sweep);
    const counters: DeviceCounters = {
      neuron_device_index: this.directory.index,
      ...(Object.keys(this.#facts).length > 0 && { device_facts: this.#facts }),
      device_health: health,
      ...(sample !== undefined && { device_power: sample }),
      ...(hostUsage !== undefined && { device_host_memory: hostUsage }),
      ...(hostPeaks !== undefined && { device_host_memory_peak: hostPeaks }),
      ...(resetFailures !== undefined && { device_reset_failures: resetFailures }),
      ...(this.#inventory.cores.size > 0 && { device_cores: cores }),
    };
    this.#before = counters;
    return counters;
  }

  #readPower(sweep: Sweep, monotonicMs: number): void {
    const { power } = this.#inventory;
    const text = sweep.text(power);
    if (power === undefined || text === undefined) return;
    const answer = parsePower(text);
    if (answer.kind === 'malformed') sweep.malformed(power);
    this.#power.answered(answer, monotonicMs);
  }

  #readHealth(sweep: Sweep, monotonicMs: number): DeviceHealth {
    const { health } = this.#inventory;
    const components = health.get('unhealthy_components');
    const hw_error_events = sweep.count(health.get('hw_error_event'));
    const state: DeviceHealth =
      components === undefined
        ? { state: 'unknown', reason: 'not_reported', unhealthy_components: [] }
        : this.#health.next(sweep.text(components), sweep.text(health.get('healthcheck_heartbeat')), monotonicMs);
    return { ...state, ...(hw_error_events !== undefined && { hw_error_events }) };
  }

  #readErrors(sweep: Sweep, monotonicMs: number): NumberMap {
    const ecc: Record<string, number> = {};
    const { names, files } = this.#inventory.ecc;
    for (const [index, name] of names.entries()) {
      const value = sweep.count(files[index]);
      if (value === undefined) continue;
      let counter = this.#errors.get(name);
      if (counter === undefined) {
        counter = new ErrorCounter();
        this.#errors.set(name, counter);
      }
      const count = counter.next(value, monotonicMs);
      if (count !== undefined) ecc[name] = count;
    }
    return ecc;
  }

  #readCores(sweep: Sweep, countersAreLive: boolean, monotonicMs: number): Record<string, DeviceCore> {
    const cores: Record<string, DeviceCore> = {};
    for (const [index, files] of this.#inventory.cores) {
      let activity = this.#activities.get(index);
      if (activity === undefined) {
        activity = new CoreActivity(this.#options.unit);
        this.#activities.set(index, activity);
      }
      const before = this.#before?.device_cores?.[index];
      cores[index] = readCore(sweep, { files, before, activity, detail: this.#options.detail, countersAreLive, monotonicMs });
    }
    return cores;
  }

  /** The count is the device's; every core shows the same one. */
  #readResetFailures(sweep: Sweep): number | undefined {
    for (const core of this.#inventory.cores.values()) return sweep.count(core.other.reset_fail_count);
    return undefined;
  }
}

/** FNV-1a over the paths and kinds of the entries, 32 bits: a link that becomes a file is a change. */
function hashOf(files: readonly FoundEntry[]): number {
  let hash = 0x811c9dc5;
  for (const { path, kind } of files) {
    hash = Math.imul(hash ^ kind.charCodeAt(1), 0x01000193);
    for (let i = 0; i < path.length; i += 1) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  }
  return hash;
}
