import type { DatastorePlace, MappedDatastore } from './access.ts';
import type { BusyTimeCalibration } from './busy-time.ts';
import { decodeCounters, isDatastore } from './counters.ts';
import type { CoreCounters, DatastoreCounters } from './counters.ts';
import { CoreRateTracker, hasFallen, tallies } from './deltas.ts';
import { LatencyWatch, viewOf } from './latency.ts';
import type { SeenLatencies } from './latency.ts';
import { CORE_COUNTER, DEVICE_COUNTER, RECORDS_AT, RECORDS_END, USED_BYTES } from './layout.ts';
import { decodeRecords, recordsIn } from './records.ts';
import type { DatastoreRecords } from './records.ts';
import type { DeviceWork, MemoryKinds, NdsGroup, WorkFailure } from './work.ts';

/** One process's executions on one device. */
export interface DeviceExecutions {
  readonly periodSeconds: number;
  readonly summary: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly latencies: SeenLatencies;
}

export interface DatastoreReading {
  readonly records: DatastoreRecords;
  readonly work: DeviceWork;
  readonly executions?: DeviceExecutions;
}

export interface TrackedDatastoreOptions {
  readonly device: number;
  readonly pid: number;
  readonly place: DatastorePlace;
  readonly mapped: MappedDatastore;
  readonly coreCount: number;
  /** `USED_BYTES` to copy a datastore to; shared by all, used by one at a time. */
  readonly scratch: Uint8Array;
  /** Runtimes of one version share what is known about their unit of busy time. */
  readonly calibrationOf: (runtimeVersion: string | undefined) => BusyTimeCalibration;
}

/** More than any device has. */
const MAX_BELIEVABLE_BYTES = 2n ** 50n;

/** One datastore for as long as it has one owner: its mapping, and what was read last. */
export class TrackedDatastore {
  readonly place: DatastorePlace;
  readonly #options: TrackedDatastoreOptions;
  readonly #latency: LatencyWatch;
  #rates: CoreRateTracker | undefined;
  #executionsBefore: { readonly cores: readonly CoreCounters[]; readonly atMs: number } | undefined;
  #last: readonly CoreCounters[] | undefined;
  #wasSealed = false;
  #lastRecords: { readonly bytes: Buffer; readonly records: DatastoreRecords } | undefined;
  readonly #complaints = new Set<string>();

  constructor(options: TrackedDatastoreOptions) {
    this.#options = options;
    this.place = options.place;
    this.#latency = new LatencyWatch(options.mapped.memory.buffer, options.coreCount);
  }

  /** Looks whether executions completed; returns the most that any core completed since the last look. */
  poll(): number {
    this.#options.mapped.refresh();
    return this.#latency.poll();
  }

  /** Undefined when nothing can be believed now; why is reported once. */
  read(groups: ReadonlySet<NdsGroup>, atMs: number, failures: WorkFailure[]): DatastoreReading | undefined {
    const stable = this.#readStable(failures);
    const counters = stable === undefined ? undefined : decodeCounters(stable.bytes, this.#options.coreCount);
    if (stable === undefined || counters === undefined) return undefined;
    const { records } = stable;
    if (this.#last !== undefined && hasFallen(this.#last, counters.cores)) this.#beginAnew();
    this.#last = counters.cores;
    if (records.proof === 'unknown') this.#complain(failures, 'tag, versions and models are not where they should be and are left out');
    const memory = groups.has('memory_used') ? this.#memory(counters, records, failures) : undefined;
    const rates = groups.has('neuroncore_counters') ? this.#nextRates(counters.cores, records, atMs) : undefined;
    const executions = groups.has('execution_stats') ? this.#nextExecutions(counters.cores, atMs) : undefined;
    return {
      records,
      work: { device: this.#options.device, ...(memory !== undefined && { memory }), ...(rates !== undefined && { rates }) },
      ...(executions !== undefined && { executions }),
    };
  }

  /** The mapping must not be touched after this. */
  unmap(): void {
    this.#options.mapped.unmap();
  }

  /**
   * Header and records must be the same before and after the counters were copied, and have their checksums if they ever had;
   * tried twice.
   */
  #readStable(failures: WorkFailure[]): { readonly bytes: Uint8Array; readonly records: DatastoreRecords } | undefined {
    const { mapped, scratch: bytes } = this.#options;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      mapped.refresh();
      bytes.set(mapped.memory.subarray(0, USED_BYTES));
      if (!isDatastore(bytes)) {
        this.#complain(failures, 'is no datastore: the signature is missing');
        return undefined;
      }
      mapped.refresh();
      if (!isSame(bytes, mapped.memory, 0, 8) || !isSame(bytes, mapped.memory, RECORDS_AT, RECORDS_END)) continue;
      const records = this.#decodeRecords(bytes);
      if (this.#wasSealed && records.proof !== 'sealed') continue;
      this.#wasSealed = records.proof === 'sealed';
      return { bytes, records };
    }
    failures.push({ code: 'source_stale', message: `${this.#name()} changed while it was read, twice` });
    return undefined;
  }

  /** Records hardly ever change; comparing them is much cheaper than checking their sums. */
  #decodeRecords(bytes: Uint8Array): DatastoreRecords {
    const last = this.#lastRecords;
    const now = recordsIn(bytes);
    if (last !== undefined && last.bytes.equals(now)) return last.records;
    const records = decodeRecords(bytes);
    this.#lastRecords = { bytes: now, records };
    return records;
  }

  #beginAnew(): void {
    this.#rates = undefined;
    this.#executionsBefore = undefined;
    this.#latency.take();
  }

