import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { AgentConfig, ExporterConfig, OtlpConfig, PrometheusConfig } from '../config/agent-config.ts';
import { Secret } from '../config/secret.ts';
import { DeliveryTelemetry } from '../src/delivery-telemetry.ts';
import type { Exporter } from '../src/exporter.ts';
import type { Clock, Host } from '../src/host.ts';
import type { Logger } from '../src/log.ts';
import type { MetricGroup } from '../src/readings.ts';
import type { SelfTelemetry } from '../src/self-telemetry.ts';
import type { SourceId } from '../src/source.ts';
import { JsonStdoutExporter } from './json-stdout/exporter.ts';
import type { LineOutput } from './json-stdout/exporter.ts';
import type { OtlpExporter } from './otlp/exporter.ts';
import { createOtlpExporter } from './otlp/index.ts';
import type { HeaderValue } from './otlp/options.ts';
import { createPrometheusExporter } from './prometheus/index.ts';
import type { PrometheusOptions, PrometheusServices } from './prometheus/index.ts';
import { systemdSockets } from './prometheus/web/systemd-sockets.ts';

/** What exporters need from the agent and the process. */
export interface ExporterServices {
  readonly env: Host['env'];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry: SelfTelemetry;
  readonly stdout: LineOutput;
  readonly version: string;
  /** Everything that is live, self-metrics included. */
  readonly collect: () => Promise<readonly ResourceMetrics[]>;
  readonly generation: () => number;
  readonly isReady: () => boolean;
  readonly sources: () => ReadonlyMap<MetricGroup, SourceId>;
}

/** The one explicit list of destinations: each entry of `exporters` becomes one exporter. */
export function createExporters(config: AgentConfig, services: ExporterServices): Promise<readonly Exporter[]> {
  return Promise.all(config.exporters.map((exporter) => createExporter(exporter, services)));
}

/** Asynchronous, because some exporters load code that nothing else needs. */
async function createExporter(exporter: ExporterConfig, services: ExporterServices): Promise<Exporter> {
  const { clock, telemetry } = services;
  const logger = services.logger.child({ component: exporter.id });
  switch (exporter.type) {
    case 'json_stdout':
      return new JsonStdoutExporter({
        output: services.stdout,
        clock,
        logger,
        onWritten: () => telemetry.reportWritten(exporter.id),
        onDropped: () => telemetry.reportDropped(exporter.id),
      });
    case 'prometheus':
      return createPrometheusExporter(prometheusOptions(exporter, services.env), prometheusServices(services, exporter.id));
    case 'otlp':
      return createOtlp(exporter, { ...services, logger });
  }
}

/** An endpoint's view of the agent. */
export function prometheusServices(services: ExporterServices, id: string): PrometheusServices {
  return {
    ...services,
    log: services.logger.child({ component: id }),
    onScrape: (outcome) => {
      if (outcome.outcome === 'failed') services.telemetry.exportFailed(id, outcome.error);
      if (outcome.outcome === 'served') services.telemetry.exportWorks(id);
    },
  };
}

async function createOtlp(config: OtlpConfig, { clock, logger, telemetry, version }: ExporterServices): Promise<Exporter> {
  const delivery = new DeliveryTelemetry({
    exporter: config.id,
    instruments: telemetry.instruments,
    logger,
    queueState: () => exporter?.queueState,
  });
  let exporter: OtlpExporter | undefined;
  exporter = await createOtlpExporter(
    { ...config, headers: revealed(config.headers) },
    { clock, logger, telemetry: delivery, userAgent: `neuron-otel/${version}` },
  );
  return exporter;
}

function prometheusOptions(config: PrometheusConfig, env: Host['env']): PrometheusOptions {
  const host = config.host.includes(':') ? `[${config.host.replace(/^\[|\]$/g, '')}]` : config.host;
  return {
    listen: config.listen.length > 0 ? config.listen : [`${host}:${config.port}`],
    naming: config.naming,
    strategy: config.translationStrategy,
    telemetryPath: config.telemetryPath,
    maxRequests: config.maxRequests,
    scopeLabels: config.scopeLabels,
    identityLabels: config.identityLabels,
    resourceLabels: config.resourceLabels,
    targetInfo: config.targetInfo,
    legacy: config.legacy,
    ...(config.systemdSocket ? { sockets: systemdSockets(env) } : {}),
    ...(config.webConfigFile === undefined ? {} : { webConfigFile: config.webConfigFile }),
  };
}

/** The one place where header values leave their wrapper: the exporter sends them. */
function revealed(headers: OtlpConfig['headers']): Readonly<Record<string, HeaderValue>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]));
}
