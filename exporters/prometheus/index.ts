import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from '../../src/errors.ts';
import type { PullExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import { Handler, landingPage } from './handler.ts';
import type { ScrapeOutcome } from './handler.ts';
import { DEFAULT_STRATEGY, escapesNames } from './naming.ts';
import type { EscapingScheme } from './naming.ts';
import { PageEncoder, Pages } from './page.ts';
import type { PageOptions } from './page.ts';
import { readProcessFacts } from './process-families.ts';
import { PROMETHEUS_DEFAULTS, listenAddresses } from './settings.ts';
import type { PrometheusSettings } from './settings.ts';
import { formatListenAddress, parseListenAddress, systemdSockets } from './web/listen-address.ts';
import type { ListenAddress, ListenTarget } from './web/listen-address.ts';
import { certificateWebPolicy, fileWebPolicy } from './web/web-policy.ts';
import type { WebPolicy } from './web/web-policy.ts';
import { WebServer } from './web/web-server.ts';

export interface PrometheusExporterOptions {
  /** Name of this exporter in logs and self-metrics; `prometheus` when absent. */
  readonly id?: string;
  /** The environment that names the sockets of systemd. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

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

/** The functions and facts of the agent that an endpoint uses. */
export interface PrometheusServices {
  /** Latest points, the host's resource first; self-metrics and rows that feed legacy families included. */
  readonly collect: () => Promise<readonly ResourceMetrics[]>;
  /** Changes when a new cycle was applied. */
  readonly generation: () => number;
  readonly isReady: () => boolean;
  /** Returns the source of each metric group, for the landing page. */
  readonly sources: () => Iterable<readonly [group: string, source: string]>;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onScrape: (outcome: ScrapeOutcome) => void;
}

export interface PrometheusExporter extends PullExporter {
  /** Addresses on which it listens, with the ports that were assigned; empty before `start`. */
  readonly addresses: readonly ListenAddress[];
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

interface EndpointOptions extends PageOptions, Pick<PrometheusSettings, 'telemetry_path' | 'max_requests'> {
  /** Name of this exporter in logs and self-metrics; `prometheus` when absent. */
  readonly id?: string;
  readonly listen: readonly ListenTarget[];
  readonly anyPath: boolean;
  readonly policy?: WebPolicy;
}

/** An endpoint: pages made of collections, behind a web server. */
function createEndpoint(options: EndpointOptions, services: PrometheusServices): PrometheusExporter {
  const { log, clock, onScrape } = services;
  const handler = new Handler({ ...options, ...services, ...pageOptions(options, services) });
  const server = new WebServer({
    listen: options.listen,
    ...(options.policy === undefined ? {} : { policy: options.policy }),
    handle: (request, response) => handler.handle(request, response),
    onRefusal: (status) => onScrape({ outcome: 'refused', status }),
    clock,
    log,
  });
  return {
    kind: 'pull',
    id: options.id ?? 'prometheus',
    get addresses() {
      return server.addresses;
    },
    async start() {
      await server.start();
      for (const address of server.addresses) log.info({ address: formatListenAddress(address) }, 'serving metrics');
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function pageOptions(options: EndpointOptions, { collect, generation, clock, log, isReady, sources, version }: PrometheusServices) {
  const hasLegacyNames = escapesNames(options.translation_strategy ?? DEFAULT_STRATEGY);
  return {
    pages: new Pages({
      collect,
      generation,
      clock,
      encoder: new PageEncoder(options, () => readProcessFacts('/proc')),
      onConflicts: (conflicts) => log.warn({ conflicts: conflicts.slice(0, 10) }, 'metrics left out of the page: names or labels clash'),
    }),
    landingPage: () => landingPage({ version, path: options.telemetry_path, isReady: isReady(), sources: sources() }),
    // Names without dots are the same under every scheme but the one that doubles underscores.
    pageEscaping: (asked: EscapingScheme): EscapingScheme => (hasLegacyNames && asked !== 'dots' ? 'underscores' : asked),
  };
}
