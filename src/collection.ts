import { AgentError } from './errors.ts';
import type { Clock } from './host.ts';
import type { CycleResult, CycleTime, Receiver, ReceiverContext } from './receiver.ts';
import { isRuntimeGroup, runtimeKey } from './readings.ts';
import type { AnyGroupReading, HostFacts, MetricGroup, RuntimeRef } from './readings.ts';
import type { Selection } from './selection.ts';
import type { SelfTelemetry } from './self-telemetry.ts';
import type { EntityRef, SeriesStore } from './series-store.ts';
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
  /** Adds what the host knows about a process (start time, executable, container); the runtime itself when nothing is known. */
  readonly identify: (runtime: RuntimeRef) => RuntimeRef;
  readonly bootTimeMs?: number;
  readonly eccCounts: ReceiverContext['eccCounts'];
}

/** What the source of a batch may decide. */
export interface Authority {
  serves(group: MetricGroup): boolean;
  /** Its list of processes is complete: others have ended. */
  readonly namesRuntimes: boolean;
}

/** Sum of one batch for one group, all processes together. */
interface GroupTotal {
  points: number;
  periodSeconds?: number;
}

/** Takes batches of readings to the series store, through the receivers. Synchronous: readers see whole batches only. */
export class Collection {
  readonly #options: CollectionOptions;
  readonly #latest = new Map<string, AnyGroupReading>();
  #facts: HostFacts = {};
  #runtimes: readonly RuntimeRef[] = [];

  constructor(options: CollectionOptions) {
    this.#options = options;
  }

  /** Neuron processes of the last batch that named them, after the tag filter. */
  get runtimes(): readonly RuntimeRef[] {
    return this.#runtimes;
  }

  /** Latest reading of every live group, for reports the agent puts together itself. */
  latestReadings(): Iterable<AnyGroupReading> {
    return this.#latest.values();
  }

  /** Records one batch as far as its source may serve it now. Returns the groups it recorded. */
  apply(batch: ReadingBatch, authority: Authority): ReadonlySet<MetricGroup> {
    const startedMs = this.#options.clock.monotonicMs();
    this.#options.telemetry.collectionFailures(batch.failures);
    const readings = batch.readings
      .filter((reading) => this.#isSelected(reading) && authority.serves(reading.group))
      .map((reading) => this.#identified(reading));
    this.#learnFacts(readings);
    if (batch.runtimes !== undefined && authority.namesRuntimes) this.#retain(batch.runtimes);
    const totals = new Map<MetricGroup, GroupTotal>();
    for (const reading of readings) this.#record(reading, batch, totals);
    const durationMs = this.#options.clock.monotonicMs() - startedMs;
    for (const [group, total] of totals) {
      this.#options.telemetry.groupCollected(group, { ...total, durationMs, sampledAtMs: batch.sampledAtMs, source: batch.source });
    }
    this.#options.telemetry.storeSize(this.#options.store.size);
    return new Set(totals.keys());
  }

  /** Removes from every output what was not renewed in time. */
  expire(): void {
    for (const group of this.#options.store.expire(this.#options.clock.monotonicMs())) {
      this.#options.telemetry.groupExpired(group);
      for (const [key, reading] of this.#latest) if (reading.group === group) this.#latest.delete(key);
    }
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

  /** Facts first: receivers name devices and pods by them, also in the batch that brings them. */
  #learnFacts(readings: readonly AnyGroupReading[]): void {
    for (const reading of readings) if (isFact(reading.group)) this.#facts = { ...this.#facts, [reading.group]: reading.data };
  }

  #retain(runtimes: readonly RuntimeRef[]): void {
    const { selection, store, telemetry, identify } = this.#options;
    for (const { error } of runtimes) if (error !== undefined && error !== '') telemetry.sourceReported('runtime', error);
    this.#runtimes = runtimes.filter((runtime) => selection.runtimeGroups(runtime) !== undefined).map((runtime) => identify(runtime));
    const keys = new Set(this.#runtimes.map((runtime) => runtimeKey(runtime)));
    store.retainRuntimes(keys);
    for (const [key, { runtime }] of this.#latest) if (runtime !== undefined && !keys.has(runtimeKey(runtime))) this.#latest.delete(key);
  }

  #record(reading: AnyGroupReading, batch: ReadingBatch, totals: Map<MetricGroup, GroupTotal>): void {
    const { telemetry, receivers } = this.#options;
    const receiver = receivers.get(reading.group);
    if (receiver === undefined) {
      telemetry.collectionFailed(new AgentError('internal', reading.group, 'no receiver for this group'), reading.group);
      return;
    }
    if (reading.error !== undefined && reading.error !== '') telemetry.sourceReported(reading.group, reading.error);
    const result = this.#runCycle(receiver, reading, batch);
    telemetry.collectionFailures(result.failures);
    if (result.overLimit > 0) telemetry.pointsDropped(reading.group, result.overLimit);
    const total = totals.get(reading.group) ?? { points: 0 };
    total.points += result.points;
    if (reading.periodSeconds !== undefined) total.periodSeconds = reading.periodSeconds;
    totals.set(reading.group, total);
  }

  /** A receiver that throws costs its group the points that it had not recorded yet. */
  #runCycle(receiver: Receiver, reading: AnyGroupReading, batch: ReadingBatch): CycleResult {
    const entity = this.#entity(reading.runtime);
    this.#latest.set(`${reading.group}/${entity.kind === 'host' ? '' : entity.key}`, reading);
    const cycle = this.#options.store.begin(entity, reading.group, this.#time(reading, batch));
    try {
      receiver.receive(reading, cycle, this.#context(reading));
    } catch (thrown) {
      this.#options.telemetry.collectionFailed(AgentError.from(thrown, 'internal', reading.group), reading.group);
    }
    return cycle.end();
  }

  #time(reading: AnyGroupReading, batch: ReadingBatch): CycleTime {
    return {
      sampledAtMs: batch.sampledAtMs,
      talliesSinceMs: this.#talliesSinceMs(reading, batch.sampledAtMs),
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

  /** A tally covers the reading's own period, but nothing before the process existed. */
  #talliesSinceMs(reading: AnyGroupReading, sampledAtMs: number): number {
    const periodStartMs = sampledAtMs - (reading.periodSeconds ?? 0) * 1000;
    return Math.min(sampledAtMs, Math.max(periodStartMs, reading.runtime?.startTimeMs ?? periodStartMs));
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

function isFact(group: MetricGroup): group is keyof HostFacts {
  return group === 'instance_info' || group === 'neuron_hardware_info' || group === 'neuron_k8s_info';
}
