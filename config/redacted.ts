import type { AgentConfig } from './agent-config.ts';
import { REDACTED } from './secret.ts';

/** The configuration as it may be shown: plain data, secrets and query strings of endpoints replaced by `[redacted]`. */
export function redacted(config: AgentConfig): unknown {
  const exporters = config.exporters.map((exporter) =>
    exporter.type === 'otlp' ? { ...exporter, endpoint: exporter.endpoint.replace(/\?.*$/s, `?${REDACTED}`) } : exporter,
  );
  return JSON.parse(JSON.stringify({ ...config, exporters }));
}
