import { ValueType } from '@opentelemetry/api';
import type { Attributes, HrTime } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, Histogram, MetricData, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';

/** One point: its attributes are one object for all points that have them, or a copy as SDK instruments may make it. */
interface PointModel {
  readonly attributes: number;
  readonly isCopy: boolean;
  readonly value: number;
  readonly start: number;
}

/** One metric of one scope of one resource. */
interface MetricModel {
  readonly resource: number;
  readonly scope: number;
  readonly kind: number;
  readonly points: readonly PointModel[];
  /** Which bounds its histograms have. */
  readonly bounds: number;
}

type Edit =
  | { readonly edit: 'insert'; readonly at: number; readonly metric: MetricModel }
  | { readonly edit: 'repeat'; readonly at: number; readonly to: number }
  | { readonly edit: 'remove'; readonly at: number }
  | { readonly edit: 'move'; readonly at: number; readonly to: number }
  | { readonly edit: 'values'; readonly at: number; readonly value: number }
  | { readonly edit: 'points'; readonly at: number; readonly points: readonly PointModel[] }
  | { readonly edit: 'reshape'; readonly at: number; readonly bounds: number }
  | { readonly edit: 'host'; readonly resource: number | undefined };

/** What a host shows: its own resource may have no points. */
interface HostModel {
  readonly host: number | undefined;
  readonly metrics: readonly MetricModel[];
}

const RESOURCES = [1, 2, 3].map((pid) =>
  resourceFromAttributes({ 'process.pid': pid, 'neuron.runtime.tag': pid < 3 ? 'same' : 'other', 'host.id': 'i-0' }),
);
const SCOPES = [{ name: 'one', version: '1' }, { name: 'two' }] as const;
const ATTRIBUTES: readonly Attributes[] = [{}, { core: 0 }, { core: 1 }, { 'a.b': 'x', a_b: 'y' }, { 'a.b': 'x;y' }, { text: '"\\\n火' }];
/** The same objects in every collection, as the series store's are. */
const START_TIMES: readonly HrTime[] = [
  [0, 0],
  [1, 500_000_000],
  [2, 0],
];
const BOUNDS = [[], [1, 5], [1, 5, 25], [2, 5]] as const;

/** Different metrics may come under one name, and names may have two types. */
const DESCRIPTORS: readonly (readonly [type: 'gauge' | 'counter' | 'histogram', name: string, unit: string])[] = [
  ['gauge', 'test.level', '1'],
  ['gauge', 'test_level', '1'],
  ['gauge', 'test.work', 's'],
  ['counter', 'test.work', 's'],
  ['counter', 'test.count', '{thing}'],
  ['histogram', 'test.duration', 's'],
  ['histogram', 'test.work', 's'],
  ['gauge', 'target', 'info'],
  ['gauge', 'target.info', ''],
];
const descriptors = DESCRIPTORS.map(([, name, unit]) => ({ name, unit, description: `What ${name} is.`, valueType: ValueType.DOUBLE }));

const point: fc.Arbitrary<PointModel> = fc.record({
  attributes: fc.nat(ATTRIBUTES.length - 1),
  isCopy: fc.boolean(),
  value: fc.oneof(fc.nat(20), fc.double(), fc.constantFrom(1e21, 123_456_789_012)),
  start: fc.nat(START_TIMES.length - 1),
});
const points = fc.array(point, { maxLength: 4 });
const metric: fc.Arbitrary<MetricModel> = fc.record({
  resource: fc.nat(RESOURCES.length - 1),
  scope: fc.nat(SCOPES.length - 1),
  kind: fc.nat(DESCRIPTORS.length - 1),
  points,
  bounds: fc.nat(BOUNDS.length - 1),
});
const at = fc.nat(20);
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ edit: fc.constant('insert' as const), at, metric }),
  fc.record({ edit: fc.constant('repeat' as const), at, to: at }),
  fc.record({ edit: fc.constant('remove' as const), at }),
  fc.record({ edit: fc.constant('move' as const), at, to: at }),
  fc.record({ edit: fc.constant('values' as const), at, value: fc.nat(5000) }),
  fc.record({ edit: fc.constant('points' as const), at, points }),
  fc.record({ edit: fc.constant('reshape' as const), at, bounds: fc.nat(BOUNDS.length - 1) }),
  fc.record({ edit: fc.constant('host' as const), resource: fc.option(fc.nat(RESOURCES.length - 1), { nil: undefined }) }),
);

