import type { Attributes, HrTime } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type {
  DataPoint,
  ExponentialHistogramMetricData,
  GaugeMetricData,
  HistogramMetricData,
  MetricData,
  ResourceMetrics,
  SumMetricData,
} from '@opentelemetry/sdk-metrics';

/** 2026-11-22T12:00:00.123456789Z */
export const END: HrTime = [1_795_348_800, 123_456_789];
export const START: HrTime = [1_795_345_200, 5];

export function point<T>(value: T, attributes: Attributes = {}, endTime: HrTime = END, startTime: HrTime = START): DataPoint<T> {
  return { attributes: Object.freeze(attributes), startTime, endTime, value };
}

export function descriptor(name: string, valueType: ValueType = ValueType.DOUBLE, unit = '1') {
  return { name, description: `About ${name}.`, unit, valueType };
}

export function gauge(name: string, dataPoints: DataPoint<number>[], valueType: ValueType = ValueType.DOUBLE): GaugeMetricData {
  return {
    descriptor: descriptor(name, valueType),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.GAUGE,
    dataPoints,
  };
}

export function counter(name: string, dataPoints: DataPoint<number>[], isMonotonic = true): SumMetricData {
  return {
    descriptor: descriptor(name, ValueType.INT, '{execution}'),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.SUM,
    isMonotonic,
    dataPoints,
  };
}

export function histogram(name: string, dataPoints: HistogramMetricData['dataPoints']): HistogramMetricData {
  return {
    descriptor: descriptor(name, ValueType.DOUBLE, 's'),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints,
  };
}

export function exponential(name: string, dataPoints: ExponentialHistogramMetricData['dataPoints']): ExponentialHistogramMetricData {
  return {
    descriptor: descriptor(name, ValueType.DOUBLE, 's'),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.EXPONENTIAL_HISTOGRAM,
    dataPoints,
  };
}

export function resourceMetrics(
  attributes: Attributes,
  metrics: MetricData[],
  schemaUrl?: string,
  scope = { name: 'neuroncore_counters', version: '0.1.0' },
): ResourceMetrics {
  return {
    resource: resourceFromAttributes(attributes, schemaUrl === undefined ? {} : { schemaUrl }),
    scopeMetrics: [{ scope, metrics }],
  };
}

/** A batch with every kind of point, two processes and awkward values that every encoder can express. */
export function everyKind(): ResourceMetrics[] {
  const schemaUrl = 'https://opentelemetry.io/schemas/1.44.0';
  return [
    resourceMetrics(
      { 'host.name': 'trn1', 'service.name': 'neuron-otel', 'host.cpu.count': 192 },
      [
        gauge('neuron.core.utilization', [
          point(0.25, { 'neuron.device.index': 0, 'neuron.core.index': 1 }),
          point(-0.5, { 'neuron.device.index': 15, 'neuron.core.index': 127 }),
          point(1e-300, {}),
        ]),
        gauge('neuron.memory.used', [point(17_179_869_184, { kind: 'tensors' }), point(-1, { kind: 'x"\\\n\u0007é😀' })], ValueType.INT),
        counter('neuron.ecc.events', [point(2 ** 53 - 1, { type: 'sram' }), point(0, { type: 'hbm' })]),
        counter('neuron.queue', [point(-7, {})], false),
      ],
      schemaUrl,
    ),
    resourceMetrics(
      { 'process.pid': 4242 },
      [
        histogram('latency.classic', [
          point(
            { buckets: { boundaries: [0.1, 1, 10], counts: [1, 2, 3, 4] }, count: 10, sum: 33.5, min: 0.05, max: 12 },
            { kind: 'total' },
          ),
          point({ buckets: { boundaries: [], counts: [3] }, count: 3 }, { kind: 'device' }),
        ]),
        exponential('latency', [
          point(
            {
              count: 300,
              sum: 1.5,
              min: 0.001,
              max: 0.02,
              scale: 5,
              zeroCount: 1,
              positive: { offset: -320, bucketCounts: [0, 1, 150, 128, 20] },
              negative: { offset: 0, bucketCounts: [] },
            },
            { kind: 'total' },
          ),
          point({ count: 0, scale: 0, zeroCount: 0, positive: { offset: 0, bucketCounts: [] }, negative: { offset: 3, bucketCounts: [] } }),
        ]),
      ],
      schemaUrl,
    ),
    resourceMetrics({ 'process.pid': 4243 }, [gauge('neuron.core.utilization', [point(0, { 'neuron.core.index': 3 })])]),
  ];
}
