import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { ExponentialHistogram, Histogram, MetricData, MetricDescriptor, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { ProtobufOutput, ProtobufWriter, VARINT, sizeNested } from '../wire/protobuf-writer.ts';
import type { OtlpSettings } from './settings.ts';
import { DistributionPoints, NumberPoints, writeExponentialPoint, writeHistogramPoint } from './protobuf-points.ts';
import { writeAttributes } from './protobuf-values.ts';
import { remember } from '../wire/remember.ts';
import { splitIntoRequests } from './requests.ts';
import type {
  EncodedPoints,
  EncodedRequests,
  MetricSlice,
  PointEncoding,
  RequestContents,
  RequestEncoder,
  ResourceSlice,
  ScopeSlice,
} from './requests.ts';

/** Tag and length of a nested message, at most. */
const MAX_NESTING_BYTES = 6;

/**
 * `ProtobufEncoder` writes ExportMetricsServiceRequest in protobuf, byte for byte what the OpenTelemetry JS serializer writes. It keeps
 * bytes by identity: of resources, of scopes, of descriptors within their resource and scope, and of attributes. What stays from one
 * collection to the next is copied, not encoded again. Metric data are no key: the SDK makes new ones of its own instruments for each
 * collection.
 */
export class ProtobufEncoder implements RequestEncoder, PointEncoding {
  readonly contentType = 'application/x-protobuf';
  readonly #points = new WeakMap<Resource, WeakMap<InstrumentationScope, WeakMap<MetricDescriptor, MetricPoints>>>();
  readonly #descriptors = new WeakMap<MetricDescriptor, Buffer>();
  readonly #scopes = new WeakMap<InstrumentationScope, Envelope>();
  readonly #resources = new WeakMap<Resource, Envelope>();

  encode(resourceMetrics: readonly ResourceMetrics[], limits: OtlpSettings['batch']): EncodedRequests {
    const { requests, oversizedPoints } = splitIntoRequests(resourceMetrics, this, limits);
    return { requests: requests.map((contents) => ({ body: this.#assemble(contents), points: contents.points })), oversizedPoints };
  }

  encodePoints(resource: Resource, scope: InstrumentationScope, metric: MetricData): EncodedPoints {
    const scopes = remember(this.#points, resource, () => new WeakMap());
    const metrics = remember(scopes, scope, () => new WeakMap());
    return remember(metrics, metric.descriptor, () => new MetricPoints()).encode(metric);
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
  #assemble({ resources }: RequestContents): Buffer {
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

/** Returns the bytes that follow the points: temporality and monotonicity. */
function tailOf(metric: MetricData): Buffer {
  if (metric.dataPointType === DataPointType.GAUGE) return NOTHING;
  const isDelta = metric.aggregationTemporality === AggregationTemporality.DELTA;
  if (metric.dataPointType === DataPointType.SUM && metric.isMonotonic) return isDelta ? MONOTONIC_DELTA : MONOTONIC_CUMULATIVE;
  return isDelta ? DELTA : CUMULATIVE;
}

/** `MetricPoints` keeps the encoded points of one metric of one scope. */
class MetricPoints {
  #numbers: NumberPoints | undefined;
  #histograms: DistributionPoints<Histogram> | undefined;
  #exponentials: DistributionPoints<ExponentialHistogram> | undefined;

  encode(metric: MetricData): EncodedPoints {
    switch (metric.dataPointType) {
      case DataPointType.GAUGE:
      case DataPointType.SUM:
        return (this.#numbers ??= new NumberPoints(metric.descriptor)).encode(metric.dataPoints);
      case DataPointType.HISTOGRAM:
        return (this.#histograms ??= new DistributionPoints(writeHistogramPoint)).encode(metric.dataPoints);
      case DataPointType.EXPONENTIAL_HISTOGRAM:
        return (this.#exponentials ??= new DistributionPoints(writeExponentialPoint)).encode(metric.dataPoints);
    }
  }
}

/** `Metric` up to its data: name, description, unit. */
function descriptorBytes({ name, description, unit }: MetricDescriptor): Buffer {
  const writer = new ProtobufWriter();
  writer.string(1, name);
  if (description !== '') writer.string(2, description);
  if (unit !== '') writer.string(3, unit);
  return writer.take();
}

/** Bytes before and after the contents of a message. */
interface Envelope {
  readonly head: Buffer;
  readonly tail: Buffer;
  /** Bytes of both together. */
  readonly size: number;
}

/** `ScopeMetrics` around its metrics. */
function scopeEnvelope({ name, version, schemaUrl }: InstrumentationScope): Envelope {
  const writer = new ProtobufWriter();
  writer.message(1, () => {
    writer.string(1, name);
    if (version !== undefined && version !== '') writer.string(2, version);
  });
  return envelope(writer.take(), schemaUrl);
}

/** `ResourceMetrics` around its scopes. */
function resourceEnvelope({ attributes, schemaUrl }: Resource): Envelope {
  const writer = new ProtobufWriter();
  writer.message(1, () => {
    writeAttributes(writer, 1, attributes);
    // Proto3 leaves zeros out; the OpenTelemetry JS serializer writes this one, and so do we.
    writer.tag(2, VARINT);
    writer.varint(0);
  });
  return envelope(writer.take(), schemaUrl);
}

function envelope(head: Buffer, schemaUrl: string | undefined): Envelope {
  const writer = new ProtobufWriter();
  if (schemaUrl !== undefined && schemaUrl !== '') writer.string(3, schemaUrl);
  const tail = writer.take();
  return { head, tail, size: head.length + tail.length };
}
