import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { eventually } from './eventually.ts';
import { TemporaryFolder } from './folder.ts';
import { asObject, asObjects, asArray } from './json.ts';
import { peerPath } from '../../../scripts/peers.ts';
import { freePort } from './ports.ts';
import { RunningProcess } from './process.ts';

/** One series of an instant query's answer. */
export interface QueryResult {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ScrapeTarget {
  /** Becomes the `job` label. */
  readonly job: string;
  readonly port: number;
  readonly path?: string;
  /** Labels that the scrape configuration adds. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** A real Prometheus server that scrapes every half second. */
export class Prometheus {
  readonly process: RunningProcess;
  readonly #folder: TemporaryFolder;
  readonly #url: string;

  private constructor(folder: TemporaryFolder, port: number, targets: readonly ScrapeTarget[], args: readonly string[]) {
    this.#folder = folder;
    this.#url = `http://127.0.0.1:${port}`;
    const config = {
      global: { scrape_interval: '500ms', scrape_timeout: '500ms' },
      scrape_configs: targets.map((target) => ({
        job_name: target.job,
        metrics_path: target.path ?? '/metrics',
        static_configs: [{ targets: [`127.0.0.1:${target.port}`], labels: target.labels ?? {} }],
      })),
    };
    writeFileSync(folder.file('prometheus.yml'), JSON.stringify(config));
    this.process = new RunningProcess('prometheus', peerPath('prometheus'), [
      `--config.file=${folder.file('prometheus.yml')}`,
      `--storage.tsdb.path=${folder.file('data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
      ...args,
    ]);
  }

  /** Resolves when it scrapes every target, whether the target answers yet or not. */
  static async start(targets: readonly ScrapeTarget[], args: readonly string[] = []): Promise<Prometheus> {
    const port = await freePort();
    const prometheus = new Prometheus(new TemporaryFolder(), port, targets, args);
    // Ready is not scraping: target discovery takes five seconds more. `up` is there as soon as a target was tried.
    const isScraping = async (): Promise<true | undefined> => ((await prometheus.query('up')).length === targets.length ? true : undefined);
    await prometheus.process.until('to scrape', isScraping, 30_000);
    return prometheus;
  }

  /** Instant query, now. */
  async query(expression: string): Promise<QueryResult[]> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const answer = asObject(await response.json(), 'answer');
    if (answer['status'] !== 'success') throw new Error(`${expression}: ${JSON.stringify(answer)}`);
    const data = asObject(answer['data'], 'data');
    return asObjects(data['result'], 'result').map((series) => ({
      labels: labelsOf(series['metric']),
      value: Number(asArray(series['value'], 'value')[1]),
    }));
  }

  /** Waits until a query's answer is `enough`, and returns it. */
  async answers(expression: string, enough: (results: readonly QueryResult[]) => boolean): Promise<QueryResult[]> {
    let last: readonly QueryResult[] = [];
    return eventually(
      async () => {
        const results = await this.query(expression);
        last = results;
        return enough(results) ? results : undefined;
      },
      { timeoutMs: 20_000, what: `Prometheus to answer ${expression}`, context: () => `last answer: ${JSON.stringify(last)}` },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** What `promtool check metrics` says about a page; empty when it has nothing to say. */
export function promtoolComplaints(page: string): string {
  const result = spawnSync(peerPath('promtool'), ['check', 'metrics'], { input: page, encoding: 'utf8' });
  const complaints = `${result.stdout}${result.stderr}`.trim();
  return result.status === 0 ? complaints : `exit ${result.status}: ${complaints}`;
}

function labelsOf(metric: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(asObject(metric, 'metric')).map(([name, value]) => [name, String(value)]));
}
