import type { HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { SMOOTHED_STEP_MS } from '../../src/sample-clock.ts';
import { msFromHrTime } from '../../src/series.ts';
import { withPoints } from '../wire/points.ts';
import { remember } from '../wire/remember.ts';

/** Times of one scope of one resource. */
interface ScopeTimes {
  /** Newest time as it was sampled. */
  sampled: HrTime;
  /** Newest time as it was exported, which is later for a sample that came late. */
  exported: HrTime;
}

interface ResourceTimes {
  newest: HrTime;
  readonly scopes: Map<string, ScopeTimes>;
}

/** More resources than a host has processes; times of those that were exported least recently are forgotten. */
const MAX_RESOURCES = 4_096;

interface TimeRange {
  readonly oldest: HrTime;
  readonly newest: HrTime;
}

/**
 * `OrderedTimes` lets no point of a resource be older than a point of that resource that was exported before. Prometheus 3 makes
 * `target_info` from the oldest to the newest time of each resource in a request, and refuses the whole request when they go back. A
 * sample that came late (its source took longer than the agent gathers) gets the newest time exported so far: that moves it by less than
 * the delay, and holding it back for the next request would not help, since that request would begin with the older time.
 */
export class OrderedTimes {
  /** By identity, because other attributes of a resource may come later (instance metadata) while its series stay the same. */
  readonly #resources = new Map<string, ResourceTimes>();
  readonly #identities = new WeakMap<Resource, string>();

  /** Returns the same collection, scopes in order of time; a metric whose times are in order stays the same object. */
  convert(resourceMetrics: readonly ResourceMetrics[]): readonly ResourceMetrics[] {
    return resourceMetrics.map((one) => this.#resource(one));
  }

  #resource(one: ResourceMetrics): ResourceMetrics {
    const { resource, scopeMetrics } = one;
    const ranges = scopeMetrics.map(({ metrics }) => rangeOf(metrics));
    const identity = remember(this.#identities, resource, identityOf);
    const before = this.#resources.get(identity);
    const known = before === undefined || wasSetBack(before, scopeMetrics, ranges) ? undefined : before;
    const times: ResourceTimes = known ?? { newest: [0, 0], scopes: new Map() };
    const floor = times.newest;
    const ordered = scopeMetrics.map((scope, index): { readonly at: HrTime; readonly scope: ScopeMetrics } => {
      const range = ranges[index];
      if (range === undefined) return { at: floor, scope };
      const to = timeToMoveTo(range, floor, times.scopes.get(scope.scope.name));
      const exported = to === undefined ? range.newest : later(to, range.newest);
      times.scopes.set(scope.scope.name, { sampled: range.newest, exported });
      times.newest = later(times.newest, exported);
      if (to === undefined) return { at: range.oldest, scope };
      return { at: to, scope: { scope: scope.scope, metrics: scope.metrics.map((metric) => moved(metric, to)) } };
    });
    this.#keep(identity, times);
    // A collection may be split into several requests: the older scopes go into the first one.
    return { resource, scopeMetrics: ordered.toSorted((a, b) => compare(a.at, b.at)).map(({ scope }) => scope) };
  }

  #keep(identity: string, times: ResourceTimes): void {
    this.#resources.delete(identity);
    this.#resources.set(identity, times);
    const [oldest] = this.#resources.keys();
    if (this.#resources.size > MAX_RESOURCES && oldest !== undefined) this.#resources.delete(oldest);
  }
}

/** Backends of the Prometheus family tell series apart by these and by nothing else of the resource. */
function identityOf({ attributes }: Resource): string {
  const { 'service.namespace': namespace, 'service.name': name, 'service.instance.id': instance } = attributes;
  return JSON.stringify(instance === undefined ? attributes : [namespace, name, instance]);
}

function wasSetBack({ scopes }: ResourceTimes, scopeMetrics: readonly ScopeMetrics[], ranges: readonly (TimeRange | undefined)[]): boolean {
  return scopeMetrics.some(({ scope }, index) => {
    const range = ranges[index];
    const before = scopes.get(scope.name);
    if (range === undefined || before === undefined) return false;
    // The core smooths smaller steps of the wall clock; a sample that is a little older came late.
    return msFromHrTime(before.sampled) - msFromHrTime(range.newest) > SMOOTHED_STEP_MS;
  });
}

/**
 * Returns the time that older points of the scope get; undefined when all are in order. No series gets two points within one millisecond,
 * which is the resolution of the Prometheus family.
 */
function timeToMoveTo({ oldest, newest }: TimeRange, floor: HrTime, scope: ScopeTimes | undefined): HrTime | undefined {
  const isNew = scope !== undefined && compare(newest, scope.sampled) !== 0;
  const isTaken = isNew && millisecondOf(newest) <= millisecondOf(scope.exported);
  if (!isLater(floor, oldest) && !isTaken) return undefined;
  return scope === undefined || millisecondOf(floor) > millisecondOf(scope.exported) ? floor : oneMillisecondAfter(scope.exported);
}

function moved(metric: MetricData, to: HrTime): MetricData {
  return withPoints(metric, (points) =>
    points.map(({ attributes, startTime, endTime, value }) => ({ attributes, startTime, endTime: later(endTime, to), value })),
  );
}

function rangeOf(metrics: readonly MetricData[]): TimeRange | undefined {
  let oldest: HrTime | undefined;
  let newest: HrTime | undefined;
  for (const { dataPoints } of metrics) {
    for (const { endTime } of dataPoints) {
      // Points of one cycle share their time.
      if (endTime === newest) continue;
      if (oldest === undefined || isLater(oldest, endTime)) oldest = endTime;
      if (newest === undefined || isLater(endTime, newest)) newest = endTime;
    }
  }
  return oldest === undefined || newest === undefined ? undefined : { oldest, newest };
}

function compare(a: HrTime, b: HrTime): number {
  return a[0] - b[0] || a[1] - b[1];
}

function isLater(a: HrTime, b: HrTime): boolean {
  return compare(a, b) > 0;
}

function later(a: HrTime, b: HrTime): HrTime {
  return isLater(a, b) ? a : b;
}

function millisecondOf([seconds, nanos]: HrTime): number {
  return seconds * 1000 + Math.floor(nanos / 1e6);
}

function oneMillisecondAfter([seconds, nanos]: HrTime): HrTime {
  return nanos < 999_000_000 ? [seconds, nanos + 1_000_000] : [seconds + 1, nanos - 999_000_000];
}
