import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { ExplicitHistograms } from '../wire/explicit-histograms.ts';
import { DeltaConverter } from './delta.ts';
import type { OtlpSettings } from './settings.ts';
import { OrderedTimes } from './ordered-times.ts';

/** `CollectionConverter` turns collections into what one destination asks for: times in order, the form of histograms, temporality. */
export class CollectionConverter {
  readonly #times = new OrderedTimes();
  readonly #explicit: ExplicitHistograms | undefined;
  readonly #delta: DeltaConverter | undefined;

  constructor({ histogram, temporality }: Pick<OtlpSettings, 'histogram' | 'temporality'>, createdAtMs: number) {
    if (histogram === 'explicit') this.#explicit = new ExplicitHistograms();
    if (temporality !== 'cumulative') this.#delta = new DeltaConverter({ temporality, createdAtMs });
  }

  convert(resourceMetrics: readonly ResourceMetrics[]): readonly ResourceMetrics[] {
    const ordered = this.#times.convert(resourceMetrics);
    const explicit = this.#explicit?.convert(ordered) ?? ordered;
    return this.#delta?.convert(explicit) ?? explicit;
  }
}
