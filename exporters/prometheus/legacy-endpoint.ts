import { AgentError } from '../../src/errors.ts';
import { createEndpoint } from './endpoint.ts';
import type { PrometheusExporter, PrometheusServices } from './endpoint.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import { certificateWebPolicy } from './web/web-policy.ts';

/** The command line of neuron-monitor-prometheus.py. */
export interface LegacyEndpointOptions {
  /** 8000 when absent; 0 takes any free port. */
  readonly port?: number;
  /** All addresses when absent, as the script does. */
  readonly host?: string;
  /** With both, HTTPS; read again when the SHA-256 of their content changes. */
  readonly keyFile?: string;
  readonly certFile?: string;
  /** `pod_name`, `namespace` and `container_name` on the families of Neuron processes. */
  readonly enableK8sInfo?: boolean;
  /** Scrapes answered at the same time; the default of `max_requests` when absent. */
  readonly maxRequests?: number;
}

export const DEFAULT_LEGACY_PORT = 8000;

/**
 * Stands in for neuron-monitor-prometheus.py: its page, on every path. Throws an `AgentError` (`config_invalid`) when only one of
 * certificate and key is given.
 */
export function createLegacyEndpoint(options: LegacyEndpointOptions, services: PrometheusServices): PrometheusExporter {
  const { keyFile, certFile } = options;
  if ((keyFile === undefined) !== (certFile === undefined)) {
    throw new AgentError('config_invalid', 'prometheus', 'HTTPS needs both a key file and a certificate file');
  }
  return createEndpoint(
    {
      naming: 'legacy',
      legacy: { pod_labels: options.enableK8sInfo ?? false },
      listen: [{ host: options.host, port: options.port ?? DEFAULT_LEGACY_PORT }],
      telemetry_path: PROMETHEUS_DEFAULTS.telemetry_path,
      anyPath: true,
      max_requests: options.maxRequests ?? PROMETHEUS_DEFAULTS.max_requests,
      ...(keyFile === undefined || certFile === undefined ? {} : { policy: certificateWebPolicy({ keyFile, certFile }, services.log) }),
    },
    services,
  );
}
