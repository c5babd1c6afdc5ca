/**
 * One server of the scrape benchmark in a process of its own: `scrape-server.ts KIND SERIES`. Tells its port to the parent process,
 * and moves all values on whenever the parent says so.
 */
import { createServer } from 'node:http';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { Counter, Gauge, Registry } from 'prom-client';
import { createPrometheusExporter } from '../exporters/prometheus/index.ts';
import { PROMETHEUS_DEFAULTS } from '../exporters/prometheus/settings.ts';
import { systemClock } from '../src/host.ts';
import { silentLogger } from '../src/log.ts';
import type { SeriesLabels } from './scrape-series.ts';
import { LABEL_NAMES, METRICS, agentCollection, flatCollection, kindOf, seriesOf, valueOf } from './scrape-series.ts';

/** A server that listens, and how its values move on. */
interface Started {
  readonly port: number;
  readonly advance: (round: number) => void;
}

const [kind = '', size = ''] = process.argv.slice(2);
const started = await start(kind, Number(size));
process.on('message', (round) => {
  started.advance(Number(round));
  process.send?.({ advanced: round });
});
process.on('disconnect', () => process.exit());
process.send?.({ port: started.port });

function start(server: string, series: number): Promise<Started> {
  switch (server) {
    case 'ours':
      return startOurs(series);
    case 'prom-client':
      return startPromClient(series);
    case 'stock':
      return startStock(series);
    default:
      throw new Error(`no server ${server}`);
  }
}

async function startOurs(series: number): Promise<Started> {
  const living = agentCollection(series);
  let generation = 0;
  const exporter = createPrometheusExporter(
    { ...PROMETHEUS_DEFAULTS, listen: ['127.0.0.1:0'], target_info: false },
    {
      collect: () => Promise.resolve(living.collection),
      generation: () => generation,
      isReady: () => true,
      sources: () => [],
      version: '0',
      clock: systemClock,
      log: silentLogger,
      onScrape: () => {},
    },
  );
  await exporter.start();
  return {
    port: exporter.addresses[0]?.port ?? 0,
    advance: (round) => {
      living.advance(round);
      generation += 1;
    },
  };
}

function startPromClient(series: number): Promise<Started> {
  const registry = new Registry();
  const options = { help: 'A metric of the benchmark.', labelNames: LABEL_NAMES, registers: [registry] };
  const setters = Array.from({ length: METRICS }, (_, metric) => {
    const name = `neuron_bench_metric_${metric}`;
    return kindOf(metric) === 'total'
      ? counterOf(new Counter({ ...options, name: `${name}_total` }))
      : gaugeOf(new Gauge({ ...options, name }));
  });
  const children = [...seriesOf(series)].map(({ metric, labels }, index) => ({ metric, index, set: setters[metric]?.(labels) }));
  return serve(
    () => registry.metrics(),
    registry.contentType,
    (round) => {
      for (const { metric, index, set } of children) set?.(valueOf(metric, index, round));
    },
  );
}

type Setter = (labels: SeriesLabels) => (value: number) => void;

function gaugeOf(gauge: Gauge<keyof SeriesLabels>): Setter {
  return (labels) => {
    const child = gauge.labels({ ...labels });
    return (value) => child.set(value);
  };
}

function counterOf(counter: Counter<keyof SeriesLabels>): Setter {
  return (labels) => {
    const child = counter.labels({ ...labels });
    let before = 0;
    return (value) => {
      child.inc(value - before);
      before = value;
    };
  };
}

function startStock(series: number): Promise<Started> {
  const living = flatCollection(series);
  const [resourceMetrics] = living.collection;
  const serializer = new PrometheusSerializer('', false, undefined, true, true);
  if (resourceMetrics === undefined) throw new Error('no series');
  return serve(
    () => Promise.resolve(serializer.serialize(resourceMetrics)),
    'text/plain',
    (round) => living.advance(round),
  );
}

function serve(page: () => Promise<string>, contentType: string, advance: Started['advance']): Promise<Started> {
  const server = createServer((_request, response) => {
    void page().then((text) => {
      response.setHeader('Content-Type', contentType);
      response.end(text);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve({ port: typeof address === 'object' && address !== null ? address.port : 0, advance });
    });
  });
}
