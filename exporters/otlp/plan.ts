import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import type { OtlpBatchOptions } from './options.ts';
import type { ContentType } from './record.ts';

/** Encoded data points of one metric, one after the other. */
export interface EncodedPoints {
  /** Where each point begins in `bytes`; one more for the end. Read before the next `encode`. */
  readonly offsets: Uint32Array;
  readonly bytes: Buffer;
}

/** Points `from` to `to` (exclusive) of one metric. */
export interface MetricSlice {
  readonly metric: MetricData;
  readonly points: EncodedPoints;
  readonly from: number;
  readonly to: number;
}

export interface ScopeSlice {
  readonly scope: ScopeMetrics['scope'];
  readonly metrics: MetricSlice[];
}

export interface ResourceSlice {
  readonly resource: Resource;
  readonly scopes: ScopeSlice[];
}

/** What one request will hold. */
export interface RequestPlan {
  readonly resources: readonly ResourceSlice[];
  readonly points: number;
}

/** One encoding of OTLP. The `…Bytes` methods say how much stands around the points, at most. */
export interface WireFormat {
  readonly contentType: ContentType;
  encodeMetric(metric: MetricData): EncodedPoints;
  metricBytes(metric: MetricData): number;
  scopeBytes(scope: ScopeMetrics['scope']): number;
  resourceBytes(resource: Resource): number;
  /** The body of one request; to be called before the next `encodeMetric`. */
  assemble(plan: RequestPlan): Buffer;
}

export interface BatchPlan {
  readonly requests: readonly RequestPlan[];
  /** Points that alone are larger than a request may be. */
  readonly oversizedPoints: number;
}

/** Spreads a batch over as few requests as the limits allow, in order. Splits between points, never inside one. */
export function planRequests(
  resourceMetrics: readonly ResourceMetrics[],
  format: WireFormat,
  limits: OtlpBatchOptions = { maxPoints: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY },
): BatchPlan {
  const planner = new Planner(format, limits);
  for (const { resource, scopeMetrics } of resourceMetrics) {
    planner.resource(resource);
    for (const { scope, metrics } of scopeMetrics) {
      planner.scope(scope);
      for (const metric of metrics) planner.metric(metric, format.encodeMetric(metric));
    }
  }
  return planner.finish();
}

class Planner {
  readonly #format: WireFormat;
  readonly #limits: OtlpBatchOptions;
  readonly #requests: RequestPlan[] = [];
  #oversizedPoints = 0;
  #isSplit = false;
  /** The open request. */
  #resources: ResourceSlice[] = [];
  #points = 0;
  #bytes = 0;
  /** Envelopes that points to come belong to. */
  #resource: ResourceSlice | undefined;
  #scope: ScopeSlice | undefined;

  constructor(format: WireFormat, limits: OtlpBatchOptions) {
    this.#format = format;
    this.#limits = limits;
  }

  resource(resource: Resource): void {
    this.#resource = { resource, scopes: [] };
    this.#resources.push(this.#resource);
    this.#bytes += this.#format.resourceBytes(resource);
  }

  scope(scope: ScopeMetrics['scope']): void {
    this.#scope = { scope, metrics: [] };
    this.#resource?.scopes.push(this.#scope);
    this.#bytes += this.#format.scopeBytes(scope);
  }

  metric(metric: MetricData, points: EncodedPoints): void {
    const total = points.offsets.length - 1;
    const envelope = this.#format.metricBytes(metric);
    let from = 0;
    do {
      const to = this.#reach(points.offsets, from, envelope);
      if (to > from || total === 0) {
        this.#scope?.metrics.push({ metric, points, from, to });
        this.#points += to - from;
        this.#bytes += envelope + between(points.offsets, from, to);
        from = to;
      } else if (this.#points > 0) {
        this.#nextRequest();
      } else {
        this.#oversizedPoints += 1;
        from += 1;
      }
    } while (from < total);
  }

  finish(): BatchPlan {
    this.#close();
    return { requests: this.#requests, oversizedPoints: this.#oversizedPoints };
  }

  /** End of the longest run of points that still fits into the open request. */
  #reach(offsets: Uint32Array, from: number, envelope: number): number {
    const room = this.#limits.maxBytes - this.#bytes - envelope;
    let low = from;
    let high = Math.min(offsets.length - 1, from + this.#limits.maxPoints - this.#points);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (between(offsets, from, middle) <= room) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Closes the open request and goes on in a new one, inside the same resource and scope. */
  #nextRequest(): void {
    const resource = this.#resource;
    const scope = this.#scope;
    this.#isSplit = true;
    this.#close();
    if (resource !== undefined) this.resource(resource.resource);
    if (scope !== undefined) this.scope(scope.scope);
  }

  #close(): void {
    // Where a request was cut off, it may hold envelopes that were opened for points that went into the next one.
    const resources = this.#isSplit ? withoutEmptyEnvelopes(this.#resources) : this.#resources;
    if (resources.length > 0) this.#requests.push({ resources, points: this.#points });
    this.#resources = [];
    this.#points = 0;
    this.#bytes = 0;
  }
}

function withoutEmptyEnvelopes(resources: readonly ResourceSlice[]): ResourceSlice[] {
  return resources
    .map(({ resource, scopes }) => ({ resource, scopes: scopes.filter(({ metrics }) => metrics.length > 0) }))
    .filter(({ scopes }) => scopes.length > 0);
}

function between(offsets: Uint32Array, from: number, to: number): number {
  return (offsets[to] ?? 0) - (offsets[from] ?? 0);
}
