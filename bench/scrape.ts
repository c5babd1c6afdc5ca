/**
 * One scrape over loopback: the agent's endpoint beside prom-client, the SDK's PrometheusSerializer and node_exporter, each in a
 * process of its own, scraped in turn. Between two scrapes every value of every page changes, so that no page can be reused; and a
 * process leaves or comes before no scrape, before every tenth, or before each one. CPU is that of the serving process, from the
 * kernel's scheduler statistics.
 */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { join } from 'node:path';
import { peerPath } from '../scripts/peers.ts';
import { freePort } from '../test/e2e/support/ports.ts';
import { cpuTimeMs, residentBytes } from './cpu-time.ts';
import { RawClient } from './raw-client.ts';
import type { Advance } from './scrape-series.ts';

import { closingLine, describeSummary, summarize } from './statistics.ts';
import type { Summary } from './statistics.ts';

const SIZES = [3_000, 10_000, 100_000] as const;
const KINDS = ['ours', 'prom-client', 'stock'] as const;

/**
 * A process leaves or comes before every `every`th scrape; only those scrapes are measured, or all where there are none. One server
 * is scraped `turns` times in a row before it is the next one's turn, that many times in each round.
 */
const CHURNS = {
  steady: { every: Number.POSITIVE_INFINITY, turns: 5 },
  churn_each: { every: 1, turns: 4 },
  churn_tenth: { every: 10, turns: 10 },
} as const;

type Churn = keyof typeof CHURNS;
type Kind = (typeof KINDS)[number] | 'node_exporter';

/** Pages of a hundred thousand series take the peers a second each; every tenth of them would take minutes. */
function churnsOf(size: number): readonly Churn[] {
  return size === 100_000 ? ['steady', 'churn_each'] : ['steady', 'churn_each', 'churn_tenth'];
}

/** Scrapes of the first rounds are not measured: code is not compiled yet. The first page of all is reported on its own. */
interface Rounds {
  readonly warmUp: number;
  readonly measured: number;
}

function roundsOf(size: number, churn: Churn, kind: Kind): Rounds {
  if (size === 100_000) return { warmUp: 1, measured: kind === 'ours' ? 3 : 1 };
  return churn === 'steady' ? { warmUp: 8, measured: 12 } : { warmUp: 2, measured: 10 };
}

interface Server {
  readonly kind: Kind;
  readonly pid: number;
  readonly port: number;
  readonly client: RawClient;
  /** Changes all values and, with `isChange`, the processes. */
  advance(isChange: boolean): Promise<void>;
  stop(): Promise<void>;
}

interface Sample {
  readonly latencyMs: number;
  readonly cpuMs: number;
}

interface Result {
  readonly latencyMs: Summary;
  readonly cpuMs: Summary;
}

interface SizeResult {
  readonly scrapes: ReadonlyMap<string, Result>;
  readonly seriesOf: ReadonlyMap<Kind, number>;
}

export async function run(): Promise<void> {
  const results = new Map<number, SizeResult>();
  for (const size of SIZES) results.set(size, await scrapeAll(size));
  for (const line of closingLines(results)) console.log(line);
}

