/**
 * One server of the scrape benchmark in a process of its own: `scrape-server.ts KIND SERIES`. It reports its port to the parent
 * process, and for each message changes all values and, where the message asks for it, the processes.
 */
import { createServer } from 'node:http';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { Counter, Gauge, Registry } from 'prom-client';
import { createPrometheusExporter } from '../exporters/prometheus/index.ts';
import { PROMETHEUS_DEFAULTS } from '../exporters/prometheus/settings.ts';
import { systemClock } from '../src/host.ts';
import { silentLogger } from '../src/log.ts';
import type { Advance, BenchProcess, SeriesLabels } from './scrape-series.ts';
import { LABEL_NAMES, METRICS, Processes, agentCollection, flatCollection, kindOf, valueOf } from './scrape-series.ts';

interface Started {
  readonly port: number;
  readonly advance: (advance: Advance) => void;
}

await run(process.argv.slice(2));

async function run([kind = '', size = '']: readonly string[]): Promise<void> {
  const started = await start(kind, Number(size));
  process.on('message', (advance: Advance) => {
    started.advance(advance);
    process.send?.({ advanced: advance.round });
  });
  process.on('disconnect', () => process.exit());
  process.send?.({ port: started.port });
}

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
      collect: () => Promise.resolve(living.collection()),
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
    advance: (advance) => {
      living.advance(advance);
      generation += 1;
    },
  };
}

/** One series of prom-client: how its value is set, and how it is taken away. */
interface Child {
  readonly set: (round: number) => void;
  readonly remove: () => void;
}

function startPromClient(size: number): Promise<Started> {
  const registry = new Registry();
  const options = { help: 'A metric of the benchmark.', labelNames: LABEL_NAMES, registers: [registry] };
  const newChild = Array.from({ length: METRICS }, (_, metric) => {
    const name = `neuron_bench_metric_${metric}`;
    return kindOf(metric) === 'total'
      ? counterChild(new Counter({ ...options, name: `${name}_total` }), metric)
      : gaugeChild(new Gauge({ ...options, name }), metric);
  });
  const childrenOf = ({ series }: BenchProcess): Child[] =>
    series.flatMap(({ metric, labels, seed }) => newChild[metric]?.(labels, seed) ?? []);
  const processes = new Processes(size);
  const known = new Map(processes.present.map((process) => [process, childrenOf(process)]));
  return serve(
    () => registry.metrics(),
    registry.contentType,
    ({ round, isChange }) => {
      const { left, came } = isChange ? processes.change() : {};
      if (left !== undefined) {
        for (const { remove } of known.get(left) ?? []) remove();
        known.delete(left);
      }
      if (came !== undefined) known.set(came, childrenOf(came));
      for (const children of known.values()) for (const { set } of children) set(round);
    },
  );
}

type NewChild = (labels: SeriesLabels, seed: number) => Child;

function gaugeChild(gauge: Gauge<keyof SeriesLabels>, metric: number): NewChild {
  return (labels, seed) => {
    const child = gauge.labels({ ...labels });
    return { set: (round) => child.set(valueOf(metric, seed, round)), remove: () => gauge.remove({ ...labels }) };
  };
}

function counterChild(counter: Counter<keyof SeriesLabels>, metric: number): NewChild {
  return (labels, seed) => {
    const child = counter.labels({ ...labels });
    let before = 0;
    const set = (round: number): void => {
      const value = valueOf(metric, seed, round);
      child.inc(value - before);
      before = value;
    };
    return { set, remove: () => counter.remove({ ...labels }) };
  };
}

function startStock(series: number): Promise<Started> {
  const living = flatCollection(series);
  const serializer = new PrometheusSerializer('', false, undefined, true, true);
  const page = (): Promise<string> =>
    Promise.resolve(
      living
        .collection()
        .map((one) => serializer.serialize(one))
        .join(''),
    );
  return serve(page, 'text/plain', (advance) => living.advance(advance));
}

function serve(page: () => Promise<string>, contentType: string, advance: Started['advance']): Promise<Started> {
  const server = createServer((_request, response) => {
    void page().then((text) => {
      response.setHeader('Content-Type', contentType);
      response.end(text);
    });
  });
  // A page of a hundred thousand series may take other servers longer than the five seconds of the default.
  server.keepAliveTimeout = 0;
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve({ port: typeof address === 'object' && address !== null ? address.port : 0, advance });
    });
  });
}
