import type { HrTime } from '@opentelemetry/api';
import type { MetricData, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import { definitionOf, inUnit } from './metric-table.ts';
import type { AttributeSchema, AttributesOf, MetricDefinition } from './metric-table.ts';
import { PercentileHistogram } from './percentile-histogram.ts';
import type { PercentileHistogramInput } from './percentile-histogram.ts';
import type { Recorder } from './receiver.ts';
import type { MetricGroup } from './report.ts';
import { MetricSeries, hrTimeFromMs, msFromHrTime } from './series.ts';
import type { Series } from './series.ts';

/** What one cycle of one group left behind. */
export interface CycleResult {
  readonly points: number;
  readonly failures: readonly AgentError[];
  /** Points refused because the store was full. */
  readonly overLimit: number;
}

/** When the values of a cycle were true, and since when its tallies count. */
export interface CycleTime {
  readonly sampledAtMs: number;
  readonly talliesSinceMs: number;
}

export interface GroupSeriesOptions {
  readonly group: MetricGroup;
  readonly version: string;
  readonly isEnabled: (metric: MetricDefinition) => boolean;
  /** Asked before a series is created; false when the store is full. */
  readonly mayGrow: () => boolean;
  readonly contribute: (attributes: Readonly<Record<string, string | number | undefined>>) => void;
}

/** The series of one metric group of one entity, and the recorder that fills them. One cycle at a time. */
export class GroupSeries implements Recorder {
  readonly group: MetricGroup;
  /** Order of the last cycle among all cycles of the store; readers compare it to know what is new. */
  sequence = 0;
  /** Monotonic time after which the points are stale. */
  expiresAtMs = 0;
  live = false;
  readonly #options: GroupSeriesOptions;
  readonly #metrics = new Map<MetricDefinition, MetricSeries>();
  readonly #scopeMetrics: ScopeMetrics;
  readonly #allScopeMetrics: ScopeMetrics;
  #cycle = 0;
  #endTime: HrTime = [0, 0];
  #tallyStart: HrTime = [0, 0];
  #points = 0;
  #overLimit = 0;
  #failures: AgentError[] = [];

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

  /** Runs one cycle: what `record` records replaces the points of the cycle before. */
  run(time: CycleTime, record: (recorder: Recorder) => void): CycleResult {
    this.#cycle += 1;
    this.#points = 0;
    this.#overLimit = 0;
    this.#failures = [];
    // A wall clock that was set back must not send a series back in time.
    const sampledAtMs = Math.max(time.sampledAtMs, msFromHrTime(this.#endTime));
    this.#endTime = hrTimeFromMs(sampledAtMs);
    this.#tallyStart = hrTimeFromMs(Math.min(time.talliesSinceMs, sampledAtMs));
    try {
      record(this);
    } catch (thrown) {
      this.#failures.push(AgentError.from(thrown, 'internal', this.group));
    }
    this.#sweep();
    this.live = true;
    return { points: this.#points, failures: this.#failures, overLimit: this.#overLimit };
  }

  hide(): void {
    this.live = false;
    for (const metric of this.#metrics.values()) metric.hide();
    this.#publish([]);
  }

  wants(metric: MetricDefinition): boolean {
    return this.#options.isEnabled(metric);
  }

  set<A extends AttributeSchema>(metric: MetricDefinition<A>, value: number, attributes: AttributesOf<A>): void {
    const scaled = inUnit(metric, value);
    if (!this.#accepts(metric, scaled, false)) return;
    const point = this.#point(metric, attributes);
    if (point !== undefined) point.value = scaled;
  }

  add<A extends AttributeSchema>(metric: MetricDefinition<A>, tally: number, attributes: AttributesOf<A>): void {
    const scaled = inUnit(metric, tally);
    if (!this.#accepts(metric, scaled, true)) return;
    const point = this.#point(metric, attributes);
    if (point !== undefined && typeof point.value === 'number') point.value += scaled;
  }

  total<A extends AttributeSchema>(metric: MetricDefinition<A>, total: number, attributes: AttributesOf<A>, startTimeMs?: number): void {
    const scaled = inUnit(metric, total);
    if (!this.#accepts(metric, scaled, true)) return;
    const point = this.#point(metric, attributes, startTimeMs, (before) => scaled < before);
    if (point !== undefined) point.value = scaled;
  }

  distribution<A extends AttributeSchema>(
    metric: MetricDefinition<A>,
    period: PercentileHistogramInput,
    attributes: AttributesOf<A>,
  ): void {
    if (!this.#options.isEnabled(metric)) return;
    const point = this.#point(metric, attributes);
    if (!(point?.value instanceof PercentileHistogram)) return;
    const refused = point.value.add(period);
    if (refused !== undefined) this.fail('source_malformed', `${metric.name}: ${refused}`);
  }

  resource(attributes: Readonly<Record<string, string | number | undefined>>): void {
    this.#options.contribute(attributes);
  }

  fail(code: ErrorCode, message: string): void {
    this.#failures.push(new AgentError(code, this.group, message));
  }

  #accepts(metric: MetricDefinition, value: number, counts: boolean): boolean {
    if (!this.#options.isEnabled(metric)) return false;
    if (!Number.isFinite(value)) return this.#refuse(metric, 'is not finite');
    if (counts && value < 0) return this.#refuse(metric, 'is negative');
    if (metric.valueType === 'int' && !Number.isSafeInteger(value)) return this.#refuse(metric, 'is not a safe integer');
    return true;
  }

  #refuse(metric: MetricDefinition, reason: string): false {
    this.fail('source_malformed', `${metric.name}: value ${reason}`);
    return false;
  }

  /** Finds or makes the point, stamps it and makes it part of this cycle; undefined when it has no place. */
  #point(
    metric: MetricDefinition,
    attributes: Readonly<Record<string, string | number | undefined>>,
    startTimeMs?: number,
    isReset?: (before: number) => boolean,
  ): Series['point'] | undefined {
    const metricSeries = this.#metricSeries(metric);
    let series = metricSeries.find(attributes);
    if (series === undefined) {
      if (!this.#options.mayGrow()) {
        this.#overLimit += 1;
        return undefined;
      }
      series = metricSeries.create(attributes, startTimeMs === undefined ? this.#tallyStart : hrTimeFromMs(startTimeMs));
    } else if (series.seenInCycle === this.#cycle) {
      this.fail('internal', `${metric.name}: two points of one cycle have the same attributes`);
      return undefined;
    } else if (typeof series.point.value === 'number' && isReset?.(series.point.value) === true) {
      // The reset happened at some time after the previous sample.
      series.point.startTime = series.point.endTime;
    }
    series.point.endTime = this.#endTime;
    metricSeries.see(series, this.#cycle);
    this.#points += 1;
    return series.point;
  }

  #metricSeries(metric: MetricDefinition): MetricSeries {
    let metricSeries = this.#metrics.get(metric);
    if (metricSeries === undefined) {
      metricSeries = new MetricSeries(metric);
      this.#metrics.set(metric, metricSeries);
    }
    return metricSeries;
  }

  #sweep(): void {
    let changed = !this.live;
    for (const metric of this.#metrics.values()) changed = metric.sweep() || changed;
    if (!changed) return;
    const metrics: MetricData[] = [];
    for (const metric of this.#metrics.values()) if (metric.data.dataPoints.length > 0) metrics.push(metric.data);
    this.#publish(metrics);
  }

  #publish(metrics: MetricData[]): void {
    this.#allScopeMetrics.metrics = metrics;
    this.#scopeMetrics.metrics = metrics.filter((metric) => definitionOf(metric.descriptor)?.legacyOnly !== true);
  }
}
