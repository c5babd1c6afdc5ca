import { ValueType } from '@opentelemetry/api';
import type { Attributes, HrTime } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { GaugeMetricData, ResourceMetrics, SumMetricData } from '@opentelemetry/sdk-metrics';

/** The labels that every series of the benchmark has, on every page. */
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

/** Metrics that a page is made of; every third is a counter, every third a ratio, the rest are bytes. */
export const METRICS = 10;
/** Neuron processes that the series belong to. */
const PROCESSES = 64;
const CORES = 128;

export type Kind = 'bytes' | 'ratio' | 'total';

export function kindOf(metric: number): Kind {
  return (['bytes', 'ratio', 'total'] as const)[metric % 3] ?? 'bytes';
}

/** One series: its metric, its labels, and a number that its values are derived from. */
export interface BenchSeries {
  readonly metric: number;
  readonly labels: SeriesLabels;
  readonly seed: number;
}

/** One Neuron process with its series. */
export interface BenchProcess {
  readonly pid: string;
  readonly tag: string;
  readonly series: readonly BenchSeries[];
}

/** The processes of a host. Each change takes the oldest process away, or brings a new one in its place, in turn. */
export class Processes {
  readonly present: BenchProcess[];
  readonly #size: number;
  #vacantSlot: number | undefined;
  #changes = 0;

  /** `size` is the number of series with all processes present, a multiple of `METRICS`. */
  constructor(size: number) {
    this.#size = size;
    this.present = Array.from({ length: PROCESSES }, (_, slot) => newProcess(size, slot, 0));
  }

