import { EXPECTED_METRICS, expectedPoints, pointKey } from './expected-points.ts';
import type { JsonObject } from './json.ts';
import type { FlatPoint } from './otlp-json.ts';

/** Series → its values, rounded. */
export type SeriesValues = Readonly<Record<string, readonly number[]>>;

/** Scope of the agent's own instruments. */
const SELF_SCOPE = 'neuron-otel';

/** What of each series must arrive, in order. */
export function expectedSeries(records: readonly JsonObject[]): SeriesValues {
  const values = new Map<string, number[]>();
  for (const points of expectedPoints(records)) for (const point of points) append(values, pointKey(point), rounded(point.value));
  return sortedObject(values);
}

/** What of each series did arrive, in order; the agent's own metrics aside. A metric that nobody expects shows up as such. */
export function receivedSeries(received: readonly FlatPoint[]): SeriesValues {
  return sortedObject(valuesBySeries(received.filter(({ scope }) => scope !== SELF_SCOPE)));
}

function valuesBySeries(points: readonly FlatPoint[]): Map<string, number[]> {
  const values = new Map<string, number[]>();
  for (const { metric, attributes, resource, value } of points) {
    const key = EXPECTED_METRICS.has(metric)
      ? pointKey({ metric, ...pidOf(resource), attributes: primitives(attributes) })
      : `unexpected ${metric}`;
    append(values, key, rounded(typeof value === 'number' ? value : Number(value['count'])));
  }
  return values;
}

/** Points that contradict themselves: time going back within a series, a start after the end, buckets that do not add up to the count. */
export function faultsOf(points: readonly FlatPoint[]): readonly string[] {
  const lastTimes = new Map<string, bigint>();
  const wrong: string[] = [];
  for (const { series, metric, startTimeUnixNano, timeUnixNano, value } of points) {
    if (timeUnixNano < (lastTimes.get(series) ?? 0n)) wrong.push(`${metric}: goes back in time`);
    if (startTimeUnixNano > timeUnixNano) wrong.push(`${metric}: starts after its end`);
    if (typeof value !== 'number') wrong.push(...histogramFaults(metric, value));
    lastTimes.set(series, timeUnixNano);
  }
  return wrong;
}

function histogramFaults(metric: string, value: JsonObject): string[] {
  const { positive, zeroCount, count } = value;
  const buckets = typeof positive === 'object' && positive !== null && 'bucketCounts' in positive ? positive.bucketCounts : [];
  const inBuckets = Array.isArray(buckets) ? buckets.map(Number).reduce((sum, one) => sum + one, 0) : Number.NaN;
  return inBuckets + Number(zeroCount) === Number(count) ? [] : [`${metric}: buckets hold ${inBuckets} of ${String(count)}`];
}

/** Sums and scales of doubles may differ in the last digits. */
export function rounded(value: number): number {
  return Number(value.toPrecision(12));
}

function pidOf(resource: JsonObject): { readonly pid?: number } {
  const pid = resource['process.pid'];
  return pid === undefined ? {} : { pid: Number(pid) };
}

function primitives(attributes: JsonObject): Record<string, string | number> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, typeof value === 'number' ? value : String(value)]));
}

function append(values: Map<string, number[]>, key: string, value: number): void {
  const list = values.get(key);
  if (list === undefined) values.set(key, [value]);
  else list.push(value);
}

function sortedObject(values: ReadonlyMap<string, readonly number[]>): SeriesValues {
  return Object.fromEntries([...values].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