  #memory(counters: DatastoreCounters, { models }: DatastoreRecords, failures: WorkFailure[]): DeviceWork['memory'] {
    const host = kindsOf(counters.device, [
      DEVICE_COUNTER.codeHostBytes,
      DEVICE_COUNTER.tensorsHostBytes,
      DEVICE_COUNTER.constantsHostBytes,
      DEVICE_COUNTER.scratchpadHostBytes,
      DEVICE_COUNTER.miscHostBytes,
    ]);
    const cores = counters.cores.map((core) =>
      kindsOf(core.counters, [
        CORE_COUNTER.codeBytes,
        CORE_COUNTER.tensorsBytes,
        CORE_COUNTER.constantsBytes,
        CORE_COUNTER.scratchpadBytes,
        CORE_COUNTER.miscBytes,
      ]),
    );
    const believable = cores.filter((core) => core !== undefined);
    if (host !== undefined && believable.length === cores.length) return { host, cores: believable, models };
    this.#complain(failures, 'states more memory than there can be');
    return undefined;
  }

  #nextRates(cores: readonly CoreCounters[], { runtimeVersion }: DatastoreRecords, atMs: number): DeviceWork['rates'] {
    this.#rates ??= new CoreRateTracker(this.#options.calibrationOf(runtimeVersion), this.#options.coreCount);
    return this.#rates.next(cores, atMs);
  }

  #nextExecutions(cores: readonly CoreCounters[], atMs: number): DeviceExecutions | undefined {
    const before = this.#executionsBefore;
    this.#executionsBefore = { cores, atMs };
    // Completed since the last look of the poll, and part of the same copy: as many as the tallies count.
    this.#latency.poll(viewOf(this.#options.scratch.buffer));
    const latencies = this.#latency.take();
    if (before === undefined || atMs <= before.atMs) return undefined;
    return { periodSeconds: (atMs - before.atMs) / 1_000, ...tallies(before.cores, cores), latencies };
  }

  #complain(failures: WorkFailure[], what: string): void {
    if (this.#complaints.has(what)) return;
    this.#complaints.add(what);
    failures.push({ code: 'source_malformed', message: `${this.#name()} ${what}` });
  }

  #name(): string {
    return `datastore of process ${this.#options.pid} on neuron${this.#options.device}`;
  }
}

function kindsOf(counters: BigUint64Array, ids: readonly number[]): MemoryKinds | undefined {
  const [code, tensors, constants, scratchpad, misc] = ids.map((id) => counters[id]).map((bytes) => believableBytes(bytes));
  if (code === undefined || tensors === undefined || constants === undefined || scratchpad === undefined || misc === undefined)
    return undefined;
  return { code, tensors, constants, scratchpad, misc };
}

function believableBytes(bytes: bigint | undefined): number | undefined {
  return bytes === undefined || bytes > MAX_BELIEVABLE_BYTES ? undefined : Number(bytes);
}

function isSame(copy: Uint8Array, memory: Uint8Array, from: number, to: number): boolean {
  return Buffer.from(copy.buffer, copy.byteOffset, copy.byteLength).compare(memory, from, to, from, to) === 0;
}
