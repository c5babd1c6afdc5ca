/**
 * `npm run bench -- agent [--seconds N]`: the whole agent as it ships (the bundle, run as a program), on a virtual trn2.48xlarge at
 * a period of one second with every exporter on: once with its default sources, once with `nds` as well, which is off by default.
 * Beside them node_exporter on this machine; all are scraped once a second. The virtual host runs in a process of its own.
 * Measured each second after a warm-up: CPU time of all threads as the kernel counts it, and resident memory.
 */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createVirtualDirectory } from '../simulator/virtual-host.ts';
import { peerPath } from '../scripts/peers.ts';
import { freePort } from '../test/e2e/support/ports.ts';
import { cpuTimeMs, residentBytes } from './cpu-time.ts';
import { RawClient } from './raw-client.ts';
import { closingLine, describeSummary, mean, summarize } from './statistics.ts';
import type { Summary } from './statistics.ts';

const INSTANCE_TYPE = 'trn2.48xlarge';
const PERIOD_MS = 1_000;
const WARM_UP_SECONDS = 40;
const DEFAULT_SECONDS = 60;
const START_DEADLINE_MS = 20_000;
const BUNDLE = resolve(import.meta.dirname, '../dist/neuron-otel.cjs');
const MEBIBYTE = 2 ** 20;
/** Of 90 MB. */
const MEMORY_GOAL_MIB = 85.8;

/** A server that is scraped each second. */
interface Contestant {
  readonly name: string;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly client: RawClient;
}

/** Samples of every second. */
interface Load {
  readonly cpuPercent: Summary;
  /** CPU time of all seconds together: what recurs once a minute is in it, and in no median. */
  readonly averageCpuPercent: number;
  readonly residentMib: Summary;
  readonly pageKib: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const seconds = args[0] === '--seconds' ? Number(args[1]) : DEFAULT_SECONDS;
  if (!Number.isInteger(seconds) || seconds < 1) throw new RangeError('--seconds takes a positive whole number');
  accessSync(BUNDLE);
  using directory = createVirtualDirectory();
  const folder = mkdtempSync(join(tmpdir(), 'neuron-otel-bench-'));
  const host = fork(join(import.meta.dirname, 'virtual-host-process.ts'), [INSTANCE_TYPE, directory.path, String(PERIOD_MS)]);
  const sink = await startOtlpSink();
  const started: Contestant[] = [];
  try {
    const [roots] = (await once(host, 'message')) as [Roots];
    started.push(await startAgent('agent', { roots, folder, otlpPort: sink.port, withNds: false }));
    started.push(await startAgent('agent_nds', { roots, folder, otlpPort: sink.port, withNds: true }));
    started.push(await startNodeExporter());
    const loads = await observe(started, seconds);
    report(started, loads, seconds, sink);
  } finally {
    for (const { client, process } of started) {
      client.close();
      process.kill();
    }
    host.disconnect();
    await once(host, 'exit');
    sink.close();
    rmSync(folder, { recursive: true });
  }
}

interface Roots {
  readonly procRoot: string;
  readonly sysRoot: string;
  readonly devRoot: string;
  readonly fsRoot: string;
  readonly imdsEndpoint: string;
}

interface AgentSetting {
  readonly roots: Roots;
  readonly folder: string;
  readonly otlpPort: number;
  readonly withNds: boolean;
}

async function startAgent(name: string, { roots, folder, otlpPort, withNds }: AgentSetting): Promise<Contestant> {
  const port = await freePort();
  const config = {
    period: `${PERIOD_MS}ms`,
    source: { spec: 'native', nds: { enabled: withNds }, imds: { endpoint: roots.imdsEndpoint } },
    exporters: { json_stdout: {}, prometheus: { port }, otlp: { endpoint: `http://127.0.0.1:${otlpPort}` } },
  };
  const configFile = join(folder, `${name}.json`);
  writeFileSync(configFile, JSON.stringify(config));
  const env = {
    ...process.env,
    PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
    NEURON_OTEL_PROC_ROOT: roots.procRoot,
    NEURON_OTEL_SYS_ROOT: roots.sysRoot,
    NEURON_OTEL_DEV_ROOT: roots.devRoot,
    NEURON_OTEL_FS_ROOT: roots.fsRoot,
  };
  const child = spawn(BUNDLE, ['-c', configFile, '--verbose', '1'], { stdio: ['ignore', 'pipe', 'inherit'], env });
  child.stdout.resume();
  return await scraped(name, child, port);
}

