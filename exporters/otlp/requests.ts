import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import type { OtlpSettings } from './settings.ts';

/** One encoded ExportMetricsServiceRequest, as the queue takes it. */
export interface EncodedRequest {
  readonly body: Buffer;
  readonly points: number;
}

export interface EncodedRequests {
  readonly requests: readonly EncodedRequest[];
  /** Points that alone are larger than a request may be; they are in none of the requests. */
  readonly oversizedPoints: number;
}

export const UNLIMITED = {
  max_points: Number.POSITIVE_INFINITY,
  max_bytes: Number.POSITIVE_INFINITY,
} as const satisfies OtlpSettings['batch'];

/** One encoding of OTLP. */
export interface RequestEncoder {
  readonly contentType: 'application/x-protobuf' | 'application/json';
  /** Encodes a collection into as few requests as the limits allow, in order. Requests are split between points, never inside one. */
  encode(resourceMetrics: readonly ResourceMetrics[], limits: OtlpSettings['batch']): EncodedRequests;
}

/** Encoded data points of one metric, one after the other. */
export interface EncodedPoints {
  /** Offset of each point in `bytes`, and one more for the end. Both are valid until the next collection is encoded. */
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

/** The contents of one request, before its bytes are put together. */
export interface RequestContents {
  readonly resources: readonly ResourceSlice[];
  readonly points: number;
}

/** An encoding whose points have bytes of their own. The `…Bytes` methods return what the envelope around the points takes at most. */
export interface PointEncoding {
  encodePoints(resource: Resource, scope: ScopeMetrics['scope'], metric: MetricData): EncodedPoints;
  metricBytes(metric: MetricData): number;
  scopeBytes(scope: ScopeMetrics['scope']): number;
  resourceBytes(resource: Resource): number;
}

/** Encodes the points of a collection and spreads them over as few requests as the limits allow, in order. */
export function splitIntoRequests(
  resourceMetrics: readonly ResourceMetrics[],
  encoding: PointEncoding,
  limits: OtlpSettings['batch'],
): { readonly requests: readonly RequestContents[]; readonly oversizedPoints: number } {
  const splitter = new RequestSplitter(encoding, limits);
  for (const { resource, scopeMetrics } of resourceMetrics) {
    splitter.resource(resource);
    for (const { scope, metrics } of scopeMetrics) {
      splitter.scope(scope);
      for (const metric of metrics) splitter.metric(metric, encoding.encodePoints(resource, scope, metric));
    }
  }
  return splitter.finish();
}

class RequestSplitter {
  readonly #encoding: PointEncoding;
  readonly #limits: OtlpSettings['batch'];
  readonly #requests: RequestContents[] = [];
  #oversizedPoints = 0;
  #isSplit = false;
  /** The open request. */
  #resources: ResourceSlice[] = [];
  #points = 0;
  #bytes = 0;
  /** Envelopes that the next points belong to. */
  #resource: ResourceSlice | undefined;
  #scope: ScopeSlice | undefined;

  constructor(encoding: PointEncoding, limits: OtlpSettings['batch']) {
    this.#encoding = encoding;
    this.#limits = limits;
  }

  resource(resource: Resource): void {
    this.#resource = { resource, scopes: [] };
    this.#resources.push(this.#resource);
    this.#bytes += this.#encoding.resourceBytes(resource);
  }

  scope(scope: ScopeMetrics['scope']): void {
    this.#scope = { scope, metrics: [] };
    this.#resource?.scopes.push(this.#scope);
    this.#bytes += this.#encoding.scopeBytes(scope);
  }

  metric(metric: MetricData, points: EncodedPoints): void {
    const total = points.offsets.length - 1;
    const envelope = this.#encoding.metricBytes(metric);
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

  finish(): { readonly requests: readonly RequestContents[]; readonly oversizedPoints: number } {
    this.#close();
    return { requests: this.#requests, oversizedPoints: this.#oversizedPoints };
  }

  /** Returns the end of the longest run of points that still fits into the open request. */
  #reach(offsets: Uint32Array, from: number, envelope: number): number {
    const room = this.#limits.max_bytes - this.#bytes - envelope;
    let low = from;
    let high = Math.min(offsets.length - 1, from + this.#limits.max_points - this.#points);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (between(offsets, from, middle) <= room) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Closes the open request and continues in a new one, inside the same resource and scope. */
  #nextRequest(): void {
    const resource = this.#resource;
    const scope = this.#scope;
    this.#isSplit = true;
    this.#close();
    if (resource !== undefined) this.resource(resource.resource);
    if (scope !== undefined) this.scope(scope.scope);
  }

  #close(): void {
    // A request that was cut off may hold envelopes that were opened for points that went into the next one.
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
