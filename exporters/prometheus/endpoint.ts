import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { PullExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { EscapingScheme } from './escaping.ts';
import { newExposition } from './expositions.ts';
import type { ExpositionOptions } from './expositions.ts';
import { Handler } from './handler.ts';
import type { ScrapeOutcome } from './handler.ts';
import { landingPage } from './landing-page.ts';
import { DEFAULT_STRATEGY, escapesNames } from './naming.ts';
import type { PageFormat } from './negotiation.ts';
import { Pages } from './pages.ts';
import type { PageEncoder } from './pages.ts';
import { readProcessFacts } from './process-part.ts';
import { ProtobufPageEncoder } from './protobuf.ts';
import type { PrometheusSettings } from './settings.ts';
import { TextPageEncoder } from './text.ts';
import { formatListenAddress } from './web/listen-address.ts';
import type { ListenAddress, ListenTarget } from './web/listen-address.ts';
import type { WebPolicy } from './web/web-policy.ts';
import { WebServer } from './web/web-server.ts';

/** What an endpoint needs from the agent. */
export interface PrometheusServices {
  /** Latest points, the host's resource first; self-metrics and rows that feed legacy families included. */
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

export interface EndpointOptions extends ExpositionOptions, Pick<PrometheusSettings, 'telemetry_path' | 'max_requests'> {
  /** Name of this exporter in logs and self-metrics; `prometheus` when absent. */
  readonly id?: string;
  readonly listen: readonly ListenTarget[];
  readonly anyPath: boolean;
  readonly policy?: WebPolicy;
}

/** An endpoint: pages made of collections, behind a web server. */
export function createEndpoint(options: EndpointOptions, services: PrometheusServices): PrometheusExporter {
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
      newExposition: (escaping) => newExposition(escaping, options, () => readProcessFacts('/proc')),
      newEncoder,
      onConflicts: (conflicts) => log.warn({ conflicts: conflicts.slice(0, 10) }, 'metrics left out of the page: names or labels clash'),
    }),
    landingPage: () => landingPage({ version, path: options.telemetry_path, isReady: isReady(), sources: sources() }),
    // Names without dots are the same under every scheme but the one that doubles underscores.
    pageEscaping: (asked: EscapingScheme): EscapingScheme => (hasLegacyNames && asked !== 'dots' ? 'underscores' : asked),
  };
}

function newEncoder(format: PageFormat): PageEncoder {
  switch (format) {
    case 'text':
      return new TextPageEncoder('text');
    case 'openmetrics':
      return new TextPageEncoder('openmetrics');
    case 'protobuf':
      return new ProtobufPageEncoder();
  }
}
