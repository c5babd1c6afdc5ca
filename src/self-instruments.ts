import type { Attributes, HrTime } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import { SELF_METRICS } from './self-metrics.ts';
import type { CounterKey, GaugeKey } from './self-metrics.ts';
import { hrTimeFromMs } from './series.ts';
import type { LivePoint } from './series.ts';

/** One value of a gauge with its attributes. Whoever hands over the same attributes object each time saves a look at what is in it. */
export type Observation = readonly [value: number, attributes: Attributes];

/**
 * The instruments behind `SELF_METRICS`: events count here and cost next to nothing, gauges are observed when a reader collects. They do what
 * observable instruments of the SDK do, but in one place for all readers: metric data, points and attributes keep their identity, so
 * that nothing is made anew each second and encoders can cache by them.
 */
export class SelfInstruments {
  readonly #metrics = new Map(Object.entries(SELF_METRICS).map(([key, row]) => [key, new SelfMetric(row)]));
  readonly #failed: (thrown: unknown) => void;

  /** `failed` is told when a gauge could not be observed; it keeps its last values. */
  constructor(options: { readonly failed: (thrown: unknown) => void }) {
    this.#failed = options.failed;
  }

  count(key: CounterKey, attributes: Attributes, increment = 1): void {
    this.#metrics.get(key)?.count(attributes, increment);
  }

  /** Several parts may contribute to one gauge. A last value is repeated for ever: what is over must be observed as such. */
  gauge(key: GaugeKey, observe: () => Iterable<Observation>): void {
    this.#metrics.get(key)?.observers.push(observe);
  }

  /** All metrics that have points. The next call changes these points: whoever needs them longer takes a copy. */
  collect(nowMs: number): MetricData[] {
    const now = hrTimeFromMs(nowMs);
    const collected: MetricData[] = [];
    for (const metric of this.#metrics.values()) {
      try {
        metric.update(now);
      } catch (thrown) {
        this.#failed(thrown);
      }
      if (metric.data.dataPoints.length > 0) collected.push(metric.data);
    }
    return collected;
  }
}

class SelfMetric {
  readonly data: MetricData;
  readonly observers: (() => Iterable<Observation>)[] = [];
  readonly #counts = new Map<string, { value: number; readonly attributes: Attributes }>();
  readonly #points: LivePoint<number>[] = [];
  readonly #pointOfText = new Map<string, LivePoint<number>>();
  readonly #pointOfObject = new WeakMap<Attributes, LivePoint<number>>();

  constructor({ name, unit, description, instrument }: (typeof SELF_METRICS)[keyof typeof SELF_METRICS]) {
    const base = {
      descriptor: { name, unit, description, valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPoints: this.#points,
    };
    this.data =
      instrument === 'counter'
        ? { ...base, dataPointType: DataPointType.SUM, isMonotonic: true }
        : { ...base, dataPointType: DataPointType.GAUGE };
  }

  count(attributes: Attributes, increment: number): void {
    const text = JSON.stringify(attributes);
    const count = this.#counts.get(text);
    if (count === undefined) this.#counts.set(text, { value: increment, attributes });
    else count.value += increment;
  }

  update(now: HrTime): void {
    for (const { value, attributes } of this.#counts.values()) this.#point(attributes, now).value = value;
    for (const observe of this.observers) for (const [value, attributes] of observe()) this.#point(attributes, now).value = value;
    for (const point of this.#points) point.endTime = now;
  }

  /** A series starts when it is first collected. */
  #point(attributes: Attributes, now: HrTime): LivePoint<number> {
    const known = this.#pointOfObject.get(attributes);
    if (known !== undefined) return known;
    const text = JSON.stringify(attributes);
    let point = this.#pointOfText.get(text);
    if (point === undefined) {
      point = { attributes, startTime: now, endTime: now, value: 0 };
      this.#pointOfText.set(text, point);
      this.#points.push(point);
    }
    this.#pointOfObject.set(attributes, point);
    return point;
  }
}
