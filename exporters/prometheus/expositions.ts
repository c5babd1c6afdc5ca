import type { EscapingScheme } from './escaping.ts';
import { DEFAULT_STRATEGY } from './naming.ts';
import type { TranslationStrategy } from './naming.ts';
import { OtelExposition } from './otel-exposition.ts';
import type { Exposition } from './otel-exposition.ts';

/** What stands on a page, and under which names. */
export interface ExpositionOptions {
  /** The agent's own names, those of neuron-monitor-prometheus.py, or both on one page; `otel` when absent. */
  readonly naming?: 'otel' | 'legacy' | 'both';
  readonly strategy?: TranslationStrategy;
  /** `otel_scope_name` and `otel_scope_version` on every series; off when absent. */
  readonly scopeLabels?: boolean;
  /** Process and pod as labels on the series of Neuron processes; on when absent. */
  readonly identityLabels?: boolean;
  /** Further resource attributes to show as labels, by name; a trailing `*` stands for any ending. */
  readonly resourceLabels?: readonly string[];
  /** `target_info` with the host's resource; on when absent. */
  readonly targetInfo?: boolean;
}

export function newExposition(escaping: EscapingScheme, options: ExpositionOptions): Exposition {
  return new OtelExposition({
    strategy: options.strategy ?? DEFAULT_STRATEGY,
    escaping,
    scopeLabels: options.scopeLabels ?? false,
    identityLabels: options.identityLabels ?? true,
    resourceLabels: options.resourceLabels ?? [],
    targetInfo: options.targetInfo ?? true,
  });
}
