import { AgentError } from './errors.ts';
import type { Clock } from './host.ts';
import type { CycleResult, CycleTime, Receiver, ReceiverContext } from './receiver.ts';
import { isFact, isRuntimeGroup, runtimeKey } from './readings.ts';
import type { AnyGroupReading, HostFacts, MetricGroup, RuntimeRef } from './readings.ts';
import { SampleClock } from './sample-clock.ts';
import type { SampleMoment } from './sample-clock.ts';
import type { Selection } from './selection.ts';
import type { SelfTelemetry } from './telemetry.ts';
import type { EntityRef, SeriesStore } from './store.ts';
import type { ReadingBatch } from './source.ts';

/** Averages and shares of a shorter period mean nothing: neuron-monitor's first record covers 0 to 70 ms. */
export const SHORTEST_MEANINGFUL_PERIOD_SECONDS = 0.02;

/** A first sample of a stream with a period of up to an hour stays until the second one. */
const UNKNOWN_PERIOD_LIFETIME_MS = 3_600_000;

export interface CollectionOptions {
  readonly clock: Clock;
  readonly store: SeriesStore;
  readonly selection: Selection;
  readonly receivers: ReadonlyMap<MetricGroup, Receiver>;
  readonly telemetry: SelfTelemetry;
  /** Resource attributes of a Neuron process. */
  readonly runtimeResource: (runtime: RuntimeRef) => Readonly<Record<string, string | number>>;
  /** Returns the process with what `/proc` has about it (start time, executable, container), or as it is when that has nothing. */
  readonly identify: (runtime: RuntimeRef) => RuntimeRef;
  /** Returns what tells this host from all others, with the facts of the first cycle. */
  readonly hostIdentity: (facts: HostFacts) => string | undefined;
  readonly bootTimeMs?: number;
  readonly eccCounts: ReceiverContext['eccCounts'];
}

/** The rights of the source of a batch. */
export interface Authority {
  serves(group: MetricGroup): boolean;
  /** Its list of processes is complete: others have ended. */
  readonly namesRuntimes: boolean;
}

/** The points of one batch for one group, all processes together. */
interface GroupTotal {
  points: number;
  periodSeconds?: number;
}

interface RecordOptions {
  readonly batch: ReadingBatch;
  readonly moment: SampleMoment;
  /** Sums that the reading is added to. */
  readonly totals: Map<MetricGroup, GroupTotal>;
}

/** Takes batches of readings to the series store, through the receivers. Synchronous: readers see whole batches only. */
export class Collection {
  #options: CollectionOptions;
  /** The times of all points. */
  readonly sampleClock: SampleClock;
  readonly #factReadings = new Map<MetricGroup, AnyGroupReading>();
  #facts: HostFacts = {};
  #isHostIdentified = false;
  #runtimes: readonly RuntimeRef[] = [];

  constructor(options: CollectionOptions) {
    this.#options = options;
    this.sampleClock = new SampleClock(options.clock);
  }

  /** Takes what a new configuration changes; facts, processes and times stay. */
  reconfigure(changes: Pick<CollectionOptions, 'selection' | 'identify' | 'hostIdentity' | 'eccCounts'>): void {
    this.#options = { ...this.#options, ...changes };
  }

  /** Neuron processes of the last batch that named them, after the tag filter. */
  get runtimes(): readonly RuntimeRef[] {
    return this.#runtimes;
  }

  /** The latest reading of each group of facts; facts stay true when their source falls silent. */
  factReadings(): Iterable<AnyGroupReading> {
    return this.#factReadings.values();
  }

