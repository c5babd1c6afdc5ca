import type { PushExporter } from '../../src/exporter.ts';
import { systemClock } from '../../src/host.ts';
import type { Clock } from '../../src/host.ts';
import type { OtlpOptions } from './options.ts';
import { loadStockExporter } from './stock-clients.ts';
import { adaptPushMetricExporter } from './stock.ts';

/** What the exporter needs from the agent. */
export interface OtlpServices {
  readonly clock: Clock;
}

/** Pushes every batch to one OTLP destination. */
export function createOtlpExporter(options: OtlpOptions, services: OtlpServices = { clock: systemClock }): PushExporter {
  return adaptPushMetricExporter(loadStockExporter(options), { id: options.id, timeoutMs: options.timeoutMs, clock: services.clock });
}
