/**
 * One scrape over loopback: the agent's endpoint beside prom-client, the SDK's PrometheusSerializer and node_exporter, each in a
 * process of its own, scraped in turn. Between two scrapes every value of every page changes, so that no page can be reused.
 * CPU is that of the serving process, from the kernel's scheduler statistics.
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
import { closingLine, describeSummary, summarize } from './statistics.ts';
import type { Summary } from './statistics.ts';

const SIZES = [1_000, 10_000, 100_000] as const;
/** Scrapes of one server in a row before it is the next one's turn. */
const TURNS = 5;
const KINDS = ['ours', 'prom-client', 'stock'] as const;

type Kind = (typeof KINDS)[number] | 'node_exporter';

interface Server {
  readonly kind: Kind;
  readonly pid: number;
  readonly port: number;
  readonly client: RawClient;
  advance(round: number): Promise<void>;
  stop(): Promise<void>;
}

interface Result {
  readonly latencyMs: Summary;
  readonly cpuMs: Summary;
  readonly series: number;
  readonly bytes: number;
}

export async function run(): Promise<void> {
  const results = new Map<string, Result>();
  for (const size of SIZES) {
    const rounds = size === 100_000 ? { warmUp: 2, measured: 4 } : { warmUp: 8, measured: 15 };
    for (const [kind, result] of await scrapeAll(size, rounds)) {
      results.set(`${kind} ${size}`, result);
      console.log(
        describeSummary(`${kind}, ${result.series} series, ${(result.bytes / 1024).toFixed(0)} KiB: latency`, result.latencyMs, 'ms'),
      );
      console.log(describeSummary(`${kind}, ${result.series} series: CPU`, result.cpuMs, 'ms'));
    }
  }
  for (const closing of closingLines(results)) console.log(closing);
}

/** Every server with this many series, scraped in turn. */
async function scrapeAll(size: number, rounds: { readonly warmUp: number; readonly measured: number }): Promise<ReadonlyMap<Kind, Result>> {
  const servers = await Promise.all(KINDS.map((kind) => startServer(kind, size)));
  if (size === SIZES[0]) servers.push(await startNodeExporter());
  const samples = new Map(servers.map(({ kind }) => [kind, { latencyMs: [] as number[], cpuMs: [] as number[], pages: [] as string[] }]));
  try {
    for (let round = 0; round < rounds.warmUp + rounds.measured; round += 1) {
      for (const server of servers) {
        const own = samples.get(server.kind);
        for (let turn = 1; turn <= TURNS; turn += 1) {
          const sample = await scrapeOnce(server, round * TURNS + turn);
          if (round < rounds.warmUp) continue;
          own?.latencyMs.push(sample.latencyMs);
          own?.cpuMs.push(sample.cpuMs);
        }
      }
    }
    for (const { kind, port } of servers) samples.get(kind)?.pages.push(await page(port));
    for (const { kind, pid } of servers)
      console.log(`${kind} with ${size} series: ${(residentBytes(pid) / 2 ** 20).toFixed(0)} MiB resident`);
  } finally {
    for (const { client } of servers) client.close();
    await Promise.all(servers.map((server) => server.stop()));
  }
  return new Map([...samples].map(([kind, { latencyMs, cpuMs, pages }]) => [kind, resultOf(latencyMs, cpuMs, pages.join(''))]));
}

async function scrapeOnce(server: Server, round: number): Promise<{ readonly latencyMs: number; readonly cpuMs: number }> {
  await server.advance(round);
  const cpuBefore = cpuTimeMs(server.pid);
  const startedMs = performance.now();
  await server.client.scrape();
  const latencyMs = performance.now() - startedMs;
  return { latencyMs, cpuMs: cpuTimeMs(server.pid) - cpuBefore };
}

function resultOf(latencyMs: readonly number[], cpuMs: readonly number[], text: string): Result {
  const series = text.split('\n').filter((entry) => entry !== '' && !entry.startsWith('#')).length;
  return { latencyMs: summarize(latencyMs), cpuMs: summarize(cpuMs), series, bytes: text.length };
}

function* closingLines(results: ReadonlyMap<string, Result>): Iterable<string> {
  const at = (kind: Kind, size: number): Result => {
    const result = results.get(`${kind} ${size}`);
    if (result === undefined) throw new Error(`no result of ${kind} with ${size} series`);
    return result;
  };
  for (const size of SIZES) {
    const name = `${size / 1000}k`;
    for (const peer of ['prom-client', 'stock'] as const) {
      const goal = peer === 'prom-client' && size === 10_000 ? '15x' : '12x';
      const pair = { ours: at('ours', size), peer: at(peer, size) };
      yield compared(
        `latency_${name}_vs_${peer}_ms`,
        pair.ours.latencyMs.median,
        pair.peer.latencyMs.median,
        size === 10_000 ? `${goal},p50<=2ms` : goal,
      );
      yield compared(`cpu_${name}_vs_${peer}_ms`, pair.ours.cpuMs.median, pair.peer.cpuMs.median, goal);
    }
  }
  // The same cost for each series, however many there are: the "peer" is the page of ten thousand.
  const perSeries = (size: number): number => (at('ours', size).cpuMs.median / size) * 1e6;
  yield compared('cpu_per_series_100k_vs_10k_ns', perSeries(100_000), perSeries(10_000), '>=0.5x');
  const nodeExporter = at('node_exporter', 1_000);
  const peerPerSeries = (nodeExporter.cpuMs.median / nodeExporter.series) * 1e6;
  yield compared('cpu_per_series_vs_node_exporter_ns', perSeries(1_000), peerPerSeries, '1x');
}

function compared(measure: string, ours: number, peer: number, goal: string): string {
  return closingLine({ measure: `scrape/${measure}`, ours, peer, better: 'less', goal });
}

async function startServer(kind: (typeof KINDS)[number], size: number): Promise<Server> {
  const child = fork(join(import.meta.dirname, 'scrape-server.ts'), [kind, String(size)]);
  const [ready] = (await once(child, 'message')) as [{ readonly port: number }];
  return {
    kind,
    pid: child.pid ?? 0,
    port: ready.port,
    client: await RawClient.connect(ready.port),
    advance: async (round) => {
      const advanced = once(child, 'message');
      child.send(round);
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
