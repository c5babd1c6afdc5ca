import { createEndpoint } from './endpoint.ts';
import type { PrometheusExporter, PrometheusServices } from './endpoint.ts';
import { listenAddresses } from './settings.ts';
import type { PrometheusSettings } from './settings.ts';
import { parseListenAddress } from './web/listen-address.ts';
import { systemdSockets } from './web/systemd-sockets.ts';
import { fileWebPolicy } from './web/web-policy.ts';

export type { PrometheusExporter, PrometheusServices } from './endpoint.ts';

export interface PrometheusExporterOptions {
  /** Name of this exporter in logs and self-metrics; `prometheus` when absent. */
  readonly id?: string;
  /** The environment that names the sockets of systemd. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Serves the latest collection to Prometheus and whatever else scrapes. Throws an `AgentError` (`config_invalid`) for a bad address. */
export function createPrometheusExporter(
  settings: PrometheusSettings,
  services: PrometheusServices,
  { id = 'prometheus', env = {} }: PrometheusExporterOptions = {},
): PrometheusExporter {
  const { web_config_file: webConfigFile } = settings;
  return createEndpoint(
    {
      ...settings,
      id,
      listen: settings.systemd_socket
        ? systemdSockets(env).map((fd) => ({ fd }))
        : listenAddresses(settings).map((address) => parseListenAddress(address)),
      anyPath: false,
      ...(webConfigFile === null ? {} : { policy: fileWebPolicy(webConfigFile, services.log) }),
    },
    services,
  );
}
