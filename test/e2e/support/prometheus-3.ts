import { writeFileSync } from 'node:fs';
import { peerPath } from '../../../scripts/peers.ts';
import { TemporaryFolder } from './folder.ts';
import { asArray, asObject, asObjects } from './json.ts';
import type { JsonObject } from './json.ts';
import { freePort } from './ports.ts';
import { RunningProcess } from './process.ts';
import type { QueryResult } from './prometheus.ts';

/** A real Prometheus 3 with its receivers of OTLP and of remote write. */
export class Prometheus3 {
  readonly process: RunningProcess;
  /** Base URL of the OTLP receiver, to which exporters add `/v1/metrics`. */
  readonly otlpEndpoint: string;
  readonly remoteWriteUrl: string;
  readonly #folder: TemporaryFolder;
  readonly #url: string;

  private constructor(folder: TemporaryFolder, port: number, config: object) {
    this.#folder = folder;
    this.#url = `http://127.0.0.1:${port}`;
    this.otlpEndpoint = `${this.#url}/api/v1/otlp`;
    this.remoteWriteUrl = `${this.#url}/api/v1/write`;
    writeFileSync(folder.file('prometheus.yml'), JSON.stringify(config));
    this.process = new RunningProcess('prometheus-3', peerPath('prometheus-3'), [
      `--config.file=${folder.file('prometheus.yml')}`,
      `--storage.tsdb.path=${folder.file('data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-otlp-receiver',
      '--web.enable-remote-write-receiver',
      '--log.level=warn',
    ]);
  }

  static async start(config: object = {}): Promise<Prometheus3> {
    const prometheus = new Prometheus3(new TemporaryFolder(), await freePort(), config);
    const isReady = async (): Promise<true | undefined> => {
      try {
        return (await fetch(`${prometheus.#url}/-/ready`)).ok ? true : undefined;
      } catch {
        // It does not listen yet.
        return undefined;
      }
    };
    await prometheus.process.until('to be ready', isReady, 30_000);
    return prometheus;
  }

  /** Instant query, now. The value of a native histogram is its count. */
  async query(expression: string): Promise<QueryResult[]> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const answer = asObject(await response.json(), 'answer');
    if (answer['status'] !== 'success') throw new Error(`${expression}: ${JSON.stringify(answer)}`);
    return asObjects(asObject(answer['data'], 'data')['result'], 'result').map((series) => ({
      labels: Object.fromEntries(Object.entries(asObject(series['metric'], 'metric')).map(([name, value]) => [name, String(value)])),
      value: valueOf(series),
    }));
  }

  /** Requests of the OTLP receiver by status code, as the server counts them. */
  async requestsByStatus(): Promise<Readonly<Record<string, number>>> {
    const page = await (await fetch(`${this.#url}/metrics`)).text();
    const lines = page.split('\n').filter((line) => line.startsWith('prometheus_http_requests_total{') && line.includes('/otlp/'));
    return Object.fromEntries(lines.map((line) => [/code="(\d+)"/.exec(line)?.[1] ?? '', Number(line.split(' ').at(-1))]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function valueOf(series: JsonObject): number {
  if (series['histogram'] === undefined) return Number(asArray(series['value'], 'value')[1]);
  return Number(asObject(asArray(series['histogram'], 'histogram')[1], 'histogram')['count']);
}
