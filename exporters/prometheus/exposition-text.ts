import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { newExposition } from './expositions.ts';
import type { ExpositionOptions } from './expositions.ts';
import { TextPageEncoder } from './text.ts';

/** One collection as a page of text 0.0.4, for `once --format prometheus`. */
export function prometheusText(collection: readonly ResourceMetrics[], options: ExpositionOptions = {}): string {
  const exposition = newExposition('underscores', options);
  exposition.update(collection);
  return new TextPageEncoder('text').encode(exposition).toString('utf8');
}
