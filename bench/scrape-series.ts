import { ValueType } from '@opentelemetry/api';
import type { Attributes, HrTime } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { GaugeMetricData, ResourceMetrics, SumMetricData } from '@opentelemetry/sdk-metrics';

/** The labels every series of the benchmark has, on every page. */
export interface SeriesLabels {
  readonly neuron_device_index: string;
  readonly neuron_core_index: string;
  readonly neuron_memory_category: string;
  readonly process_pid: string;
  readonly neuron_runtime_tag: string;
}

export const LABEL_NAMES = [
  'neuron_device_index',
  'neuron_core_index',
  'neuron_memory_category',
  'process_pid',
  'neuron_runtime_tag',
] as const satisfies readonly (keyof SeriesLabels)[];

/** Metrics a page is made of; every third is a counter, every third a ratio, the rest are bytes. */
export const METRICS = 10;
/** Neuron processes the series belong to. */
const PROCESSES = 64;
const CORES = 128;

export type Kind = 'bytes' | 'ratio' | 'total';

export function kindOf(metric: number): Kind {
  return (['bytes', 'ratio', 'total'] as const)[metric % 3] ?? 'bytes';
}

/** Metric, labels and position of every series; `size` is a multiple of `METRICS`. */
export function* seriesOf(size: number): Iterable<{ readonly metric: number; readonly labels: SeriesLabels }> {
  for (let index = 0; index < size; index += 1) {
    const place = Math.floor(index / METRICS);
    const process = place % PROCESSES;
    const core = Math.floor(place / PROCESSES) % CORES;
    yield {
      metric: index % METRICS,
      labels: {
        neuron_device_index: String(Math.floor(core / 8)),
        neuron_core_index: String(core),
        neuron_memory_category: `category_${Math.floor(place / PROCESSES / CORES)}`,
        process_pid: String(4_000 + process * 7),
        neuron_runtime_tag: `train-${process}`,
      },
    };
  }
}

/** The value of a series in a round: another one in every round, as neuron-monitor spells such numbers. */
export function valueOf(metric: number, index: number, round: number): number {
  const noise = ((index + 1) * 2_654_435_761 + round * 40_503) % 4_294_967_291;
  switch (kindOf(metric)) {
    case 'bytes':
      return noise * 8;
    case 'ratio':
      return (noise % 10_000) / 10_000;
    case 'total':
      return index * 1_000 + round;
  }
}

interface Point {
  readonly attributes: Attributes;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  value: number;
}

/** Collections of a living host, and a way to move on. */
export interface LivingCollection {
  readonly collection: readonly ResourceMetrics[];
  advance(round: number): void;
}

/** The host and its processes, each with its own resource, as the series store hands them out. */
export function agentCollection(size: number): LivingCollection {
  return livingCollection(size, (labels) => ({
    resource: labels.process_pid,
    attributes: {
      'neuron.device.index': Number(labels.neuron_device_index),
      'neuron.core.index': Number(labels.neuron_core_index),
      'neuron.memory.category': labels.neuron_memory_category,
    },
    resourceAttributes: { 'process.pid': Number(labels.process_pid), 'neuron.runtime.tag': labels.neuron_runtime_tag },
  }));
}

/** The same series under one resource, which is all that the SDK's serializer knows; identity is on the points. */
export function flatCollection(size: number): LivingCollection {
  return livingCollection(size, (labels) => ({ resource: '', attributes: { ...labels }, resourceAttributes: {} }));
}

interface Placement {
  readonly resource: string;
  readonly attributes: Attributes;
  readonly resourceAttributes: Attributes;
}

function livingCollection(size: number, place: (labels: SeriesLabels) => Placement): LivingCollection {
  const points: { readonly metric: number; readonly point: Point }[] = [];
  const byResource = new Map<
    string,
    { readonly attributes: Attributes; readonly metrics: Map<number, (GaugeMetricData | SumMetricData) & { dataPoints: Point[] }> }
  >();
  for (const { metric, labels } of seriesOf(size)) {
    const { resource, attributes, resourceAttributes } = place(labels);
    const own = byResource.get(resource) ?? { attributes: resourceAttributes, metrics: new Map() };
    byResource.set(resource, own);
    const data = own.metrics.get(metric) ?? newMetric(metric);
    own.metrics.set(metric, data);
    const point: Point = { attributes: Object.freeze(attributes), startTime: [1_767_225_600, 0], endTime: [1_767_225_610, 0], value: 0 };
    data.dataPoints.push(point);
    points.push({ metric, point });
  }
  const host = { resource: resourceFromAttributes({ 'host.id': 'i-0123456789abcdef0' }), scopeMetrics: [] };
  const collection = [...byResource.values()].map(({ attributes, metrics }) => ({
    resource: resourceFromAttributes(attributes),
    scopeMetrics: [{ scope: { name: 'memory_used', version: '0' }, metrics: [...metrics.values()] }],
  }));
  return {
    collection: byResource.size === 1 ? collection : [host, ...collection],
    advance: (round) => {
      for (const [index, { metric, point }] of points.entries()) point.value = valueOf(metric, index, round);
    },
  };
}

const DESCRIPTORS = Array.from({ length: METRICS }, (_, metric) => ({
  name: `neuron.bench.metric_${metric}`,
  description: 'A metric of the benchmark.',
  unit: '',
  valueType: kindOf(metric) === 'ratio' ? ValueType.DOUBLE : ValueType.INT,
}));

function newMetric(metric: number): (GaugeMetricData | SumMetricData) & { dataPoints: Point[] } {
  const descriptor = DESCRIPTORS[metric];
  if (descriptor === undefined) throw new RangeError('no such metric');
  const shared = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE, dataPoints: [] };
  return kindOf(metric) === 'total'
    ? { ...shared, dataPointType: DataPointType.SUM, isMonotonic: true }
    : { ...shared, dataPointType: DataPointType.GAUGE };
}
