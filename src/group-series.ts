import type { HrTime } from '@opentelemetry/api';
import type { MetricData, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import { definitionOf, inUnit } from './metric-table.ts';
import type { AttributeSchema, AttributesOf, MetricDefinition } from './metric-table.ts';
import type { PercentileHistogramInput } from './percentile-histogram.ts';
import type { Cycle, CycleResult, CycleTime } from './receiver.ts';
import type { MetricGroup } from './readings.ts';
import { newStartMs } from './sample-clock.ts';
import type { ClockState } from './sample-clock.ts';
import type { SourceFailure } from './source.ts';
import { HistogramPoint, MetricSeries, NumberPoint, hrTimeFromMs, msFromHrTime } from './series.ts';
import type { AttributeValues, SampleTime, Series } from './series.ts';

/** `StoreCounts` is shared by all groups of one store: how many series there are, how many there may be, the number of the last cycle. */
export class StoreCounts {
  size = 0;
  sequence = 0;
  maxSeries: number;

  constructor(maxSeries: number) {
    this.maxSeries = maxSeries;
  }
}

export interface GroupSeriesOptions {
  readonly group: MetricGroup;
  readonly version: string;
  readonly isEnabled: (metric: MetricDefinition) => boolean;
  readonly counts: StoreCounts;
}

type ResourceContribution = Readonly<Record<string, string | number | undefined>>;

/** The series of one metric group of one entity. It is its own cycle: `begin`, record, `end`, one cycle at a time. */
export class GroupSeries implements Cycle {
  readonly group: MetricGroup;
  /** Order of the last cycle among all cycles of the store; readers compare it to find what is new. */
  sequence = 0;
  /** Monotonic time after which the points are stale. */
  expiresAtMs = 0;
  live = false;
  /** Attributes that the receiver contributes to the resource of the entity, and how often they have changed. */
  contribution: ResourceContribution = {};
  contributionVersion = 0;
  readonly #options: GroupSeriesOptions;
  readonly #metrics = new Map<MetricDefinition, MetricSeries>();
  readonly #scopeMetrics: ScopeMetrics;
  readonly #allScopeMetrics: ScopeMetrics;
  #last: MetricSeries | undefined;
  #cycle = 0;
  /** Shared by all points of the group. */
  readonly #sampled: SampleTime = { endTime: [0, 0] };
  #sampledBefore: HrTime = [0, 0];
  #sampledAtMs = 0;
  #tallyStart: HrTime = [0, 0];
  #clockState: ClockState = { shiftMs: 0, setBacks: 0 };
  #points = 0;
  #overLimit = 0;
  /** By message, which names the metric and not the value: a thousand bad points of one metric are one failure. */
  readonly #failures = new Map<string, SourceFailure>();

  constructor(options: GroupSeriesOptions) {
    this.group = options.group;
    this.#options = options;
    const scope = { name: options.group, version: options.version };
    this.#scopeMetrics = { scope, metrics: [] };
    this.#allScopeMetrics = { scope, metrics: [] };
  }

  /** Points of the last cycle; empty when stale. `legacy` adds the rows that feed legacy families only. */
  scopeMetrics(options: { readonly legacy: boolean }): ScopeMetrics {
    return options.legacy ? this.#allScopeMetrics : this.#scopeMetrics;
  }

  /** Series kept in memory, hidden totals included. */
  get size(): number {
    let size = 0;
    for (const metric of this.#metrics.values()) size += metric.size;
    return size;
  }

  /** Starts a cycle: what is recorded until its end replaces the points of the cycle before. */
  begin(time: CycleTime): void {
    this.#cycle += 1;
    this.#points = 0;
    this.#overLimit = 0;
    this.#failures.clear();
    this.#sampledBefore = this.#sampled.endTime;
    this.#sampledAtMs = time.sampledAtMs;
    this.#sampled.endTime = hrTimeFromMs(time.sampledAtMs);
    this.#tallyStart = this.#startTime(time.talliesSinceMs);
    this.#clockState = time.clockState;
    this.expiresAtMs = time.monotonicMs + time.lifetimeMs;
  }

  end(): CycleResult {
    const { counts } = this.#options;
    const sizeBefore = this.size;
    this.#sweep();
    counts.size += this.size - sizeBefore;
    counts.sequence += 1;
    this.sequence = counts.sequence;
    this.live = true;
    return { points: this.#points, failures: [...this.#failures.values()], overLimit: this.#overLimit };
  }

  hide(): void {
    const sizeBefore = this.size;
    this.live = false;
    for (const metric of this.#metrics.values()) metric.hide();
    this.#options.counts.size += this.size - sizeBefore;
    this.#publish([]);
  }

  /** Forgets the series of metrics that were switched on or off since they were made. */
  forgetSwitched(): void {
    const sizeBefore = this.size;
    for (const [definition, metric] of this.#metrics) {
      if (metric.isEnabled !== this.#options.isEnabled(definition)) this.#metrics.delete(definition);
    }
    this.#last = undefined;
    this.#options.counts.size += this.size - sizeBefore;
    this.#publishShown();
  }

  wants(metric: MetricDefinition): boolean {
    return this.#options.isEnabled(metric);
  }

  set<A extends AttributeSchema>(metric: MetricDefinition<A>, value: number, attributes: AttributesOf<A>): void {
    const scaled = inUnit(metric, value);
    const series = this.#accepting(metric, scaled);
    const point = series && this.#point(series, attributes);
    if (point instanceof NumberPoint) point.value = scaled;
  }

  add<A extends AttributeSchema>(metric: MetricDefinition<A>, tally: number, attributes: AttributesOf<A>): void {
    const scaled = inUnit(metric, tally);
    const series = this.#accepting(metric, scaled);
    const point = series && this.#point(series, attributes);
    if (point instanceof NumberPoint) point.value += scaled;
  }

  total<A extends AttributeSchema>(metric: MetricDefinition<A>, total: number, attributes: AttributesOf<A>, startTimeMs?: number): void {
    const scaled = inUnit(metric, total);
    const series = this.#accepting(metric, scaled);
    const point = series && this.#point(series, attributes, scaled, startTimeMs);
    if (point instanceof NumberPoint) point.value = scaled;
  }

  distribution<A extends AttributeSchema>(
    metric: MetricDefinition<A>,
    period: PercentileHistogramInput,
    attributes: AttributesOf<A>,
  ): void {
    const series = this.#metricSeries(metric);
    const point = series.isEnabled ? this.#point(series, attributes) : undefined;
    if (!(point instanceof HistogramPoint)) return;
    const refused = point.value.add(period);
    if (refused !== undefined) this.fail('source_malformed', `${metric.name}: ${refused}`);
  }

  resource(attributes: ResourceContribution): void {
    if (isSame(attributes, this.contribution)) return;
    this.contribution = attributes;
    this.contributionVersion += 1;
  }

  fail(code: ErrorCode, message: string): void {
    const { error = new AgentError(code, this.group, message), count = 0 } = this.#failures.get(message) ?? {};
    this.#failures.set(message, { error, group: this.group, count: count + 1 });
  }

  /** The series of the metric when it may have this value. */
  #accepting(metric: MetricDefinition, value: number): MetricSeries | undefined {
    const series = this.#metricSeries(metric);
    if (!series.isEnabled) return undefined;
    if (!Number.isFinite(value)) return this.#refuse(metric, 'is not finite');
    // Every row is a count, a size, a share, a time or a rate.
    if (value < 0) return this.#refuse(metric, 'is negative');
    if (metric.valueType === 'int' && !Number.isSafeInteger(value)) return this.#refuse(metric, 'is not a safe integer');
    return series;
  }

  #refuse(metric: MetricDefinition, reason: string): undefined {
    this.fail('source_malformed', `${metric.name}: value ${reason}`);
    return undefined;
  }

  /** Finds or makes the point and adds it to this cycle; undefined when there is no room for it. A lower total than before is a reset. */
  #point(metricSeries: MetricSeries, attributes: AttributeValues, total?: number, startTimeMs?: number): Series['point'] | undefined {
    let series = metricSeries.find(attributes);
    if (series === undefined) {
      if (!this.#mayGrow()) return undefined;
      const start = startTimeMs === undefined ? this.#tallyStart : this.#startTime(startTimeMs + this.#clockState.shiftMs);
      series = metricSeries.create(attributes, { start, clockState: this.#clockState });
    } else if (series.seenInCycle === this.#cycle) {
      this.fail('internal', `${metricSeries.definition.name}: two points of one cycle have the same attributes`);
      return undefined;
    } else {
      if (series.clockState.setBacks !== this.#clockState.setBacks) this.#startAnew(series, total !== undefined);
      if (total !== undefined && series.point instanceof NumberPoint && total < series.point.value) this.#resetTotal(series);
    }
    metricSeries.see(series, this.#cycle);
    this.#points += 1;
    return series.point;
  }

  /**
   * The wall clock was set back since the series was recorded last. A total of the source keeps its value, and its start is stated in the
   * new time of the wall clock; what the agent has added up begins again.
   */
  #startAnew(series: Series, isTotal: boolean): void {
    const { point } = series;
    if (isTotal) {
      const startMs = msFromHrTime(point.startTime);
      point.startTime = this.#startTime(newStartMs(startMs, startMs + this.#clockState.shiftMs - series.clockState.shiftMs));
    } else {
      point.startTime = this.#tallyStart;
      point.clear();
    }
    series.clockState = this.#clockState;
  }

  /** The source's total fell, at some time after the sample before. */
  #resetTotal(series: Series): void {
    const { point } = series;
    const before = point.sampled === this.#sampled ? this.#sampledBefore : point.endTime;
    point.startTime = this.#startTime(msFromHrTime(before));
    series.clockState = this.#clockState;
  }

  /** No start is later than the sample. */
  #startTime(epochMs: number): HrTime {
    return hrTimeFromMs(Math.min(epochMs, this.#sampledAtMs));
  }

  /** Counts a series about to be created, so that one huge cycle cannot pass the limit either. */
  #mayGrow(): boolean {
    const { counts } = this.#options;
    const isFull = counts.size >= counts.maxSeries;
    if (isFull) this.#overLimit += 1;
    else counts.size += 1;
    return !isFull;
  }

  /** Receivers record row after row: mostly it is the one of the last call. */
  #metricSeries(metric: MetricDefinition): MetricSeries {
    if (this.#last?.definition === metric) return this.#last;
    let metricSeries = this.#metrics.get(metric);
    if (metricSeries === undefined) {
      metricSeries = new MetricSeries(metric, { isEnabled: this.#options.isEnabled(metric), sampled: this.#sampled });
      this.#metrics.set(metric, metricSeries);
    }
    this.#last = metricSeries;
    return metricSeries;
  }

  #sweep(): void {
    let changed = !this.live;
    for (const metric of this.#metrics.values()) changed = metric.sweep(this.#cycle, this.#sampledBefore) || changed;
    if (changed) this.#publishShown();
  }

  #publishShown(): void {
    const metrics: MetricData[] = [];
    for (const metric of this.#metrics.values()) if (metric.data.dataPoints.length > 0) metrics.push(metric.data);
    this.#publish(metrics);
  }

  #publish(metrics: MetricData[]): void {
    this.#allScopeMetrics.metrics = metrics;
    this.#scopeMetrics.metrics = metrics.filter((metric) => definitionOf(metric.descriptor)?.legacyOnly !== true);
  }
}

function isSame(a: ResourceContribution, b: ResourceContribution): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
