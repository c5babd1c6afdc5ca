import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { ExplicitHistograms } from '../wire/explicit-histograms.ts';
import { DeltaConverter } from './delta.ts';
import type { OtlpSettings } from './settings.ts';
import { OrderedTimes } from './ordered-times.ts';
import { ProcessAttributes } from './process-attributes.ts';

/** `CollectionConverter` turns collections into the form that one destination asks for: times in order, histograms, temporality, attributes. */
export class CollectionConverter {
  readonly #times = new OrderedTimes();
  readonly #explicit: ExplicitHistograms | undefined;
  readonly #delta: DeltaConverter | undefined;
  readonly #processes: ProcessAttributes | undefined;

  constructor(settings: Pick<OtlpSettings, 'histogram' | 'temporality' | 'process_attributes'>, createdAtMs: number) {
    const { histogram, temporality, process_attributes: repeatsProcess } = settings;
    if (histogram === 'explicit') this.#explicit = new ExplicitHistograms();
    if (temporality !== 'cumulative') this.#delta = new DeltaConverter({ temporality, createdAtMs });
    if (repeatsProcess) this.#processes = new ProcessAttributes();
  }

  convert(resourceMetrics: readonly ResourceMetrics[]): readonly ResourceMetrics[] {
    const ordered = this.#times.convert(resourceMetrics);
    const explicit = this.#explicit?.convert(ordered) ?? ordered;
    const inTemporality = this.#delta?.convert(explicit) ?? explicit;
    return this.#processes?.convert(inTemporality) ?? inTemporality;
  }
}
