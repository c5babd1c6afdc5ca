/**
 * The agent that ships beside 10,000 Neuron processes that start and end, in real time: this process keeps the files of a simulated host
 * up to date while the agent reads them. Resident memory is compared with nobody there, before and after, once V8 and malloc have given
 * back what they keep: that is what the agent holds, not how much garbage there was at once.
 */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { residentBytes } from '../../bench/cpu-time.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import type { VirtualHost } from '../../simulator/virtual-host.ts';
import { errnoName } from '../../src/file-error.ts';
import { systemClock } from '../../src/host.ts';
import { decodeResources } from '../support/otlp-decode.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../src/readings.ts';
import { AgentProcess, projectRoot } from './support/agent.ts';
import { Census } from './support/census.ts';
import { asObject } from './support/json.ts';
import { freePort } from './support/ports.ts';

const LIVES = 10_000;
const WARM_UP_LIVES = 3_000;
/** Hardly more pids than places: 64 logical cores on 16 devices. */
const CHURN = {
  devices: Array.from({ length: 16 }, (_, device) => device),
  lifetimeMs: { shortest: 200, longest: 400 },
  pids: 68,
};
const PERIOD = '100ms';
/** What is not about processes. */
const HOST_PERIOD = '1s';
/** Two samples of the host that stands still: the first may still find work of the CPUs to show shares of, the second finds none. */
const SAMPLES_OF_A_STILL_HOST = 20;
/** The host lives twice as fast as this machine: so a process is there for 100 to 200 ms. */
const STEP_MS = 100;
const REAL_STEP_MS = 50;
const SCRAPE_EVERY_STEPS = 8;
const MAX_GROWTH_BYTES = 5 * 1024 ** 2;
/** Looks at memory after everything that can be given back was, of which the least counts: V8 hands pages back in a thread of its own. */
const MEMORY_LOOKS = 6;
const MEMORY_LOOK_EVERY_MS = 50;
/** Connections of this process's own clients may come and go. */
const CONNECTIONS = 2;
/** Liveness bounds, for a busy agent on a busy machine. */
const SAMPLES_DEADLINE_MS = 20_000;
const LONGEST_AFTERLIFE_MS = 10_000;

interface Resources {
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Descriptors of files of the simulated host. */
  readonly hostFiles: number;
  readonly descriptors: number;
  readonly series: number;
}

/** Takes OTLP requests: one for each sample. */
class OtlpSink {
  requests = 0;
  readonly #server: Server;

  constructor(take: (body: Buffer) => void) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.requests += 1;
        take(Buffer.concat(chunks));
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(port, '127.0.0.1', resolve);
    });
  }

  [Symbol.dispose](): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

class Run {
  readonly #host: VirtualHost;
  readonly #census: Census;
  readonly #agent: AgentProcess;
  readonly #sink: OtlpSink;
  readonly #page: string;
  readonly #tree: string;

  constructor(parts: { host: VirtualHost; census: Census; agent: AgentProcess; sink: OtlpSink; page: string; tree: string }) {
    this.#host = parts.host;
    this.#census = parts.census;
    this.#agent = parts.agent;
    this.#sink = parts.sink;
    this.#page = parts.page;
    this.#tree = parts.tree;
  }

