import type { DatastoreLocation, MappedDatastore } from './access.ts';
import type { UnitFromLatency } from '../busy-time.ts';
import { DatastoreCounters, memoryOf } from './counters.ts';
import { CoreRateTracker, TallyTracker, hasFallen } from './deltas.ts';
import type { Tallies } from './deltas.ts';
import { KnownRecords } from './records.ts';
import { LatencyWatch } from './latency.ts';
import type { SeenLatencies } from './latency.ts';
import { HEADER_BYTES, RECORDS_AT, RECORDS_END, USED_BYTES, isDatastore, latencyRanges, viewOf } from './layout.ts';
import type { ByteRange, DatastoreView } from './layout.ts';
import type { DatastoreRecords } from './records.ts';
import type { DeviceWork, NdsGroup, WorkFailure } from './work.ts';

/** One process's executions on one device. */
export interface DeviceExecutions extends Tallies {
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
  readonly location: DatastoreLocation;
  readonly mapped: MappedDatastore;
  readonly coreCount: number;
  /** To copy a datastore to; shared by all, used by one at a time. */
  readonly scratch: DatastoreView;
  /** Runtimes of one version share what is known about their unit of busy time. */
  readonly calibrationOf: (runtimeVersion: string | undefined) => UnitFromLatency;
}

/** One datastore for as long as it has one owner: its mapping, and what was read last. */
export class TrackedDatastore {
  readonly location: DatastoreLocation;
  readonly #options: TrackedDatastoreOptions;
  readonly #latencyRanges: readonly ByteRange[];
  readonly #latency: LatencyWatch;
  readonly #records = new KnownRecords();
  /** Two that change places with each reading. Before the first one all counters are zero, so none can have fallen. */
  #now: DatastoreCounters;
  #before: DatastoreCounters;
  #rates: CoreRateTracker | undefined;
  #tallies: TallyTracker | undefined;
  #wasSealed = false;
  readonly #complaints = new Set<string>();

  constructor(options: TrackedDatastoreOptions) {
    const { coreCount, mapped, location } = options;
    this.#options = options;
    this.location = location;
    this.#latencyRanges = latencyRanges(coreCount);
    this.#latency = new LatencyWatch(viewOf(mapped.memory.buffer), coreCount);
    this.#now = new DatastoreCounters(coreCount);
    this.#before = new DatastoreCounters(coreCount);
  }

  /** Looks whether executions completed; returns the most that any core completed since the last look. */
  poll(): number {
    for (const { from, to } of this.#latencyRanges) this.#options.mapped.refresh(from, to);
    return this.#latency.poll();
  }

  /** Undefined when nothing can be believed now; why is reported once. */
  read(groups: ReadonlySet<NdsGroup>, atMs: number, failures: WorkFailure[]): DatastoreReading | undefined {
    const records = this.#readStable(failures);
    if (records === undefined) return undefined;
    const counters = this.#nextCounters();
    if (hasFallen(this.#before, counters)) this.#beginAnew();
    if (records.proof === 'unknown') this.#complain(failures, 'tag, versions and models are not where they should be and are left out');
    const memory = groups.has('memory_used') ? this.#memory(counters, records, failures) : undefined;
    const rates = groups.has('neuroncore_counters') ? this.#nextRates(counters, records, atMs) : undefined;
    const executions = groups.has('execution_stats') ? this.#nextExecutions(counters, atMs) : undefined;
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
   * Copies the datastore to the scratch memory. Header and records must be the same before and after the counters were copied, and have
   * their checksums if they ever had; tried twice.
   */
  #readStable(failures: WorkFailure[]): DatastoreRecords | undefined {
    const { mapped, scratch } = this.#options;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      mapped.refresh(0, USED_BYTES);
      copy(mapped.memory, scratch.bytes);
      if (!isDatastore(scratch.bytes)) {
        this.#complain(failures, 'is no datastore: the signature is missing');
        return undefined;
      }
      mapped.refresh(0, RECORDS_END);
      if (!isSame(scratch, mapped.memory, 0, HEADER_BYTES) || !isSame(scratch, mapped.memory, RECORDS_AT, RECORDS_END)) continue;
      const records = this.#records.decode(scratch.bytes);
      if (this.#wasSealed && records.proof !== 'sealed') continue;
      this.#wasSealed = records.proof === 'sealed';
      return records;
    }
    failures.push({ code: 'source_stale', message: `${this.#name()} changed while it was read, twice` });
    return undefined;
  }

  #nextCounters(): DatastoreCounters {
    const counters = this.#before;
    this.#before = this.#now;
    this.#now = counters;
    counters.read(this.#options.scratch);
    return counters;
  }

  #beginAnew(): void {
    this.#rates = undefined;
    this.#tallies = undefined;
    this.#latency.take();
  }

  #memory(counters: DatastoreCounters, { models }: DatastoreRecords, failures: WorkFailure[]): DeviceWork['memory'] {
    const memory = memoryOf(counters);
    if (memory === undefined) this.#complain(failures, 'states more memory than there can be');
    return memory === undefined ? undefined : { ...memory, models };
  }

  #nextRates(counters: DatastoreCounters, { runtimeVersion }: DatastoreRecords, atMs: number): DeviceWork['rates'] {
    this.#rates ??= new CoreRateTracker(this.#options.calibrationOf(runtimeVersion), this.#options.coreCount);
    return this.#rates.next(counters, atMs);
  }

  #nextExecutions(counters: DatastoreCounters, atMs: number): DeviceExecutions | undefined {
    this.#tallies ??= new TallyTracker(this.#options.coreCount);
    const tallies = this.#tallies.next(counters, atMs);
    // Completed since the last look of the poll, and in the same copy: as many as the tallies count.
    this.#latency.poll(this.#options.scratch);
    const latencies = this.#latency.take();
    return tallies === undefined ? undefined : { ...tallies, latencies };
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

function copy(memory: Uint8Array, to: Buffer): void {
  to.set(memory.length === USED_BYTES ? memory : memory.subarray(0, USED_BYTES));
}

function isSame({ bytes }: DatastoreView, memory: Uint8Array, from: number, to: number): boolean {
  return bytes.compare(memory, from, to, from, to) === 0;
}