  /**
   * Records batches of one cycle as far as their sources may serve it now: all points get one time, that of the earliest sample.
   * Returns the readings that it recorded.
   */
  apply(batches: readonly ReadingBatch[], authority: Authority): readonly AnyGroupReading[] {
    const { telemetry, store } = this.#options;
    const moment = this.sampleClock.next(Math.min(...batches.map(({ sampledAtMs }) => sampledAtMs)));
    if (moment.setBackMs > 0) telemetry.clockSetBack(moment.setBackMs);
    const admitted = batches.map((batch): ReadingBatch => ({ ...batch, readings: this.#admitted(batch, authority) }));
    // Facts first: receivers name devices and pods by them, also in the cycle that brings them.
    for (const { readings } of admitted) this.#learnFacts(readings);
    this.#identifyHost();
    const recorded: AnyGroupReading[] = [];
    for (const batch of admitted) {
      telemetry.collectionFailures(batch.failures);
      if (batch.deniedProcesses !== undefined) telemetry.processesDenied(batch.source, batch.deniedProcesses);
      if (batch.runtimes !== undefined && authority.namesRuntimes) this.#retain(batch.runtimes);
      const groups = new Set(this.#recordBatch(batch, moment));
      recorded.push(...batch.readings.filter(({ group }) => groups.has(group)));
    }
    telemetry.storeSize(store.size);
    return recorded;
  }

  /** Removes from every output what was not renewed in time. */
  expire(): void {
    for (const group of this.#options.store.expire(this.#options.clock.monotonicMs())) {
      this.#options.telemetry.groupExpired(group);
    }
  }

  /** Facts that come later change the resources, but no identity. */
  #identifyHost(): void {
    if (this.#isHostIdentified) return;
    this.#isHostIdentified = true;
    const identity = this.#options.hostIdentity(this.#facts);
    if (identity !== undefined) this.#options.store.identify(identity);
  }

  #admitted(batch: ReadingBatch, authority: Authority): readonly AnyGroupReading[] {
    return batch.readings
      .filter((reading) => this.#isSelected(reading) && authority.serves(reading.group))
      .map((reading) => this.#identified(reading));
  }

  #recordBatch(batch: ReadingBatch, moment: SampleMoment): Iterable<MetricGroup> {
    const { telemetry, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const totals = new Map<MetricGroup, GroupTotal>();
    for (const reading of batch.readings) this.#record(reading, { batch, moment, totals });
    const durationMs = clock.monotonicMs() - startedMs;
    for (const [group, total] of totals)
      telemetry.groupCollected(group, { ...total, durationMs, sampledAtMs: batch.sampledAtMs, source: batch.source });
    return totals.keys();
  }

  #isSelected(reading: AnyGroupReading): boolean {
    const { selection } = this.#options;
    if (isRuntimeGroup(reading.group)) {
      return reading.runtime !== undefined && selection.runtimeGroups(reading.runtime)?.has(reading.group) === true;
    }
    return isFact(reading.group) || (selection.systemGroups as ReadonlySet<MetricGroup>).has(reading.group);
  }

  #identified(reading: AnyGroupReading): AnyGroupReading {
    if (reading.runtime === undefined) return reading;
    const runtime = this.#options.identify(reading.runtime);
    return runtime === reading.runtime ? reading : { ...reading, runtime };
  }

  #learnFacts(readings: readonly AnyGroupReading[]): void {
    for (const reading of readings) {
      if (reading.group === 'neuron_hw_counters' || reading.group === 'neuron_device_counters') {
        const deviceIndexes = reading.data.neuron_devices?.map((device) => device.neuron_device_index) ?? [];
        if (deviceIndexes.length > 0) this.#facts = { ...this.#facts, deviceIndexes };
      }
      if (!isFact(reading.group)) continue;
      this.#facts = { ...this.#facts, [reading.group]: reading.data };
      this.#factReadings.set(reading.group, reading);
    }
  }

  #retain(runtimes: readonly RuntimeRef[]): void {
    const { selection, store, telemetry, identify } = this.#options;
    for (const { error } of runtimes) if (error !== undefined && error !== '') telemetry.sourceReported('runtime', error);
    this.#runtimes = runtimes.filter((runtime) => selection.runtimeGroups(runtime) !== undefined).map((runtime) => identify(runtime));
    const keys = new Set(this.#runtimes.map((runtime) => runtimeKey(runtime)));
    store.retainRuntimes(keys);
  }

  #record(reading: AnyGroupReading, { batch, moment, totals }: RecordOptions): void {
    const { telemetry, receivers } = this.#options;
    const receiver = receivers.get(reading.group);
    if (receiver === undefined) {
      telemetry.collectionFailed(new AgentError('internal', reading.group, 'no receiver for this group'), reading.group);
      return;
    }
    if (reading.error !== undefined && reading.error !== '') telemetry.sourceReported(reading.group, reading.error);
    const result = this.#runCycle(receiver, reading, this.#time(reading, batch, moment));
    telemetry.collectionFailures(result.failures);
    if (result.overLimit > 0) telemetry.pointsDropped(reading.group, result.overLimit);
    const total = totals.get(reading.group) ?? { points: 0 };
    total.points += result.points;
    if (reading.periodSeconds !== undefined && reading.periodSeconds >= 0) total.periodSeconds = reading.periodSeconds;
    totals.set(reading.group, total);
  }

  /** A receiver that throws costs its group the points that it had not recorded yet. */
  #runCycle(receiver: Receiver, reading: AnyGroupReading, time: CycleTime): CycleResult {
    const entity = this.#entity(reading.runtime);
    const cycle = this.#options.store.begin(entity, reading.group, time);
    try {
      receiver.receive(reading, cycle, this.#context(reading));
    } catch (thrown) {
      this.#options.telemetry.collectionFailed(AgentError.from(thrown, 'internal', reading.group), reading.group);
    }
    return cycle.end();
  }

  #time(reading: AnyGroupReading, batch: ReadingBatch, moment: SampleMoment): CycleTime {
    return {
      sampledAtMs: moment.sampledAtMs,
      clockState: moment.clockState,
      talliesSinceMs: talliesSinceMs(reading, moment),
      monotonicMs: this.#options.clock.monotonicMs(),
      lifetimeMs: this.#lifetimeMs(reading, batch),
    };
  }