/** What a host shows at first, and what changes from collection to collection. */
export const histories = fc.record({
  first: fc.array(metric, { minLength: 1, maxLength: 10 }),
  steps: fc.array(fc.array(edit, { maxLength: 3 }), { minLength: 1, maxLength: 8 }),
});

/** The collections of a history. */
export function* collectionsOf({
  first,
  steps,
}: {
  readonly first: readonly MetricModel[];
  readonly steps: readonly (readonly Edit[])[];
}): Iterable<readonly ResourceMetrics[]> {
  let model: HostModel = { host: undefined, metrics: first };
  yield collectionOf(model);
  for (const edits of steps) {
    for (const one of edits) model = edited(model, one);
    yield collectionOf(model);
  }
}

function edited({ host, metrics }: HostModel, change: Edit): HostModel {
  return change.edit === 'host' ? { host: change.resource, metrics } : { host, metrics: editedMetrics(metrics, change) };
}

function editedMetrics(metrics: readonly MetricModel[], change: Exclude<Edit, { readonly edit: 'host' }>): readonly MetricModel[] {
  if (change.edit === 'insert') return metrics.toSpliced(change.at % (metrics.length + 1), 0, change.metric);
  const index = change.at % Math.max(1, metrics.length);
  const old = metrics[index];
  if (old === undefined) return metrics;
  switch (change.edit) {
    case 'repeat':
      return metrics.toSpliced(change.to % metrics.length, 0, old);
    case 'remove':
      return metrics.toSpliced(index, 1);
    case 'move':
      return metrics.toSpliced(index, 1).toSpliced(change.to % metrics.length, 0, old);
    case 'values':
      return metrics.with(index, { ...old, points: old.points.map((one, nth) => ({ ...one, value: change.value + nth })) });
    case 'points':
      return metrics.with(index, { ...old, points: change.points });
    case 'reshape':
      return metrics.with(index, { ...old, bounds: change.bounds });
  }
}

/** Neighbours with one resource, or one scope of it, stand under it together. */
function collectionOf({ host, metrics }: HostModel): readonly ResourceMetrics[] {
  const collection: { resource: ResourceMetrics['resource']; scopeMetrics: ScopeMetrics[] }[] = [];
  const hostResource = host === undefined ? undefined : RESOURCES[host];
  if (hostResource !== undefined) collection.push({ resource: hostResource, scopeMetrics: [] });
  for (const model of metrics) {
    const resource = RESOURCES[model.resource];
    const scope = SCOPES[model.scope];
    if (resource === undefined || scope === undefined) continue;
    let ofResource = collection.at(-1);
    if (ofResource?.resource !== resource) collection.push((ofResource = { resource, scopeMetrics: [] }));
    let ofScope = ofResource.scopeMetrics.at(-1);
    if (ofScope?.scope !== scope) ofResource.scopeMetrics.push((ofScope = { scope, metrics: [] }));
    ofScope.metrics.push(metricOf(model));
  }
  return collection;
}

function metricOf(model: MetricModel): MetricData {
  const descriptor = descriptors[model.kind];
  const [type] = DESCRIPTORS[model.kind] ?? [];
  if (descriptor === undefined) throw new Error(`no metric ${model.kind}`);
  const base = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE };
  if (type === 'histogram') {
    const dataPoints = model.points.map((one) => pointOf(one, histogramOf(one.value, BOUNDS[model.bounds] ?? [])));
    return { ...base, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = model.points.map((one) => pointOf(one, one.value));
  if (type === 'counter') return { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
  return { ...base, dataPointType: DataPointType.GAUGE, dataPoints };
}

function pointOf<T>({ attributes, isCopy, start }: PointModel, value: T): DataPoint<T> {
  const shared = ATTRIBUTES[attributes] ?? {};
  return { attributes: isCopy ? { ...shared } : shared, startTime: START_TIMES[start] ?? [0, 0], endTime: [10, 0], value };
}

function histogramOf(value: number, boundaries: readonly number[]): Histogram {
  const count = Math.trunc(Math.abs(value)) % 1000 || 0;
  return {
    count,
    sum: value,
    buckets: { boundaries: [...boundaries], counts: [...boundaries, 0].map((_, index) => (index === 0 ? count : 0)) },
  };
}