/** Every server with this many series, scraped in turn. */
async function scrapeAll(size: number): Promise<SizeResult> {
  const servers = await Promise.all(KINDS.map((kind) => startServer(kind, size)));
  if (size === SIZES[0]) servers.push(await startNodeExporter());
  try {
    for (const server of servers) {
      const { latencyMs } = await scrapeOnce(server, false);
      console.log(`${server.kind}, ${size} series: first page ${latencyMs.toFixed(1)} ms`);
    }
    const scrapes = new Map<string, Result>();
    for (const churn of churnsOf(size)) {
      const taking = churn === 'steady' ? servers : servers.filter(({ kind }) => kind !== 'node_exporter');
      for (const [kind, result] of await scrapeInTurn(taking, churn, size)) {
        scrapes.set(`${kind} ${churn}`, result);
        console.log(describeSummary(`${kind}, ${size} series, ${churn}: latency`, result.latencyMs, 'ms'));
        console.log(describeSummary(`${kind}, ${size} series, ${churn}: CPU`, result.cpuMs, 'ms'));
      }
    }
    const seriesOf = new Map<Kind, number>();
    for (const { kind, port, pid } of servers) {
      const text = await page(port);
      seriesOf.set(kind, text.split('\n').filter((entry) => entry !== '' && !entry.startsWith('#')).length);
      const mebibytes = (residentBytes(pid) / 2 ** 20).toFixed(0);
      console.log(`${kind}, ${seriesOf.get(kind)} series, ${(text.length / 1024).toFixed(0)} KiB: ${mebibytes} MiB resident`);
    }
    return { scrapes, seriesOf };
  } finally {
    for (const { client } of servers) client.close();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function scrapeInTurn(servers: readonly Server[], churn: Churn, size: number): Promise<ReadonlyMap<Kind, Result>> {
  const { every, turns } = CHURNS[churn];
  const samples = new Map(servers.map(({ kind }) => [kind, new Array<Sample>()]));
  const most = Math.max(...servers.map(({ kind }) => roundsOf(size, churn, kind).measured));
  const { warmUp } = roundsOf(size, churn, 'ours');
  for (let round = 0; round < warmUp + most; round += 1) {
    for (const server of servers) {
      if (round >= warmUp + roundsOf(size, churn, server.kind).measured) continue;
      for (let turn = 1; turn <= turns; turn += 1) {
        const isChange = turn % every === 0;
        const sample = await scrapeOnce(server, isChange);
        if (round >= warmUp && (isChange || every === Number.POSITIVE_INFINITY)) samples.get(server.kind)?.push(sample);
      }
    }
  }
  return new Map([...samples].map(([kind, own]) => [kind, resultOf(own)]));
}

async function scrapeOnce(server: Server, isChange: boolean): Promise<Sample> {
  await server.advance(isChange);
  const cpuBefore = cpuTimeMs(server.pid);
  const startedMs = performance.now();
  await server.client.scrape();
  const latencyMs = performance.now() - startedMs;
  return { latencyMs, cpuMs: cpuTimeMs(server.pid) - cpuBefore };
}

function resultOf(samples: readonly Sample[]): Result {
  return { latencyMs: summarize(samples.map(({ latencyMs }) => latencyMs)), cpuMs: summarize(samples.map(({ cpuMs }) => cpuMs)) };
}

function* closingLines(results: ReadonlyMap<number, SizeResult>): Iterable<string> {
  const at = (kind: Kind, size: number, churn: Churn): Result => {
    const result = results.get(size)?.scrapes.get(`${kind} ${churn}`);
    if (result === undefined) throw new Error(`no result of ${kind} with ${size} series, ${churn}`);
    return result;
  };
  for (const size of SIZES) {
    for (const churn of churnsOf(size)) {
      const name = `${size / 1000}k_${churn}`;
      const ours = at('ours', size, churn);
      for (const peer of ['prom-client', 'stock'] as const) {
        const other = at(peer, size, churn);
        const goal = peer === 'prom-client' ? `10x${latencyGoal(size, churn)}` : '5x';
        yield compared(`${name}_latency_vs_${peer}_ms`, ours.latencyMs.median, other.latencyMs.median, goal);
        yield compared(`${name}_cpu_vs_${peer}_ms`, ours.cpuMs.median, other.cpuMs.median, goal.split(',')[0] ?? '');
      }
      if (size === 100_000)
        yield compared(`${name}_worst_vs_prom-client_ms`, ours.latencyMs.max, at('prom-client', size, churn).latencyMs.max, '<=50ms');
    }
  }
  // The same cost for each series, however many there are: the "peer" is the page of ten thousand.
  const perSeries = (size: number): number => (at('ours', size, 'steady').cpuMs.median / size) * 1e6;
  yield compared('cpu_per_series_100k_vs_10k_ns', perSeries(100_000), perSeries(10_000), '>=0.5x');
  const nodeExporterSeries = results.get(SIZES[0])?.seriesOf.get('node_exporter') ?? Number.NaN;
  const peerPerSeries = (at('node_exporter', SIZES[0], 'steady').cpuMs.median / nodeExporterSeries) * 1e6;
  yield compared('cpu_per_series_vs_node_exporter_ns', perSeries(SIZES[0]), peerPerSeries, '1x');
}

function latencyGoal(size: number, churn: Churn): string {
  if (size !== 10_000) return '';
  return churn === 'steady' ? ',p50<=3ms' : ',p50<=5ms';
}

function compared(measure: string, ours: number, peer: number, goal: string): string {
  return closingLine({ measure: `scrape/${measure}`, ours, peer, better: 'less', goal });
}

async function startServer(kind: (typeof KINDS)[number], size: number): Promise<Server> {
  const child = fork(join(import.meta.dirname, 'scrape-server.ts'), [kind, String(size)]);
  const [ready] = (await once(child, 'message')) as [{ readonly port: number }];
  let rounds = 0;
  return {
    kind,
    pid: child.pid ?? 0,
    port: ready.port,
    client: await RawClient.connect(ready.port),
    advance: async (isChange) => {
      const advanced = once(child, 'message');
      const advance: Advance = { round: ++rounds, isChange };
      child.send(advance);
      await advanced;
      // Garbage of moving on is not the scrape's.
      await new Promise((resolve) => setTimeout(resolve, 2));
    },
    stop: () => stop(child),
  };
}

async function startNodeExporter(): Promise<Server> {
  const program = peerPath('node-exporter', (line) => console.log(`scrape: ${line}`));
  const port = await freePort();
  const child = spawn(program, [`--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' });
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      await page(port);
      return {
        kind: 'node_exporter',
        pid: child.pid ?? 0,
        port,
        client: await RawClient.connect(port),
        advance: () => Promise.resolve(),
        stop: () => stop(child),
      };
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  await stop(child);
  throw new Error('node_exporter does not answer');
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}

function page(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks).toString()));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}
