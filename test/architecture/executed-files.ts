/**
 * Runs the agent in this process with V8's precise coverage and prints, as one line of JSON, the production files that took part in one
 * record, one scrape and one OTLP export, after two rounds that let every cache fill. `path.test.ts` starts it.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../cli/program.ts';
import { systemHost } from '../../src/host.ts';

const root = join(import.meta.dirname, '../..');
/** A record with one metric group: what executes then is the way of its numbers and nothing of other groups. */
const record = oneGroup(
  readFileSync(join(root, 'test/fixtures/neuron-monitor/trn1-one-runtime/stream.ndjson'), 'utf8').split('\n')[1] ?? '',
);

const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

let requests = 0;
const receiver = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    requests += 1;
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
});
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
const otlpPort = (receiver.address() as AddressInfo).port;
const metricsPort = await freePort();

const stdin = new PassThrough();
const stop = new AbortController();
const host = systemHost();
const env = {
  ...host.env,
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${otlpPort}`,
  OTEL_EXPORTER_PROMETHEUS_PORT: String(metricsPort),
};
const ended = runCli(['--source', '-', '--exporter', 'prometheus,otlp', '--verbose', '1'], {
  stdin,
  stdout: new PassThrough().resume(),
  stderr: process.stderr,
  host: { ...host, env },
  stop: stop.signal,
});
for (let round = 0; round < 2; round += 1) {
  await exported(() => stdin.write(record));
  await scrape();
}
await executed();
const recordFiles = await filesOf(() => exported(() => stdin.write(record)));
const scrapeFiles = await filesOf(scrape);
console.log(JSON.stringify({ record: recordFiles, scrape: scrapeFiles }));
stop.abort();
await ended;
receiver.closeAllConnections();
receiver.close();
session.disconnect();

function oneGroup(line: string): string {
  const {
    neuron_runtime_data: [runtime],
  } = JSON.parse(line) as { neuron_runtime_data: { report: Record<string, unknown> }[] };
  const { neuroncore_counters } = runtime?.report ?? {};
  return `${JSON.stringify({ neuron_runtime_data: [{ ...runtime, report: { neuroncore_counters } }] })}\n`;
}

async function exported(write: () => void): Promise<void> {
  const before = requests;
  write();
  const isAnswered = (): boolean => requests > before;
  while (!isAnswered()) await delay(5);
  await delay(50);
}

async function scrape(): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
      const page = await answer.text();
      if (answer.status === 200 && page.includes('neuron_core_utilization_ratio')) return;
    } catch (thrown) {
      if (attempt > 200) throw thrown;
    }
    await delay(25);
  }
}

async function filesOf(work: () => Promise<void>): Promise<readonly string[]> {
  await executed();
  await work();
  return executed();
}

/** Production files with a function that was called since the last call. */
async function executed(): Promise<readonly string[]> {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const files = result
    .filter(({ url, functions }) => url.startsWith('file:') && functions.some(({ ranges }) => (ranges[0]?.count ?? 0) > 0))
    .map(({ url }) => relative(root, fileURLToPath(url)))
    .filter((path) => /^(?:src|sources|receivers|exporters|config|cli|simulator)\//.test(path));
  return [...new Set(files)].toSorted((a, b) => dirname(a).localeCompare(dirname(b)) || a.localeCompare(b));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
