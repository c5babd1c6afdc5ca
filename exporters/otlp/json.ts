import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { MetricsBatch } from '../../src/exporter.ts';
import { JsonPoints } from './json-points.ts';
import { jsonAttributes, jsonString } from './json-values.ts';
import { planRequests } from './plan.ts';
import type { EncodedPoints, RequestPlan, WireFormat } from './plan.ts';

/** The whole batch as one ExportMetricsServiceRequest in OTLP/JSON, on one line. */
export function otlpJson(batch: MetricsBatch): string {
  const encoder = new JsonEncoder();
  const { requests } = planRequests(batch.resourceMetrics, encoder);
  return encoder.assemble(requests[0] ?? { resources: [], points: 0 }).toString();
}

/** Text before and after the contents of an object. */
interface Envelope {
  readonly head: string;
  readonly tail: string;
}

const COMMA = Buffer.from(',');

/**
 * Writes ExportMetricsServiceRequest in OTLP/JSON, byte for byte what the OpenTelemetry JS serializer writes, except where that
 * is not valid: NaN, infinities, and fractions in integer metrics.
 */
export class JsonEncoder implements WireFormat {
  readonly contentType = 'application/json';
  readonly #points = new JsonPoints();

  /** Each point is followed by a comma; a slice leaves the last one out. */
  encodeMetric(metric: MetricData): EncodedPoints {
    const texts = this.#points.encode(metric);
    const offsets = new Uint32Array(texts.length + 1);
    for (const [index, text] of texts.entries()) offsets[index + 1] = (offsets[index] ?? 0) + Buffer.byteLength(text) + 1;
    return { offsets, bytes: Buffer.from(`${texts.join(',')},`) };
  }

  metricBytes(metric: MetricData): number {
    return envelopeBytes(metricEnvelope(metric));
  }

  scopeBytes(scope: InstrumentationScope): number {
    return envelopeBytes(scopeEnvelope(scope));
  }

  resourceBytes(resource: Resource): number {
    return envelopeBytes(resourceEnvelope(resource));
  }

  assemble({ resources }: RequestPlan): Buffer {
    const request: Envelope = { head: '{"resourceMetrics":[', tail: ']}' };
    return wrap(
      request,
      resources.map(({ resource, scopes }) =>
        wrap(
          resourceEnvelope(resource),
          scopes.map(({ scope, metrics }) =>
            wrap(
              scopeEnvelope(scope),
              metrics.map(({ metric, points, from, to }) =>
                wrap(
                  metricEnvelope(metric),
                  from === to ? [] : [points.bytes.subarray(points.offsets[from], (points.offsets[to] ?? 0) - 1)],
                ),
              ),
            ),
          ),
        ),
      ),
    );
  }
}

function wrap({ head, tail }: Envelope, contents: readonly Buffer[]): Buffer {
  const separated = contents.flatMap((content, index) => (index === 0 ? [content] : [COMMA, content]));
  return Buffer.concat([Buffer.from(head), ...separated, Buffer.from(tail)]);
}

/** With the comma after it. */
function envelopeBytes({ head, tail }: Envelope): number {
  return Buffer.byteLength(head) + Buffer.byteLength(tail) + 1;
}

function resourceEnvelope({ attributes, schemaUrl }: Resource): Envelope {
  // The schema URL's place is ResourceMetrics; the OpenTelemetry JS serializer repeats it in the resource, where receivers ignore it.
  const url = schemaUrl === undefined || schemaUrl === '' ? '' : `,"schemaUrl":${jsonString(schemaUrl)}`;
  const resource = `{"attributes":${jsonAttributes(attributes)},"droppedAttributesCount":0${url}}`;
  return { head: `{"resource":${resource}${url},"scopeMetrics":[`, tail: ']}' };
}

function scopeEnvelope({ name, version, schemaUrl }: InstrumentationScope): Envelope {
  const versionText = version === undefined ? '' : `,"version":${jsonString(version)}`;
  const url = schemaUrl === undefined ? '' : `,"schemaUrl":${jsonString(schemaUrl)}`;
  return { head: `{"scope":{"name":${jsonString(name)}${versionText}},"metrics":[`, tail: `]${url}}` };
}

function metricEnvelope(metric: MetricData): Envelope {
  const { name, description, unit } = metric.descriptor;
  const texts = `"name":${jsonString(name)},"description":${jsonString(description)},"unit":${jsonString(unit)}`;
  return { head: `{${texts},${dataHead(metric)}"dataPoints":[`, tail: ']}}' };
}

function dataHead(metric: MetricData): string {
  const temporality = `"aggregationTemporality":${metric.aggregationTemporality === AggregationTemporality.DELTA ? 1 : 2},`;
  switch (metric.dataPointType) {
    case DataPointType.GAUGE:
      return '"gauge":{';
    case DataPointType.SUM:
      return `"sum":{${temporality}"isMonotonic":${metric.isMonotonic},`;
    case DataPointType.HISTOGRAM:
      return `"histogram":{${temporality}`;
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return `"exponentialHistogram":{${temporality}`;
  }
}
