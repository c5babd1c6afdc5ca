import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { DeliveryTelemetry } from '../src/delivery-telemetry.ts';
import type { Exporter } from '../src/exporter.ts';
import type { Clock, Host } from '../src/host.ts';
import type { Logger } from '../src/log.ts';
import type { MetricGroup } from '../src/readings.ts';
import type { SelfTelemetry } from '../src/telemetry.ts';
import type { ExporterType } from '../src/settings.ts';
import type { SourceId } from '../src/source.ts';
import { JsonStdoutExporter } from './json-stdout/exporter.ts';
import type { LineOutput } from './json-stdout/exporter.ts';
import type { OtlpExporter } from './otlp/exporter.ts';
import { createOtlpExporter } from './otlp/index.ts';
import { OTLP_TYPE } from './otlp/settings.ts';
import type { OtlpSettings } from './otlp/settings.ts';
import { createPrometheusExporter } from './prometheus/index.ts';
import type { PrometheusServices } from './prometheus/index.ts';
import { PROMETHEUS_TYPE } from './prometheus/settings.ts';
import type { PrometheusSettings } from './prometheus/settings.ts';

const JSON_STDOUT_TYPE: ExporterType<object> = {
  description: "neuron-monitor's JSON, one line per report, on stdout.",
  section: {},
  isNamed: false,
  read: (reader) => reader.read({}),
  claims: () => [],
  verify: () => {},
};

/** The one explicit list of types of exporters, by the name that the configuration uses. */
export const EXPORTER_TYPES = { json_stdout: JSON_STDOUT_TYPE, prometheus: PROMETHEUS_TYPE, otlp: OTLP_TYPE };

/** An entry of `exporters`. */
export type ExporterEntry =
  | { readonly type: 'json_stdout'; readonly id: string; readonly settings: object }
  | { readonly type: 'prometheus'; readonly id: string; readonly settings: PrometheusSettings }
  | { readonly type: 'otlp'; readonly id: string; readonly settings: OtlpSettings };

/** Services of the agent and of the process that exporters need. */
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

/** Creates the exporter of one entry. Asynchronous, because some exporters load code that nothing else needs. */
export async function createExporter(entry: ExporterEntry, services: ExporterServices): Promise<Exporter> {
  const { clock, telemetry } = services;
  const logger = services.logger.child({ component: entry.id });
  switch (entry.type) {
    case 'json_stdout':
      return new JsonStdoutExporter({
        output: services.stdout,
        clock,
        logger,
        onWritten: () => telemetry.reportWritten(entry.id),
        onDropped: () => telemetry.reportDropped(entry.id),
      });
    case 'prometheus':
      if (entry.settings.implementation === 'sdk') return createSdkPage(entry.id, entry.settings, services);
      return createPrometheusExporter(entry.settings, prometheusServices(services, entry.id), { id: entry.id, env: services.env });
    case 'otlp':
      if (entry.settings.implementation === 'sdk') return createSdkOtlp(entry.id, entry.settings, { ...services, logger });
      return createOtlp(entry.id, entry.settings, { ...services, logger });
  }
}

/** The services of the agent as an endpoint takes them. */
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

async function createOtlp(id: string, settings: OtlpSettings, { clock, logger, telemetry, version }: ExporterServices): Promise<Exporter> {
  const delivery = new DeliveryTelemetry({
    exporter: id,
    instruments: telemetry.instruments,
    logger,
    queueState: () => exporter?.queueState,
  });
  let exporter: OtlpExporter | undefined;
  exporter = await createOtlpExporter(settings, { id, clock, logger, telemetry: delivery, userAgent: `neuron-otel/${version}` });
  const created = exporter;
  return {
    kind: 'push',
    id,
    export: (batch) => created.export(batch),
    flush: (deadlineMs) => created.flush(deadlineMs),
    async [Symbol.asyncDispose]() {
      await created[Symbol.asyncDispose]();
      delivery[Symbol.dispose]();
    },
  };
}

async function createSdkOtlp(id: string, settings: OtlpSettings, { clock, logger, env }: ExporterServices): Promise<Exporter> {
  const { createSdkExporter } = await import('./otlp/sdk.ts');
  return createSdkExporter(settings, { id, clock, logger, env });
}

async function createSdkPage(id: string, settings: PrometheusSettings, services: ExporterServices): Promise<Exporter> {
  const { createSdkPrometheusExporter } = await import('./prometheus/sdk.ts');
  return createSdkPrometheusExporter(settings, { id, ...prometheusServices(services, id) });
}
