import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import type { RequestOptions } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { ScrapeOutcome } from '../../../../exporters/prometheus/handler.ts';
import { createPrometheusExporter } from '../../../../exporters/prometheus/index.ts';
import type { PrometheusExporter, PrometheusServices } from '../../../../exporters/prometheus/index.ts';
import { PROMETHEUS_DEFAULTS } from '../../../../exporters/prometheus/settings.ts';
import type { PrometheusSettings } from '../../../../exporters/prometheus/settings.ts';
import { silentLogger } from '../../../../src/log.ts';
import { TEST_METRICS, cycle, testStore } from '../../../support/metrics.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

/** An endpoint on a free port of the loopback address, with what it was asked to do. */
export interface Endpoint {
  readonly exporter: PrometheusExporter;
  readonly port: number;
  readonly clock: ManualClock;
  readonly outcomes: ScrapeOutcome[];
  readonly state: { generation: number; collections: number; isReady: boolean; fail: Error | undefined };
  get(path: string, options?: GetOptions): Promise<Answer>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface GetOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Present for HTTPS: client certificate, authorities, versions. */
  readonly tls?: RequestOptions;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

export async function startEndpoint(
  settings: Partial<PrometheusSettings> = {},
  services: Partial<PrometheusServices> = {},
  collection: () => readonly ResourceMetrics[] = sampleCollection(),
): Promise<Endpoint> {
  const clock = new ManualClock();
  const outcomes: ScrapeOutcome[] = [];
  const state: Endpoint['state'] = { generation: 1, collections: 0, isReady: true, fail: undefined };
  const exporter = createPrometheusExporter(
    { ...PROMETHEUS_DEFAULTS, listen: ['127.0.0.1:0'], ...settings },
    {
      collect: async () => {
        state.collections += 1;
        await Promise.resolve();
        if (state.fail !== undefined) throw state.fail;
        return collection();
      },
      generation: () => state.generation,
      isReady: () => state.isReady,
      sources: () => [['neuroncore_counters', 'sysfs']],
      version: '1.2.3',
      clock,
      log: silentLogger,
      onScrape: (outcome) => outcomes.push(outcome),
      ...services,
    },
  );
  await exporter.start();
  const port = exporter.addresses[0]?.port ?? 0;
  return {
    exporter,
    port,
    clock,
    outcomes,
    state,
    get: (path, getOptions) => get(port, path, getOptions),
    [Symbol.asyncDispose]: () => exporter[Symbol.asyncDispose](),
  };
}

/** A store with one gauge, as a collection. */
export function sampleCollection(): () => readonly ResourceMetrics[] {
  const store = testStore();
  store.apply(cycle(1), (recorder) => recorder.set(TEST_METRICS.utilization, 50, { core: 0 }));
  return () => store.collect();
}

export function get(port: number, path: string, { method = 'GET', headers = {}, body, tls }: GetOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const target = { host: '127.0.0.1', port, path, method, headers, agent: false };
    const outgoing = (tls === undefined ? request : requestTls)({ ...target, ...tls }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, text: bytes.toString() });
      });
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
