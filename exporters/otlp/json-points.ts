import type { Attributes, HrTime } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, ExponentialHistogram, Histogram, MetricData } from '@opentelemetry/sdk-metrics';
import { jsonAttributes, jsonDouble, jsonTime } from './json-values.ts';

/** Turns points into JSON; keeps the text of attributes that cannot change, by identity. */
export class JsonPoints {
  readonly #attributes = new WeakMap<Attributes, string>();
  #time: HrTime | undefined;
  #timeText = '';

  /** One JSON object for each data point, in order. */
  encode(metric: MetricData): string[] {
    switch (metric.dataPointType) {
      case DataPointType.GAUGE:
      case DataPointType.SUM: {
        const isInt = metric.descriptor.valueType === ValueType.INT;
        return metric.dataPoints.map((point) => this.#number(point, isInt));
      }
      case DataPointType.HISTOGRAM:
        return metric.dataPoints.map((point) => this.#histogram(point));
      case DataPointType.EXPONENTIAL_HISTOGRAM:
        return metric.dataPoints.map((point) => this.#exponential(point));
    }
  }

  #number(point: DataPoint<number>, isInt: boolean): string {
    // An integer has no NaN: such a value goes out as the double it is.
    const value =
      isInt && Number.isFinite(point.value)
        ? `"asInt":${JSON.stringify(Math.trunc(point.value))}`
        : `"asDouble":${jsonDouble(point.value)}`;
    return `{"attributes":${this.#attributesOf(point)},${this.#times(point)},${value}}`;
  }

  #histogram(point: DataPoint<Histogram>): string {
    const { buckets, count, sum, min, max } = point.value;
    return (
      `{"attributes":${this.#attributesOf(point)},"bucketCounts":[${buckets.counts.join(',')}],` +
      `"explicitBounds":[${buckets.boundaries.map(jsonDouble).join(',')}],"count":${count}` +
      `${optional('sum', sum)}${optional('min', min)}${optional('max', max)},${this.#times(point)}}`
    );
  }

  #exponential(point: DataPoint<ExponentialHistogram>): string {
    const { count, sum, min, max, positive, negative, scale, zeroCount } = point.value;
    return (
      `{"attributes":${this.#attributesOf(point)},"count":${count}` +
      `${optional('min', min)}${optional('max', max)}${optional('sum', sum)},` +
      `"positive":{"offset":${positive.offset},"bucketCounts":[${positive.bucketCounts.join(',')}]},` +
      `"negative":{"offset":${negative.offset},"bucketCounts":[${negative.bucketCounts.join(',')}]},` +
      `"scale":${scale},"zeroCount":${zeroCount},${this.#times(point)}}`
    );
  }

  #times(point: DataPoint<unknown>): string {
    if (point.endTime !== this.#time) {
      this.#time = point.endTime;
      this.#timeText = jsonTime(point.endTime);
    }
    return `"startTimeUnixNano":${jsonTime(point.startTime)},"timeUnixNano":${this.#timeText}`;
  }

  #attributesOf({ attributes }: DataPoint<unknown>): string {
    const cached = this.#attributes.get(attributes);
    if (cached !== undefined) return cached;
    const text = jsonAttributes(attributes);
    if (Object.isFrozen(attributes)) this.#attributes.set(attributes, text);
    return text;
  }
}

function optional(key: string, value: number | undefined): string {
  return value === undefined ? '' : `,"${key}":${jsonDouble(value)}`;
}