  /** So many processes start and end; then there are none. */
  async churn(lives: number): Promise<void> {
    this.#host.setChurn(true);
    const until = this.#host.truth().host.forks + lives;
    for (let step = 1; this.#host.truth().host.forks < until; step += 1) {
      const startedMs = performance.now();
      this.#host.step(STEP_MS);
      this.#census.count();
      if (step % SCRAPE_EVERY_STEPS === 0) this.#census.scraped(await this.page());
      await delay(Math.max(0, REAL_STEP_MS - (performance.now() - startedMs)));
    }
    this.#host.setChurn(false);
    // A device in the middle of a reset has fewer series.
    do this.#host.step(STEP_MS);
    while (this.#host.truth().devices.some(({ resetting }) => resetting));
    this.#census.count();
  }

  /** Waits for samples that began after this call: one may be under way, and one of the requests may be of the host alone. */
  async samples(count: number): Promise<void> {
    const until = this.#sink.requests + 2 + count;
    await this.#agent.process.until(`${count} samples`, () => (this.#sink.requests >= until ? true : undefined), SAMPLES_DEADLINE_MS);
  }

  async page(): Promise<string> {
    const response = await fetch(this.#page);
    return response.text();
  }

  async resources(): Promise<Resources> {
    const pid = this.#agent.process.pid ?? 0;
    const looks: Omit<Resources, 'series'>[] = [];
    for (let look = 0; look < MEMORY_LOOKS; look += 1) {
      const { heapBytes, externalBytes } = asObject(await this.#agent.process.ask('usedMemory'), 'answer of the memory probe');
      await delay(MEMORY_LOOK_EVERY_MS);
      const descriptors = openFiles(pid);
      looks.push({
        residentBytes: residentBytes(pid),
        heapBytes: Number(heapBytes),
        externalBytes: Number(externalBytes),
        hostFiles: descriptors.filter((target) => target.startsWith(this.#tree)).length,
        descriptors: descriptors.length,
      });
    }
    const least = (key: keyof Omit<Resources, 'series'>): number => Math.min(...looks.map((look) => look[key]));
    return {
      residentBytes: least('residentBytes'),
      heapBytes: least('heapBytes'),
      externalBytes: least('externalBytes'),
      hostFiles: least('hostFiles'),
      descriptors: least('descriptors'),
      series: Number(/^neuron_series_kept\S* (\d+)$/m.exec(await this.page())?.[1]),
    };
  }
}

/** What the descriptors of a process are; one that is closed meanwhile is none. */
function openFiles(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${descriptor}`, { encoding: 'utf8' })];
    } catch (thrown) {
      if (errnoName(thrown) === 'ENOENT') return [];
      throw thrown;
    }
  });
}

it('10,000 processes leave nothing behind in the agent: no series, no memory, no descriptor', { timeout: 240_000 }, async () => {
  using scratch = scratchDirectory();
  const options = { instanceType: 'trn2.48xlarge', seed: 11, directory: scratch.path, clock: systemClock } as const;
  await using host = await createVirtualHost({ ...options, warmUpMs: 60_000, churn: CHURN });
  const census = new Census(host);
  census.count();
  using sink = new OtlpSink((body) => {
    for (const resource of decodeResources(body)) census.exported(resource);
  });
  const [otlpPort, port] = [await freePort(), await freePort()];
  await sink.listen(otlpPort);
  const { procRoot, sysRoot, devRoot, fsRoot } = host.host;
  const config = {
    period: PERIOD,
    neuron_runtimes: [{ tag_filter: '.*', metrics: RUNTIME_GROUPS.map((type) => ({ type })) }],
    system_metrics: SYSTEM_GROUPS.map((type) => ({ type, period: HOST_PERIOD })),
    source: { spec: 'native', nds: { enabled: true }, imds: { enabled: false } },
    exporters: {
      prometheus: { port, resource_labels: ['process.creation.time'] },
      otlp: { endpoint: `http://127.0.0.1:${otlpPort}`, compression: 'none' },
    },
  };
  await using agent = new AgentProcess([], {
    program: 'bundle',
    config,
    ipc: true,
    nodeArgs: ['--import', join(projectRoot, 'bench/memory-probe.ts')],
    env: {
      NEURON_OTEL_PROC_ROOT: procRoot,
      NEURON_OTEL_SYS_ROOT: sysRoot,
      NEURON_OTEL_DEV_ROOT: devRoot,
      NEURON_OTEL_FS_ROOT: fsRoot,
    },
  });
  const run = new Run({ host, census, agent, sink, page: `http://127.0.0.1:${port}/metrics`, tree: scratch.path });
  await run.samples(1);
  await run.churn(WARM_UP_LIVES);
  await run.samples(SAMPLES_OF_A_STILL_HOST);
  const [before, seenBefore] = [await run.resources(), census.seen.size];
  await run.churn(LIVES);
  await run.samples(1);
  const page = await run.page();
  await run.samples(SAMPLES_OF_A_STILL_HOST);
  const [after, seen] = [await run.resources(), census.seen.size - seenBefore];

  expect([...census.problems]).toEqual([]);
  expect(seen).toBeGreaterThan(0.6 * LIVES);
  expect(census.longestAfterlifeMs).toBeLessThan(LONGEST_AFTERLIFE_MS);
  expect(page).not.toContain('process_pid=');
  expect(after.series).toEqual(before.series);
  expect(after.hostFiles).toEqual(before.hostFiles);
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + CONNECTIONS);
  for (const kind of ['residentBytes', 'heapBytes', 'externalBytes'] as const)
    expect(after[kind] - before[kind], kind).toBeLessThan(MAX_GROWTH_BYTES);
});
