import { DEFINITION } from '../../cli/config.ts';
import type { AgentConfig } from '../../cli/config.ts';
import { loadConfig } from '../../config/load.ts';
import type { LoadInput, LoadResult } from '../../config/load.ts';
import { OTLP_DEFAULTS } from '../../exporters/otlp/settings.ts';
import type { OtlpSettings } from '../../exporters/otlp/settings.ts';
import { PROMETHEUS_DEFAULTS } from '../../exporters/prometheus/settings.ts';
import type { PrometheusSettings } from '../../exporters/prometheus/settings.ts';

/** Loads a configuration with the sections of every component, as the command line does. */
export function loadInput(input: Partial<LoadInput>): LoadResult<AgentConfig> {
  return loadConfig({ flags: {}, env: {}, ...input }, DEFINITION);
}

/** Settings of an exporter: the defaults under some of its own. */
export type SomeOtlpSettings = Partial<Omit<OtlpSettings, 'queue' | 'batch' | 'tls'>> & {
  readonly endpoint: string;
  readonly queue?: Partial<OtlpSettings['queue']>;
  readonly batch?: Partial<OtlpSettings['batch']>;
  readonly tls?: Partial<OtlpSettings['tls']>;
};

export function otlpSettings({ queue, batch, tls, ...settings }: SomeOtlpSettings): OtlpSettings {
  return {
    ...OTLP_DEFAULTS,
    ...settings,
    queue: { ...OTLP_DEFAULTS.queue, ...queue },
    batch: { ...OTLP_DEFAULTS.batch, ...batch },
    tls: { ...OTLP_DEFAULTS.tls, ...tls },
  };
}

export function prometheusSettings(settings: Partial<PrometheusSettings> = {}): PrometheusSettings {
  return { ...PROMETHEUS_DEFAULTS, ...settings };
}
