import type { Attributes, HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** Resource attributes that identify a Neuron process and its workload. */
const PROCESS_ATTRIBUTES = [
  'process.pid',
  'neuron.runtime.tag',
  'k8s.namespace.name',
  'k8s.pod.name',
  'k8s.container.name',
  'container.id',
] as const;

/** The members that every kind of data point has. */
interface AnyPoint {
  readonly attributes: Attributes;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly value: unknown;
}

/** A view of a live point with more attributes. Its attributes stay one object, so that an encoder can cache by them. */
class PointOfProcess implements AnyPoint {
  readonly attributes: Attributes;
  readonly #point: AnyPoint;

  constructor(point: AnyPoint, ofProcess: Attributes) {
    this.#point = point;
    this.attributes = Object.freeze({ ...ofProcess, ...point.attributes });
  }

  get startTime(): HrTime {
    return this.#point.startTime;
  }

  get endTime(): HrTime {
    return this.#point.endTime;
  }

  get value(): unknown {
    return this.#point.value;
  }
}

/**
 * `ProcessAttributes` repeats the identity of a Neuron process as attributes of its points, for backends that keep nothing of the resource
 * but `service.name` and `service.instance.id` and cannot promote other attributes. A point's own attribute wins over the resource's.
 */
export class ProcessAttributes {
  readonly #ofResource = new WeakMap<Resource, { readonly attributes: Attributes; readonly views: WeakMap<object, PointOfProcess> }>();

  convert(resourceMetrics: readonly ResourceMetrics[]): readonly ResourceMetrics[] {
    return resourceMetrics.map((metrics) => this.#ofProcess(metrics));
  }

  #ofProcess({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
    const { attributes, views } = this.#identity(resource);
    if (attributes['process.pid'] === undefined) return { resource, scopeMetrics };
    const view = (point: AnyPoint): PointOfProcess => {
      let known = views.get(point);
      if (known === undefined) views.set(point, (known = new PointOfProcess(point, attributes)));
      return known;
    };
    return {
      resource,
      scopeMetrics: scopeMetrics.map((scope) => ({
        scope: scope.scope,
        // The SDK types arrays of four point types; a view has the type of the point that it shows.
        metrics: scope.metrics.map((metric) => ({ ...metric, dataPoints: metric.dataPoints.map((point) => view(point)) }) as MetricData),
      })),
    };
  }

  #identity(resource: Resource): { readonly attributes: Attributes; readonly views: WeakMap<object, PointOfProcess> } {
    let known = this.#ofResource.get(resource);
    if (known === undefined) {
      const attributes: Attributes = {};
      for (const name of PROCESS_ATTRIBUTES) {
        const value = resource.attributes[name];
        if (value !== undefined) attributes[name] = value;
      }
      known = { attributes, views: new WeakMap() };
      this.#ofResource.set(resource, known);
    }
    return known;
  }
}