  change(): { readonly left?: BenchProcess; readonly came?: BenchProcess } {
    this.#changes += 1;
    if (this.#vacantSlot === undefined) {
      this.#vacantSlot = Math.floor(this.#changes / 2) % PROCESSES;
      const left = this.present.shift();
      return left === undefined ? {} : { left };
    }
    const came = newProcess(this.#size, this.#vacantSlot, this.#changes);
    this.#vacantSlot = undefined;
    this.present.push(came);
    return { came };
  }
}

/** The process that takes a slot for the `generation`th time: its pid differs each time, its tag does not. */
function newProcess(size: number, slot: number, generation: number): BenchProcess {
  const pid = String(4_000 + slot * 7 + generation * 1_000);
  const tag = `train-${slot}`;
  const series: BenchSeries[] = [];
  for (let seed = 0; seed < size; seed += 1) {
    const position = Math.floor(seed / METRICS);
    if (position % PROCESSES !== slot) continue;
    const core = Math.floor(position / PROCESSES) % CORES;
    const labels = {
      neuron_device_index: String(Math.floor(core / 8)),
      neuron_core_index: String(core),
      neuron_memory_category: `category_${Math.floor(position / PROCESSES / CORES)}`,
      process_pid: pid,
      neuron_runtime_tag: tag,
    };
    series.push({ metric: seed % METRICS, labels, seed });
  }
  return { pid, tag, series };
}

/** The value of a series in a round: another one in every round, as neuron-monitor spells such numbers. */
export function valueOf(metric: number, seed: number, round: number): number {
  const noise = ((seed + 1) * 2_654_435_761 + round * 40_503) % 4_294_967_291;
  switch (kindOf(metric)) {
    case 'bytes':
      return noise * 8;
    case 'ratio':
      return (noise % 10_000) / 10_000;
    case 'total':
      return seed * 1_000 + round;
  }
}

/** The change that a server makes between two scrapes. */
export interface Advance {
  /** Rises with each scrape; the values follow from it. */
  readonly round: number;
  /** True when a process leaves or comes. */
  readonly isChange: boolean;
}

interface Point {
  readonly attributes: Attributes;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  value: number;
}

type Metric = (GaugeMetricData | SumMetricData) & { dataPoints: Point[] };

interface LivePoint {
  readonly metric: number;
  readonly seed: number;
  readonly point: Point;
}

/** The collections of a host with these processes. */
export interface LivingCollection {
  collection(): readonly ResourceMetrics[];
  advance(advance: Advance): void;
}

/** The host and its processes, each with its own resource, as the series store hands them out. */
export function agentCollection(size: number): LivingCollection {
  const processes = new Processes(size);
  const host = { resource: resourceFromAttributes({ 'host.id': 'i-0123456789abcdef0' }), scopeMetrics: [] };
  const entities = new Map(processes.present.map((process) => [process, entityOf(process)]));
  return {
    collection: () => [host, ...[...entities.values()].map(({ resourceMetrics }) => resourceMetrics)],
    advance: ({ round, isChange }) => {
      const { left, came } = isChange ? processes.change() : {};
      if (left !== undefined) entities.delete(left);
      if (came !== undefined) entities.set(came, entityOf(came));
      for (const { points } of entities.values()) move(points, round);
    },
  };
}

function entityOf({ pid, tag, series }: BenchProcess): { readonly resourceMetrics: ResourceMetrics; readonly points: LivePoint[] } {
  const points = series.map(({ metric, labels, seed }) => {
    const attributes = {
      'neuron.device.index': Number(labels.neuron_device_index),
      'neuron.core.index': Number(labels.neuron_core_index),
      'neuron.memory.category': labels.neuron_memory_category,
    };
    return { metric, seed, point: newPoint(attributes) };
  });
  const resource = resourceFromAttributes({ 'process.pid': Number(pid), 'neuron.runtime.tag': tag });
  return { points, resourceMetrics: { resource, scopeMetrics: [{ scope: SCOPE, metrics: metricsOf(points) }] } };
}

/** The same series under one resource, which is all that the SDK's serializer knows; identity is on the points. */
export function flatCollection(size: number): LivingCollection {
  const processes = new Processes(size);
  const pointsOf = ({ series }: BenchProcess): LivePoint[] =>
    series.map(({ metric, labels, seed }) => ({ metric, seed, point: newPoint({ ...labels }) }));
  const known = new Map(processes.present.map((process) => [process, pointsOf(process)]));
  const resource = resourceFromAttributes({});
  let metrics = metricsOf([...known.values()].flat());
  return {
    collection: () => [{ resource, scopeMetrics: [{ scope: SCOPE, metrics }] }],
    advance: ({ round, isChange }) => {
      if (isChange) {
        const { left, came } = processes.change();
        if (left !== undefined) known.delete(left);
        if (came !== undefined) known.set(came, pointsOf(came));
        metrics = metricsOf([...known.values()].flat());
      }
      for (const points of known.values()) move(points, round);
    },
  };
}

const SCOPE = { name: 'memory_used', version: '0' };

function newPoint(attributes: Attributes): Point {
  return { attributes: Object.freeze(attributes), startTime: [1_767_225_600, 0], endTime: [1_767_225_610, 0], value: 0 };
}

function move(points: readonly LivePoint[], round: number): void {
  for (const { metric, seed, point } of points) point.value = valueOf(metric, seed, round);
}

function metricsOf(points: readonly LivePoint[]): Metric[] {
  const metrics = new Map<number, Metric>();
  for (const { metric, point } of points) {
    const data = metrics.get(metric) ?? newMetric(metric);
    metrics.set(metric, data);
    data.dataPoints.push(point);
  }
  return [...metrics.values()];
}

const DESCRIPTORS = Array.from({ length: METRICS }, (_, metric) => ({
  name: `neuron.bench.metric_${metric}`,
  description: 'A metric of the benchmark.',
  unit: '',
  valueType: kindOf(metric) === 'ratio' ? ValueType.DOUBLE : ValueType.INT,
}));

function newMetric(metric: number): Metric {
  const descriptor = DESCRIPTORS[metric];
  if (descriptor === undefined) throw new RangeError('no such metric');
  const shared = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE, dataPoints: [] };
  return kindOf(metric) === 'total'
    ? { ...shared, dataPointType: DataPointType.SUM, isMonotonic: true }
    : { ...shared, dataPointType: DataPointType.GAUGE };
}
