import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { eventually } from './eventually.ts';
import { TemporaryFolder } from './folder.ts';
import { parseObject } from './json.ts';
import { flatten } from './otlp-json.ts';
import type { FlatPoint } from './otlp-json.ts';
import { peerPath } from '../../../scripts/peers.ts';
import { freePort } from './ports.ts';
import { RunningProcess } from './process.ts';

export interface CollectorOptions {
  /** Where a Prometheus takes remote write; then the points go there instead of into the file. */
  readonly remoteWriteUrl?: string;
}

/** A real OpenTelemetry Collector: OTLP in over HTTP and gRPC, a JSON file or remote write out. */
export class Collector {
  readonly process: RunningProcess;
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly httpEndpoint: string;
  readonly grpcEndpoint: string;
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder, ports: { readonly http: number; readonly grpc: number }, options: CollectorOptions) {
    this.#folder = folder;
    this.httpEndpoint = `http://127.0.0.1:${ports.http}`;
    this.grpcEndpoint = `http://127.0.0.1:${ports.grpc}`;
    writeFileSync(folder.file('config.json'), JSON.stringify(collectorConfig(ports, exporterConfig(folder, options))));
    this.process = new RunningProcess('collector', peerPath('collector'), ['--config', `file:${folder.file('config.json')}`]);
  }

  static async start(options: CollectorOptions = {}): Promise<Collector> {
    const ports = { http: await freePort(), grpc: await freePort() };
    const collector = new Collector(new TemporaryFolder(), ports, options);
    for (const port of [ports.http, ports.grpc]) await collector.process.until(`port ${port} to open`, () => isOpen(port));
    return collector;
  }

  /** Every point it wrote so far, in order of arrival. */
  received(): FlatPoint[] {
    const path = this.#folder.file('received.json');
    if (!existsSync(path)) return [];
    // The last line may be half-written.
    const complete = readFileSync(path, 'utf8').split('\n').slice(0, -1);
    return flatten(complete.filter((line) => line !== '').map(parseObject));
  }

  /** Waits until `enough` holds for what was received, and returns that. */
  async receives(what: string, enough: (points: readonly FlatPoint[]) => boolean): Promise<FlatPoint[]> {
    return eventually(
      () => {
        const points = this.received();
        return enough(points) ? points : undefined;
      },
      {
        timeoutMs: 20_000,
        what: `the collector to receive ${what}`,
        context: () => `${this.received().length} points received\n${this.process.describe()}`,
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Metric names without suffixes for type and unit, so that a test need not know the rules for them. */
function exporterConfig(folder: TemporaryFolder, { remoteWriteUrl }: CollectorOptions): Readonly<Record<string, object>> {
  if (remoteWriteUrl === undefined) return { file: { path: folder.file('received.json'), flush_interval: '100ms' } };
  return { prometheusremotewrite: { endpoint: remoteWriteUrl, add_metric_suffixes: false } };
}

function collectorConfig(ports: { readonly http: number; readonly grpc: number }, exporters: Readonly<Record<string, object>>): object {
  return {
    receivers: {
      otlp: { protocols: { http: { endpoint: `127.0.0.1:${ports.http}` }, grpc: { endpoint: `127.0.0.1:${ports.grpc}` } } },
    },
    exporters,
    service: {
      telemetry: { metrics: { level: 'none' }, logs: { level: 'warn' } },
      pipelines: { metrics: { receivers: ['otlp'], exporters: Object.keys(exporters) } },
    },
  };
}

function isOpen(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(undefined));
  });
}
