import type { EscapingScheme } from './escaping.ts';
import { Exposition } from './exposition.ts';
import type { ExpositionPart } from './exposition.ts';
import { LegacyPart } from './legacy-part.ts';
import { DEFAULT_STRATEGY } from './naming.ts';
import type { TranslationStrategy } from './naming.ts';
import { OtelPart } from './otel-part.ts';
import { ProcessPart } from './process-part.ts';
import type { ProcessFacts } from './process-part.ts';

/** `otel`: the agent's own names; `legacy`: those of neuron-monitor-prometheus.py; `both`: all of them on one page. */
export type Naming = 'otel' | 'legacy' | 'both';

/** What stands on a page, and under which names. */
export interface ExpositionOptions {
  /** `otel` when absent. */
  readonly naming?: Naming;
  /** How OpenTelemetry names become Prometheus names; with unit suffixes and underscores when absent. */
  readonly strategy?: TranslationStrategy;
  /** `otel_scope_name` and `otel_scope_version` on every series; off when absent. */
  readonly scopeLabels?: boolean;
  /** Process and pod as labels on the series of Neuron processes; on when absent. */
  readonly identityLabels?: boolean;
  /** Further resource attributes to show as labels, by name; a trailing `*` stands for any ending. */
  readonly resourceLabels?: readonly string[];
  /** `target_info` with the host's resource; on when absent. */
  readonly targetInfo?: boolean;
  readonly legacy?: {
    /** `pod_name`, `namespace` and `container_name` on the families of Neuron processes; off when absent. */
    readonly podLabels?: boolean;
    /** `pid` on the families of Neuron processes, which the script does not have; off when absent. */
    readonly processLabel?: boolean;
  };
}

/** `processFacts` adds the `process_*` families to legacy pages. */
export function newExposition(escaping: EscapingScheme, options: ExpositionOptions, processFacts?: () => ProcessFacts): Exposition {
  const naming = options.naming ?? 'otel';
  const parts: ExpositionPart[] = [];
  if (naming !== 'legacy') parts.push(newOtelPart(escaping, options));
  if (naming !== 'otel') {
    const { podLabels = false, processLabel = false } = options.legacy ?? {};
    if (processFacts !== undefined) parts.push(new ProcessPart(processFacts));
    parts.push(new LegacyPart({ podLabels, processLabel }));
  }
  return new Exposition(parts);
}

function newOtelPart(escaping: EscapingScheme, options: ExpositionOptions): OtelPart {
  return new OtelPart({
    strategy: options.strategy ?? DEFAULT_STRATEGY,
    escaping,
    scopeLabels: options.scopeLabels ?? false,
    identityLabels: options.identityLabels ?? true,
    resourceLabels: options.resourceLabels ?? [],
    targetInfo: options.targetInfo ?? true,
  });
}
