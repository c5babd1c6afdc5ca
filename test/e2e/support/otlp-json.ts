import { asArray, asObject, asObjects, asText, isObject } from './json.ts';
import type { JsonObject } from './json.ts';

/** One point as a receiver of OTLP sees it, with everything that identifies its series spelled out. */
export interface FlatPoint {
  /** Identity: resource, scope, metric, type, temporality and attributes, independent of their order. */
  readonly series: string;
  readonly metric: string;
  readonly scope: string;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Nanoseconds since the epoch; start is 0 where none was sent. */
  readonly startTimeUnixNano: bigint;
  readonly timeUnixNano: bigint;
  /** A number, or the members of a histogram. */
  readonly value: number | Readonly<Record<string, unknown>>;
}

const POINT_LISTS = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'] as const;

/** Every point of OTLP/JSON documents, in their order. Different spellings of one number or attribute come out the same. */
export function flatten(documents: readonly JsonObject[]): FlatPoint[] {
  const points: FlatPoint[] = [];
  for (const document of documents) {
    for (const resourceMetrics of asObjects(document['resourceMetrics'], 'resourceMetrics')) {
      const resource = attributesOf(asObject(resourceMetrics['resource'] ?? {}, 'resource'));
      for (const scopeMetrics of asObjects(resourceMetrics['scopeMetrics'], 'scopeMetrics')) {
        const scope = asObject(scopeMetrics['scope'] ?? {}, 'scope');
        for (const metric of asObjects(scopeMetrics['metrics'], 'metrics')) points.push(...pointsOf(metric, { resource, scope }));
      }
    }
  }
  return points;
}

function pointsOf(metric: JsonObject, at: { readonly resource: JsonObject; readonly scope: JsonObject }): FlatPoint[] {
  const kind = POINT_LISTS.find((list) => metric[list] !== undefined);
  if (kind === undefined) throw new TypeError(`metric without points: ${JSON.stringify(metric)}`);
  const data = asObject(metric[kind], kind);
  const name = asText(metric['name'], 'name');
  const scope = asText(at.scope['name'], 'scope name');
  return asObjects(data['dataPoints'], 'dataPoints').map((point) => {
    const attributes = attributesOf(point);
    const identity = {
      resource: at.resource,
      scope: [scope, at.scope['version'] ?? ''],
      metric: [name, metric['unit'] ?? '', metric['description'] ?? ''],
      kind: [kind, Number(data['aggregationTemporality'] ?? 0), data['isMonotonic'] ?? false],
      attributes,
    };
    return {
      series: JSON.stringify(identity),
      metric: name,
      scope,
      resource: at.resource,
      attributes,
      startTimeUnixNano: nanoseconds(point['startTimeUnixNano']),
      timeUnixNano: nanoseconds(point['timeUnixNano']),
      value: valueOf(point),
    };
  });
}

/** Sorted by key, numbers as numbers. */
function attributesOf(holder: JsonObject): Readonly<Record<string, unknown>> {
  const entries = asObjects(holder['attributes'], 'attributes').map(({ key, value }): readonly [string, unknown] => [
    asText(key, 'key'),
    anyValue(asObject(value, 'value')),
  ]);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function anyValue(value: JsonObject): unknown {
  if (value['stringValue'] !== undefined) return value['stringValue'];
  if (value['boolValue'] !== undefined) return value['boolValue'];
  if (value['intValue'] !== undefined) return Number(value['intValue']);
  if (value['doubleValue'] !== undefined) return Number(value['doubleValue']);
  if (isObject(value['arrayValue'])) return asObjects(value['arrayValue']['values'], 'values').map(anyValue);
  throw new TypeError(`attribute value of an unexpected kind: ${JSON.stringify(value)}`);
}

function valueOf(point: JsonObject): number | Readonly<Record<string, unknown>> {
  if (point['asInt'] !== undefined) return Number(point['asInt']);
  if (point['asDouble'] !== undefined) return Number(point['asDouble']);
  return {
    count: Number(point['count'] ?? 0),
    sum: Number(point['sum'] ?? 0),
    min: Number(point['min'] ?? 0),
    max: Number(point['max'] ?? 0),
    scale: Number(point['scale'] ?? 0),
    zeroCount: Number(point['zeroCount'] ?? 0),
    positive: buckets(point['positive']),
    negative: buckets(point['negative']),
    bucketCounts: asArray(point['bucketCounts'], 'bucketCounts').map(Number),
    explicitBounds: asArray(point['explicitBounds'], 'explicitBounds').map(Number),
  };
}

function buckets(value: unknown): Readonly<Record<string, unknown>> {
  const { offset, bucketCounts } = asObject(value ?? {}, 'buckets');
  return { offset: Number(offset ?? 0), bucketCounts: asArray(bucketCounts, 'bucketCounts').map(Number) };
}

function nanoseconds(value: unknown): bigint {
  if (value === undefined) return 0n;
  if (typeof value === 'string' || typeof value === 'number') return BigInt(value);
  throw new TypeError(`time of an unexpected kind: ${JSON.stringify(value)}`);
}
