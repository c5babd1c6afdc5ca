import type { EscapingScheme } from './escaping.ts';
import { Exposition } from './exposition.ts';
import type { ExpositionPart } from './exposition.ts';
import { LegacyPart } from './legacy-part.ts';
import { OtelPart } from './otel-part.ts';
import { ProcessPart } from './process-part.ts';
import type { ProcessFacts } from './process-part.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import type { PrometheusSettings } from './settings.ts';

/** The settings of a page's content; the defaults hold for what is absent. */
export interface ExpositionOptions extends Partial<
  Pick<PrometheusSettings, 'naming' | 'translation_strategy' | 'scope_labels' | 'identity_labels' | 'resource_labels' | 'target_info'>
> {
  readonly legacy?: Partial<PrometheusSettings['legacy']>;
}

/** `processFacts` adds the `process_*` families to legacy pages. */
export function newExposition(escaping: EscapingScheme, options: ExpositionOptions, processFacts?: () => ProcessFacts): Exposition {
  const { naming, legacy, ...settings } = { ...PROMETHEUS_DEFAULTS, ...options };
  const parts: ExpositionPart[] = [];
  if (naming !== 'legacy') parts.push(new OtelPart(settings, escaping));
  if (naming !== 'otel') {
    if (processFacts !== undefined) parts.push(new ProcessPart(processFacts));
    parts.push(new LegacyPart({ ...PROMETHEUS_DEFAULTS.legacy, ...legacy }));
  }
  return new Exposition(parts);
}
