import { createEndpoint } from './endpoint.ts';
import type { PrometheusExporter, PrometheusServices } from './endpoint.ts';
import type { ExpositionOptions } from './expositions.ts';
import { parseListenAddress } from './web/listen-address.ts';
import { fileWebPolicy } from './web/web-policy.ts';

export type { PrometheusExporter, PrometheusServices } from './endpoint.ts';

/** `exporters.prometheus` of the configuration. */
export interface PrometheusOptions extends ExpositionOptions {
  /** Name of this exporter in logs and self-metrics; `prometheus` when absent. */
  readonly id?: string;
  /** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`; `127.0.0.1:9464` when absent. */
  readonly listen?: readonly string[];
  /** Descriptors of sockets to take connections from instead, as systemd passes them. */
  readonly sockets?: readonly number[];
  /** `/metrics` when absent. */
  readonly telemetryPath?: string;
  /** Scrapes answered at the same time; 40 when absent. */
  readonly maxRequests?: number;
  /** A web configuration file of exporter-toolkit's format: TLS, HTTP/2, headers, users, rate limit. */
  readonly webConfigFile?: string;
}

export const DEFAULT_LISTEN_ADDRESS = '127.0.0.1:9464';
export const DEFAULT_TELEMETRY_PATH = '/metrics';
export const DEFAULT_MAX_REQUESTS = 40;

/** Serves the latest collection to Prometheus and whatever else scrapes. Throws an `AgentError` (`config_invalid`) for a bad address. */
export function createPrometheusExporter(options: PrometheusOptions, services: PrometheusServices): PrometheusExporter {
  const { webConfigFile, sockets } = options;
  return createEndpoint(
    {
      ...options,
      listen: sockets?.map((fd) => ({ fd })) ?? (options.listen ?? [DEFAULT_LISTEN_ADDRESS]).map((address) => parseListenAddress(address)),
      telemetryPath: options.telemetryPath ?? DEFAULT_TELEMETRY_PATH,
      anyPath: false,
      maxRequests: options.maxRequests ?? DEFAULT_MAX_REQUESTS,
      ...(webConfigFile === undefined ? {} : { policy: fileWebPolicy(webConfigFile, services.log) }),
    },
    services,
  );
}
