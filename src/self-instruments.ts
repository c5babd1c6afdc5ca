import type { Attributes, Meter, ObservableResult } from '@opentelemetry/api';
import { SELF_METRICS } from './self-metrics.ts';
import type { CounterKey, GaugeKey } from './self-metrics.ts';

/** One value of a gauge with its attributes. */
export type Observation = readonly [value: number, attributes: Attributes];

/** The instruments behind `SELF_METRICS`: counts and gauges are kept here and observed at collection, so events cost next to nothing. */
export class SelfInstruments {
  readonly #counts = new Map<string, Map<string, { value: number; readonly attributes: Attributes }>>();
  readonly #gauges = new Map<string, Set<() => Iterable<Observation>>>();

  count(key: CounterKey, attributes: Attributes, increment = 1): void {
    let series = this.#counts.get(key);
    if (series === undefined) this.#counts.set(key, (series = new Map()));
    const id = JSON.stringify(attributes);
    const count = series.get(id);
    if (count === undefined) series.set(id, { value: increment, attributes });
    else count.value += increment;
  }

  /** Several components may contribute to one gauge. The SDK repeats a last value for ever: what is over must be observed as such. */
  gauge(key: GaugeKey, observe: () => Iterable<Observation>): Disposable {
    const observers = this.#gauges.get(key) ?? new Set();
    this.#gauges.set(key, observers.add(observe));
    return { [Symbol.dispose]: () => void observers.delete(observe) };
  }

  /** Makes the instruments. */
  register(meter: Meter): void {
    for (const [key, metric] of Object.entries(SELF_METRICS)) {
      const options = { unit: metric.unit, description: metric.description };
      const instrument =
        metric.instrument === 'counter'
          ? meter.createObservableCounter(metric.name, options)
          : meter.createObservableGauge(metric.name, options);
      instrument.addCallback((result) => this.#observe(key, result));
    }
  }

  #observe(key: string, result: ObservableResult): void {
    for (const { value, attributes } of this.#counts.get(key)?.values() ?? []) result.observe(value, attributes);
    for (const observe of this.#gauges.get(key) ?? []) for (const [value, attributes] of observe()) result.observe(value, attributes);
  }
}
