import type { ErrorCode } from './errors.ts';
import type { AttributeSchema, AttributesOf, MetricDefinition, MetricTable } from './metric-table.ts';
import type { PercentileHistogramInput } from './percentile-histogram.ts';
import type { GroupReading, HostFacts, MetricGroup } from './readings.ts';
import type { ClockState } from './sample-clock.ts';
import type { SourceFailure } from './source.ts';

/**
 * Takes the points of one reading. Values are in the source's unit: the row's scale is applied here.
 * Attributes are read at once and not kept: one object may serve many points.
 * A value that is not finite, or negative, or not an integer where the row says int, is refused and counted.
 */
export interface Recorder {
  /** False when the configuration leaves the row out: points of it would be refused silently, so making them can be spared. */
  wants(metric: MetricDefinition): boolean;
  /** Current value of a gauge or up-down counter. */
  set<A extends AttributeSchema>(metric: MetricDefinition<A>, value: number, attributes: AttributesOf<A>): void;
  /** Adds the tally of this period to a counter, once. */
  add<A extends AttributeSchema>(metric: MetricDefinition<A>, tally: number, attributes: AttributesOf<A>): void;
  /**
   * Running total of a counter as the source keeps it, since `startTimeMs` of the wall clock that the agent was started with; a decrease is
   * a reset, never a negative delta.
   */
  total<A extends AttributeSchema>(metric: MetricDefinition<A>, total: number, attributes: AttributesOf<A>, startTimeMs?: number): void;
  /** Adds the distribution of this period to a histogram. */
  distribution<A extends AttributeSchema>(metric: MetricDefinition<A>, period: PercentileHistogramInput, attributes: AttributesOf<A>): void;
  /** Attributes this group contributes to the resource of its entity (the host, or the runtime). `undefined` leaves one out. */
  resource(attributes: Readonly<Record<string, string | number | undefined>>): void;
  /** Something of this reading could not be used; the rest goes on. */
  fail(code: ErrorCode, message: string): void;
}

/** Times of one cycle of one group. */
export interface CycleTime {
  /** When the values were true, milliseconds since the epoch, and since when its tallies count. */
  readonly sampledAtMs: number;
  readonly talliesSinceMs: number;
  readonly clockState: ClockState;
  /** Monotonic time of arrival. */
  readonly monotonicMs: number;
  /** How long the points stay valid without a new cycle. */
  readonly lifetimeMs: number;
}

/** One cycle of one group of one entity: begun by the store, recorded by a receiver, ended once. */
export interface Cycle extends Recorder {
  end(): CycleResult;
}

/** The outcome of one cycle. */
export interface CycleResult {
  readonly points: number;
  readonly failures: readonly SourceFailure[];
  /** Points refused because the store was full. */
  readonly overLimit: number;
}

export interface ReceiverContext {
  readonly facts: HostFacts;
  /** False when the reading's period is too short for rates and shares to mean anything (neuron-monitor's first record). */
  readonly ratesAreMeaningful: boolean;
  /** Milliseconds since the epoch of the host's boot, where known: start of counters that run since boot. */
  readonly bootTimeMs?: number;
  /** `cumulative` (default): ECC values are running totals with resets; `tally`: they are counts of the period, as the AWS script reads them. */
  readonly eccCounts: 'cumulative' | 'tally';
}

/** Turns readings of one metric group into points of its metric table. Stateless: the series store keeps the totals. */
export interface Receiver<G extends MetricGroup = MetricGroup> {
  readonly group: G;
  readonly metrics: MetricTable;
  receive(reading: GroupReading<G>, recorder: Recorder, context: ReceiverContext): void;
}
