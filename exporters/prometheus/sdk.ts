import type { CollectionResult, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from '../../src/errors.ts';
import { definitionOf } from '../../src/metric-table.ts';
import { ExplicitHistograms } from '../wire/explicit-histograms.ts';
import { withPoints } from '../wire/points.ts';
import type { PrometheusExporter, PrometheusServices } from './index.ts';
import type { PrometheusSettings } from './settings.ts';

/** Settings that the SDK's exporter has. */
export type SdkPageSettings = Pick<PrometheusSettings, 'host' | 'port' | 'telemetry_path' | 'scope_labels' | 'target_info'>;

export interface SdkPageServices extends Pick<PrometheusServices, 'collect' | 'log' | 'onScrape'> {
  readonly id: string;
}

/**
 * Creates the Prometheus exporter of the OpenTelemetry SDK: `implementation: sdk`. Its server and its page are the SDK's own; the agent
 * gives it one collection for each scrape. This module and the SDK's package are imported only then.
 */
export async function createSdkPrometheusExporter(settings: SdkPageSettings, services: SdkPageServices): Promise<PrometheusExporter> {
  const { host, port } = settings;
  const { id, log } = services;
  const sdk = await import('@opentelemetry/exporter-prometheus');
  const explicit = new ExplicitHistograms();
  class CollectionExporter extends sdk.PrometheusExporter {
    override async collect(): Promise<CollectionResult> {
      try {
        return { resourceMetrics: onePage(explicit.convert(await services.collect())), errors: [] };
      } catch (thrown) {
        services.onScrape({ outcome: 'failed', error: AgentError.from(thrown, 'internal', 'prometheus') });
        throw thrown;
      }
    }
  }
  const exporter = new CollectionExporter({
    host,
    port,
    endpoint: settings.telemetry_path,
    withoutScopeInfo: !settings.scope_labels,
    withoutTargetInfo: !settings.target_info,
    preventServerStart: true,
  });
  return {
    kind: 'pull',
    id,
    addresses: [],
    async start() {
      try {
        await exporter.startServer();
      } catch (thrown) {
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        throw new AgentError('config_invalid', 'prometheus', `cannot listen on ${host}:${port}: ${reason}`, { cause: thrown });
      }
      log.info({ address: `${host}:${port}` }, 'serving metrics with the exporter of the OpenTelemetry SDK');
    },
    [Symbol.asyncDispose]: () => exporter.shutdown(),
  };
}

/**
 * Puts every resource of a collection onto one page: the SDK's serializer takes one resource only. Attributes of a process's resource that
 * the host's does not have in the same way become attributes of its points. Rows that feed legacy families only are left out.
 */
export function onePage(collection: readonly ResourceMetrics[]): ResourceMetrics {
  const [host, ...processes] = collection;
  if (host === undefined) throw new RangeError('a collection begins with the resource of the host');
  const scopeMetrics = [host, ...processes].flatMap((one): ScopeMetrics[] => {
    const known = host.resource.attributes;
    const own = Object.fromEntries(Object.entries(one.resource.attributes).filter(([name, value]) => known[name] !== value));
    return one.scopeMetrics.map(({ scope, metrics }) => ({
      scope,
      metrics: metrics
        .filter(({ descriptor }) => definitionOf(descriptor)?.legacyOnly !== true)
        .map((metric) =>
          one === host
            ? metric
            : withPoints(metric, (points) =>
                points.map(({ attributes, startTime, endTime, value }) => ({
                  attributes: { ...own, ...attributes },
                  startTime,
                  endTime,
                  value,
                })),
              ),
        ),
    }));
  });
  return { resource: host.resource, scopeMetrics };
}
