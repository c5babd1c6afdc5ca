import type { Attributes, HrTime } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, ExponentialHistogram, Histogram, MetricData, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({ minLength: 120, maxLength: 300 }),
);
const int64 = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.constantFrom(0, -1, 127, 128, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1),
);
const double = fc.double({ noNaN: true, noDefaultInfinity: true });
const count = fc.oneof(fc.nat(300), fc.nat(), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7));

const attributeValue: fc.Arbitrary<Attributes[string]> = fc.oneof(
  text,
  int64,
  // The stock JSON serializer writes integers beyond 64 bits as `intValue`, which no receiver can read.
  double.filter((value) => !Number.isInteger(value) || Math.abs(value) < 2 ** 63),
  fc.boolean(),
  fc.array(fc.oneof(fc.string({ maxLength: 5 }), fc.constant(null)), { maxLength: 3 }),
  fc.array(fc.integer(), { maxLength: 3 }),
);

export const attributes: fc.Arbitrary<Attributes> = fc
  .tuple(fc.dictionary(fc.string({ maxLength: 20 }), attributeValue, { maxKeys: 5 }), fc.boolean())
  .map(([entries, freeze]) => (freeze ? Object.freeze({ ...entries }) : { ...entries }));

const time: fc.Arbitrary<HrTime> = fc.oneof(
  fc.tuple(fc.integer({ min: 1_500_000_000, max: 4_000_000_000 }), fc.integer({ min: 0, max: 999_999_999 })),
  fc.constantFrom<HrTime>([0, 0], [0, 5], [1, 0], [65_536, 999_999_999]),
);

function pointOf<T>(value: fc.Arbitrary<T>): fc.Arbitrary<DataPoint<T>> {
  return fc.record({ attributes, startTime: time, endTime: time, value });
}

const optional = fc.option(double, { nil: undefined });

export const histogramValue: fc.Arbitrary<Histogram> = fc
  .record({
    boundaries: fc.array(double, { maxLength: 6 }),
    counts: fc.array(count, { maxLength: 40 }),
    count,
    sum: optional,
    min: optional,
    max: optional,
  })
  .map(({ boundaries, counts, ...rest }) => compact({ buckets: { boundaries, counts }, ...rest }));

const buckets = fc.record({ offset: fc.integer({ min: -2000, max: 2000 }), bucketCounts: fc.array(count, { maxLength: 160 }) });

export const exponentialValue: fc.Arbitrary<ExponentialHistogram> = fc
  .record({
    count,
    sum: optional,
    min: optional,
    max: optional,
    scale: fc.integer({ min: -10, max: 20 }),
    zeroCount: count,
    positive: buckets,
    negative: buckets,
  })
  .map(compact);

/** Optional properties are absent rather than undefined. */
function compact<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

const descriptor = fc.record({
  name: text,
  description: text,
  unit: fc.constantFrom('', '1', 's', 'By', '{execution}'),
  valueType: fc.constant(ValueType.DOUBLE),
});
const intDescriptor = descriptor.map((base) => ({ ...base, valueType: ValueType.INT }));
const aggregationTemporality = fc.constantFrom(AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA);

function points<T>(value: fc.Arbitrary<T>): fc.Arbitrary<DataPoint<T>[]> {
  return fc.array(pointOf(value), { maxLength: 8 });
}

export const metric: fc.Arbitrary<MetricData> = fc.oneof(
  fc.record({ descriptor, aggregationTemporality, dataPointType: fc.constant(DataPointType.GAUGE as const), dataPoints: points(double) }),
  fc.record({
    descriptor: intDescriptor,
    aggregationTemporality,
    dataPointType: fc.constant(DataPointType.GAUGE as const),
    dataPoints: points(int64),
  }),
  fc.record({
    descriptor,
    aggregationTemporality,
    dataPointType: fc.constant(DataPointType.SUM as const),
    isMonotonic: fc.boolean(),
    dataPoints: points(double),
  }),
  fc.record({
    descriptor: intDescriptor,
    aggregationTemporality,
    dataPointType: fc.constant(DataPointType.SUM as const),
    isMonotonic: fc.boolean(),
    dataPoints: points(int64),
  }),
  fc.record({
    descriptor,
    aggregationTemporality,
    dataPointType: fc.constant(DataPointType.HISTOGRAM as const),
    dataPoints: points(histogramValue),
  }),
  fc.record({
    descriptor,
    aggregationTemporality,
    dataPointType: fc.constant(DataPointType.EXPONENTIAL_HISTOGRAM as const),
    dataPoints: points(exponentialValue),
  }),
);

const scope: fc.Arbitrary<ScopeMetrics['scope']> = fc
  .record({ name: text, version: fc.option(text, { nil: undefined }), schemaUrl: fc.option(text, { nil: undefined }) })
  .map(compact);

export const resourceMetrics: fc.Arbitrary<ResourceMetrics> = fc
  .record({
    attributes,
    schemaUrl: fc.option(fc.webUrl(), { nil: undefined }),
    scopeMetrics: fc.array(fc.record({ scope, metrics: fc.array(metric, { maxLength: 5 }) }), { maxLength: 3 }),
  })
  .map(({ attributes: own, schemaUrl, scopeMetrics }) => ({
    resource: resourceFromAttributes(own, schemaUrl === undefined ? {} : { schemaUrl }),
    scopeMetrics,
  }));