async function startNodeExporter(): Promise<Contestant> {
  const program = peerPath('node-exporter', (line) => console.log(`agent: ${line}`));
  const port = await freePort();
  return await scraped('node_exporter', spawn(program, [`--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' }), port);
}

async function scraped(name: string, child: ChildProcess, port: number): Promise<Contestant> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while (performance.now() < deadline) {
    try {
      const client = await RawClient.connect(port);
      await client.scrape();
      return { name, process: child, pid: child.pid ?? 0, client };
    } catch {
      await delay(50);
    }
  }
  child.kill();
  throw new Error(`${name} does not answer`);
}

async function observe(contestants: readonly Contestant[], seconds: number): Promise<readonly Load[]> {
  const samples = contestants.map(() => ({ cpuPercent: [] as number[], residentMib: [] as number[], bytes: 0 }));
  const startedMs = performance.now();
  let before = contestants.map(({ pid }) => cpuTimeMs(pid));
  let beforeMs = startedMs;
  for (let second = 1; second <= WARM_UP_SECONDS + seconds; second += 1) {
    await delay(Math.max(0, startedMs + second * 1_000 - performance.now()));
    for (const [index, { client }] of contestants.entries()) {
      const sample = samples[index];
      if (sample !== undefined) sample.bytes = await client.scrape();
    }
    const [now, nowMs] = [contestants.map(({ pid }) => cpuTimeMs(pid)), performance.now()];
    for (const [index, { pid }] of contestants.entries()) {
      if (second <= WARM_UP_SECONDS) continue;
      samples[index]?.cpuPercent.push((100 * ((now[index] ?? 0) - (before[index] ?? 0))) / (nowMs - beforeMs));
      samples[index]?.residentMib.push(residentBytes(pid) / MEBIBYTE);
    }
    [before, beforeMs] = [now, nowMs];
  }
  return samples.map(({ cpuPercent, residentMib, bytes }) => ({
    cpuPercent: summarize(cpuPercent),
    averageCpuPercent: mean(cpuPercent),
    residentMib: summarize(residentMib),
    pageKib: bytes / 1024,
  }));
}

function report(contestants: readonly Contestant[], loads: readonly Load[], seconds: number, sink: OtlpSink): void {
  console.log(`agent: virtual ${INSTANCE_TYPE}, ${seconds} s after ${WARM_UP_SECONDS} s of warm-up, every exporter, a scrape each second`);
  for (const [index, { name }] of contestants.entries()) {
    const load = loads[index];
    if (load === undefined) continue;
    console.log(`${name}: page of ${load.pageKib.toFixed(0)} KiB`);
    console.log(describeSummary(`${name}: CPU of one core`, load.cpuPercent, '%'));
    console.log(`${name}: CPU of one core, average: ${load.averageCpuPercent.toPrecision(3)} %`);
    console.log(describeSummary(`${name}: resident`, load.residentMib, 'MiB'));
  }
  console.log(`agents: ${(sink.bytes / sink.requests / 1024).toFixed(0)} KiB in an OTLP request on average, ${sink.requests} requests`);
  const peer = loads.at(-1);
  for (const [index, { name }] of contestants.slice(0, -1).entries()) {
    const load = loads[index];
    if (load === undefined || peer === undefined) continue;
    const line = (measure: string, of: (load: Load) => Summary, goal: string): void =>
      console.log(closingLine({ measure: `${name}/${measure}`, ours: of(load).median, peer: of(peer).median, better: 'less', goal }));
    line('cpu_percent', ({ cpuPercent }) => cpuPercent, '<=2');
    line('resident_mib', ({ residentMib }) => residentMib, `<=${MEMORY_GOAL_MIB}`);
  }
}

interface OtlpSink {
  readonly port: number;
  bytes: number;
  requests: number;
  close(): void;
}

/** Takes OTLP requests; decodes nothing. */
async function startOtlpSink(): Promise<OtlpSink> {
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => (sink.bytes += chunk.length));
    request.on('end', () => {
      sink.requests += 1;
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const sink: OtlpSink = { port: typeof address === 'object' && address !== null ? address.port : 0, bytes: 0, requests: 0, close };
  return sink;
}
