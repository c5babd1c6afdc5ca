import type { Resource } from '@opentelemetry/resources';
import type { MetricsBatch } from '../../src/exporter.ts';
import { JsonPoints, jsonMetric, jsonScopeMetrics } from './json-points.ts';
import { jsonAttributes, jsonString } from './json-values.ts';

/** The whole batch as one ExportMetricsServiceRequest in OTLP/JSON, on one line. */
export function otlpJson(batch: MetricsBatch): string {
  const encoder = new JsonPoints();
  return jsonRequest(
    batch.resourceMetrics.map(({ resource, scopeMetrics }) =>
      jsonResourceMetrics(
        resource,
        scopeMetrics.map((scope) =>
          jsonScopeMetrics(
            scope,
            scope.metrics.map((metric) => jsonMetric(metric, encoder.encode(metric))),
          ),
        ),
      ),
    ),
  );
}

/** A `ResourceMetrics` around scopes that are already JSON. */
export function jsonResourceMetrics(resource: Resource, scopeMetrics: readonly string[]): string {
  // The schema URL's place is ResourceMetrics; the OpenTelemetry JS serializer repeats it in the resource, where receivers ignore it.
  const schemaUrl = resource.schemaUrl === undefined || resource.schemaUrl === '' ? '' : `,"schemaUrl":${jsonString(resource.schemaUrl)}`;
  const attributes = jsonAttributes(resource.attributes);
  return (
    `{"resource":{"attributes":${attributes},"droppedAttributesCount":0${schemaUrl}}${schemaUrl},` +
    `"scopeMetrics":[${scopeMetrics.join(',')}]}`
  );
}

/** An ExportMetricsServiceRequest around resources that are already JSON. */
export function jsonRequest(resourceMetrics: readonly string[]): string {
  return `{"resourceMetrics":[${resourceMetrics.join(',')}]}`;
}
