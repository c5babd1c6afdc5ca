import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { PullExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import { newExposition } from './expositions.ts';
import type { ExpositionOptions } from './expositions.ts';
import { Handler } from './handler.ts';
import type { ScrapeOutcome } from './handler.ts';
import { landingPage } from './landing-page.ts';
import { formatListenAddress, parseListenAddress } from './listen-address.ts';
import type { ListenAddress } from './listen-address.ts';
import { escapesNames } from './naming.ts';
import { readProcessFacts } from './process-exposition.ts';
import { Pages } from './pages.ts';
import type { PageEncoder } from './pages.ts';
import type { PageFormat } from './negotiation.ts';
import { TextPageEncoder } from './text.ts';
import { WebServer } from './web-server.ts';

/** `exporters.prometheus` of the configuration. */
export interface PrometheusOptions extends ExpositionOptions {
  /** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`; `127.0.0.1:9464` when absent. */
  readonly listen?: readonly string[];
  /** `/metrics` when absent. */
  readonly telemetryPath?: string;
  /** Scrapes answered at the same time; 40 when absent. */
  readonly maxRequests?: number;
}

/** What the exporter needs from the agent. */
export interface PrometheusServices {
  /** Latest points, host first, self-metrics included. */
  readonly collect: () => Promise<readonly ResourceMetrics[]>;
  /** Changes when a new cycle was applied. */
  readonly generation: () => number;
  readonly isReady: () => boolean;
  /** Which source serves which metric group, for the landing page. */
  readonly sources: () => Iterable<readonly [group: string, source: string]>;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onScrape: (outcome: ScrapeOutcome) => void;
}

export interface PrometheusExporter extends PullExporter {
  /** Where it listens, ports as they were assigned; empty before `start`. */
  readonly addresses: readonly ListenAddress[];
}

export const DEFAULT_LISTEN_ADDRESS = '127.0.0.1:9464';
export const DEFAULT_TELEMETRY_PATH = '/metrics';
export const DEFAULT_MAX_REQUESTS = 40;

/** Serves the latest collection to Prometheus and whatever else scrapes. */
export function createPrometheusExporter(options: PrometheusOptions, services: PrometheusServices): PrometheusExporter {
  const { log, isReady, sources, version } = services;
  const telemetryPath = options.telemetryPath ?? DEFAULT_TELEMETRY_PATH;
  const isEscaping = escapesNames(options.strategy ?? 'UnderscoreEscapingWithSuffixes');
  const handler = new Handler({
    pages: new Pages({
      collect: services.collect,
      generation: services.generation,
      clock: services.clock,
      newExposition: (escaping) => newExposition(escaping, options, () => readProcessFacts('/proc')),
      newEncoder,
      onConflicts: (conflicts) =>
        log.warn({ conflicts: conflicts.slice(0, 10) }, 'metrics left out of the page: their names or labels clash'),
    }),
    telemetryPath,
    anyPath: false,
    maxRequests: options.maxRequests ?? DEFAULT_MAX_REQUESTS,
    isReady,
    landingPage: () => landingPage({ version, telemetryPath, isReady: isReady(), sources: sources() }),
    // Names that hold no dots are the same under every scheme but the one that doubles underscores.
    pageEscaping: (asked) => (isEscaping && asked !== 'dots' ? 'underscores' : asked),
    onScrape: services.onScrape,
  });
  const server = new WebServer({
    listen: (options.listen ?? [DEFAULT_LISTEN_ADDRESS]).map((address) => parseListenAddress(address)),
    handle: (request, response) => handler.handle(request, response),
  });
  return {
    kind: 'pull',
    id: 'prometheus',
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

function newEncoder(format: PageFormat): PageEncoder {
  switch (format) {
    case 'text':
      return new TextPageEncoder('text');
    case 'openmetrics':
      return new TextPageEncoder('openmetrics');
    case 'protobuf':
      return new TextPageEncoder('text');
  }
}