  #entity(runtime: RuntimeRef | undefined): EntityRef {
    if (runtime === undefined) return { kind: 'host' };
    return { kind: 'runtime', key: runtimeKey(runtime), attributes: this.#options.runtimeResource(runtime) };
  }

  #context(reading: AnyGroupReading): ReceiverContext {
    const { bootTimeMs, eccCounts } = this.#options;
    const { periodSeconds } = reading;
    return {
      facts: this.#facts,
      ratesAreMeaningful: periodSeconds === undefined || periodSeconds >= SHORTEST_MEANINGFUL_PERIOD_SECONDS,
      eccCounts,
      ...(bootTimeMs === undefined ? {} : { bootTimeMs }),
    };
  }

  /** Points outlive their period by half of it, so that a late sample makes no gap and a dead source none of its points. */
  #lifetimeMs(reading: AnyGroupReading, batch: ReadingBatch): number {
    const { selection } = this.#options;
    const configuredMs = selection.periodsMs.get(reading.group) ?? selection.defaultPeriodMs;
    // Facts have no period: they come with each report, so the report's longest period is theirs.
    const realSeconds = isFact(reading.group) ? longestPeriodSeconds(batch) : (reading.periodSeconds ?? 0);
    if (isPeriodUnknown(reading.group, batch)) return UNKNOWN_PERIOD_LIFETIME_MS;
    return 1.5 * Math.max(configuredMs, realSeconds * 1000) + 200;
  }
}

/** A tally covers the reading's own period, but nothing before the process existed. */
function talliesSinceMs({ periodSeconds = 0, runtime }: AnyGroupReading, { sampledAtMs, clockState }: SampleMoment): number {
  const periodStartMs = sampledAtMs - periodSeconds * 1000;
  const processStartMs = runtime?.startTimeMs === undefined ? periodStartMs : runtime.startTimeMs + clockState.shiftMs;
  return Math.max(periodStartMs, processStartMs);
}

function longestPeriodSeconds(batch: ReadingBatch): number {
  let longest = 0;
  for (const { group, periodSeconds } of batch.readings)
    if (!isFact(group) && periodSeconds !== undefined) longest = Math.max(longest, periodSeconds);
  return longest;
}

function isPeriodUnknown(group: MetricGroup, { unknownPeriods }: ReadingBatch): boolean {
  if (unknownPeriods === undefined) return false;
  return isFact(group) ? unknownPeriods.size > 0 : unknownPeriods.has(group);
}
