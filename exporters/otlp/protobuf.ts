import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData, MetricDescriptor } from '@opentelemetry/sdk-metrics';
import { DistributionPoints, writeExponentialPoint, writeHistogramPoint } from './histogram-points.ts';
import { NumberPoints } from './number-points.ts';
import type { EncodedPoints, MetricSlice, RequestPlan, ResourceSlice, ScopeSlice, WireFormat } from './plan.ts';
import { descriptorBytes, resourceEnvelope, scopeEnvelope } from './protobuf-common.ts';
import type { Envelope } from './protobuf-common.ts';
import { remember } from './remember.ts';
import { ProtobufOutput, VARINT, sizeNested } from '../wire/protobuf-writer.ts';

/** Tag and length of a nested message, at most. */
const MAX_NESTING_BYTES = 6;

interface PointEncoder {
  readonly points: EncodedPoints;
  encode(): void;
}

/**
 * Writes ExportMetricsServiceRequest in protobuf, byte for byte what the OpenTelemetry JS serializer writes. It keeps bytes by
 * the identity of metric data, descriptors, scopes, resources and frozen attributes: what stays from one collection to the next
 * is copied, not encoded again.
 */
export class ProtobufEncoder implements WireFormat {
  readonly contentType = 'application/x-protobuf';
  readonly #points = new WeakMap<MetricData, PointEncoder>();
  readonly #descriptors = new WeakMap<MetricDescriptor, Buffer>();
  readonly #scopes = new WeakMap<InstrumentationScope, Envelope>();
  readonly #resources = new WeakMap<Resource, Envelope>();

  encodeMetric(metric: MetricData): EncodedPoints {
    const encoder = remember(this.#points, metric, pointEncoder);
    encoder.encode();
    return encoder.points;
  }

  metricBytes(metric: MetricData): number {
    return 2 * MAX_NESTING_BYTES + this.#descriptor(metric).length + tailOf(metric).length;
  }

  scopeBytes(scope: InstrumentationScope): number {
    return MAX_NESTING_BYTES + this.#scope(scope).size;
  }

  resourceBytes(resource: Resource): number {
    return MAX_NESTING_BYTES + this.#resource(resource).size;
  }

  /** Lengths stand before contents: one pass measures every message, a second one writes them. */
  assemble({ resources }: RequestPlan): Buffer {
    const sizes: number[] = [];
    let total = 0;
    for (const resource of resources) total += sizeNested(this.#measureResource(resource, sizes));
    const out = new ProtobufOutput(total, sizes);
    for (const resource of resources) this.#writeResource(resource, out);
    return out.bytes;
  }

  #measureResource({ resource, scopes }: ResourceSlice, sizes: number[]): number {
    const slot = sizes.push(0) - 1;
    let size = this.#resource(resource).size;
    for (const scope of scopes) size += sizeNested(this.#measureScope(scope, sizes));
    sizes[slot] = size;
    return size;
  }

  #measureScope({ scope, metrics }: ScopeSlice, sizes: number[]): number {
    const slot = sizes.push(0) - 1;
    let size = this.#scope(scope).size;
    for (const slice of metrics) size += sizeNested(this.#measureMetric(slice, sizes));
    sizes[slot] = size;
    return size;
  }

  #measureMetric({ metric, points, from, to }: MetricSlice, sizes: number[]): number {
    const data = (points.offsets[to] ?? 0) - (points.offsets[from] ?? 0) + tailOf(metric).length;
    const size = this.#descriptor(metric).length + sizeNested(data);
    sizes.push(size, data);
    return size;
  }

  #writeResource({ resource, scopes }: ResourceSlice, out: ProtobufOutput): void {
    const { head, tail } = this.#resource(resource);
    out.nested(1);
    out.raw(head);
    for (const scope of scopes) this.#writeScope(scope, out);
    out.raw(tail);
  }

  #writeScope({ scope, metrics }: ScopeSlice, out: ProtobufOutput): void {
    const { head, tail } = this.#scope(scope);
    out.nested(2);
    out.raw(head);
    for (const slice of metrics) this.#writeMetric(slice, out);
    out.raw(tail);
  }

  #writeMetric({ metric, points, from, to }: MetricSlice, out: ProtobufOutput): void {
    out.nested(2);
    out.raw(this.#descriptor(metric));
    out.nested(DATA_FIELDS[metric.dataPointType]);
    out.raw(points.bytes.subarray(points.offsets[from], points.offsets[to]));
    out.raw(tailOf(metric));
  }

  #descriptor({ descriptor }: MetricData): Buffer {
    return remember(this.#descriptors, descriptor, descriptorBytes);
  }

  #scope(scope: InstrumentationScope): Envelope {
    return remember(this.#scopes, scope, scopeEnvelope);
  }

  #resource(resource: Resource): Envelope {
    // Attributes that are still being detected may yet change.
    return resource.asyncAttributesPending === true ? resourceEnvelope(resource) : remember(this.#resources, resource, resourceEnvelope);
  }
}

/** Field of `Metric` that holds its data. */
const DATA_FIELDS = {
  [DataPointType.GAUGE]: 5,
  [DataPointType.SUM]: 7,
  [DataPointType.HISTOGRAM]: 9,
  [DataPointType.EXPONENTIAL_HISTOGRAM]: 10,
} as const;

const TEMPORALITY_TAG = 2 * 8 + VARINT;
const MONOTONIC_TAG = 3 * 8 + VARINT;
const NOTHING = Buffer.alloc(0);
const DELTA = Buffer.of(TEMPORALITY_TAG, 1);
const CUMULATIVE = Buffer.of(TEMPORALITY_TAG, 2);
const MONOTONIC_DELTA = Buffer.of(TEMPORALITY_TAG, 1, MONOTONIC_TAG, 1);
const MONOTONIC_CUMULATIVE = Buffer.of(TEMPORALITY_TAG, 2, MONOTONIC_TAG, 1);

/** What follows the points: temporality and monotonicity. */
function tailOf(metric: MetricData): Buffer {
  if (metric.dataPointType === DataPointType.GAUGE) return NOTHING;
  const isDelta = metric.aggregationTemporality === AggregationTemporality.DELTA;
  if (metric.dataPointType === DataPointType.SUM && metric.isMonotonic) return isDelta ? MONOTONIC_DELTA : MONOTONIC_CUMULATIVE;
  return isDelta ? DELTA : CUMULATIVE;
}

function pointEncoder(metric: MetricData): PointEncoder {
  switch (metric.dataPointType) {
    case DataPointType.GAUGE:
    case DataPointType.SUM: {
      const points = new NumberPoints(metric.descriptor);
      return { points, encode: () => points.encode(metric.dataPoints) };
    }
    case DataPointType.HISTOGRAM: {
      const points = new DistributionPoints(writeHistogramPoint);
      return { points, encode: () => points.encode(metric.dataPoints) };
    }
    case DataPointType.EXPONENTIAL_HISTOGRAM: {
      const points = new DistributionPoints(writeExponentialPoint);
      return { points, encode: () => points.encode(metric.dataPoints) };
    }
  }
}
