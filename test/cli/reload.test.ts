import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../cli/run.ts';
import { systemClock } from '../../src/host.ts';
import { freePort } from '../e2e/support/ports.ts';
import { MisbehavingOtlpServer } from '../support/misbehaving-otlp-server.ts';
import { emptyHost } from '../support/cli.ts';
import { scratchDirectory } from '../support/scratch.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

/** An agent in this process that reads /proc of this machine, and a hang-up that it hears. */
class ReloadedAgent {
  readonly #folder = scratchDirectory();
  readonly #stop = new AbortController();
  readonly #exit: Promise<number>;
  #log = '';
  #stdout = '';
  #hangUp: (() => void) | undefined;

  constructor(config: object, stdin = new PassThrough()) {
    this.configure(config);
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    stderr.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
    stdout.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString()));
    this.#exit = run(
      { configFile: this.#path, flags: {} },
      {
        stdin,
        stdout,
        stderr,
        host: { ...emptyHost({ clock: systemClock }), procRoot: '/proc' },
        stop: this.#stop.signal,
        onHangUp: (listener) => {
          this.#hangUp = listener;
        },
      },
    );
    open.push(this);
  }

  get #path(): string {
    return join(this.#folder.path, 'agent.json');
  }

  get log(): string {
    return this.#log;
  }

  get stdout(): string {
    return this.#stdout;
  }

  configure(config: object | string): void {
    writeFileSync(this.#path, typeof config === 'string' ? config : JSON.stringify(config));
  }

  async logged(text: string, times = 1): Promise<void> {
    const isThere = (): void => {
      if (this.#log.split(text).length <= times) throw new Error(`the log has not ${times} times ${text}:\n${this.#log}`);
    };
    await vi.waitFor(isThere, { timeout: 15_000, interval: 2 });
  }

  /** Sends a hang-up and waits for the outcome. */
  async reload(config: object | string, outcome = 'is in force'): Promise<void> {
    const before = this.#log.split(outcome).length - 1;
    this.configure(config);
    this.#hangUp?.();
    await this.logged(outcome, before + 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#exit;
    this.#folder[Symbol.dispose]();
  }
}

async function started(config: object, stdin?: PassThrough): Promise<ReloadedAgent> {
  const agent = new ReloadedAgent(config, stdin);
  await agent.logged('started');
  return agent;
}

const SOURCE = { source: { spec: 'native', imds: { enabled: false } } };

async function page(port: number, path = '/metrics'): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
}

function valueOf(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `) || one.startsWith(`${series}{`));
  return Number(line?.slice(line.lastIndexOf(' ') + 1));
}

interface JsonMetric {
  readonly name?: string;
  readonly sum?: { readonly dataPoints: readonly { readonly startTimeUnixNano: string }[] };
}

/** Start times of the points of one counter in the requests that a collector accepted. */
function startsOf(collector: MisbehavingOtlpServer, metric: string): ReadonlySet<string> {
  const starts = new Set<string>();
  for (const { body } of collector.accepted) {
    JSON.parse(body.toString(), (_key, value: JsonMetric | null) => {
      if (value?.name === metric) for (const point of value.sum?.dataPoints ?? []) starts.add(point.startTimeUnixNano);
      return value;
    });
  }
  return starts;
}

describe('a reload', () => {
  it('of an unchanged file changes nothing', async () => {
    const port = await freePort();
    const config = { ...SOURCE, period: '50ms', exporters: { prometheus: { port } } };
    const agent = await started(config);
    await agent.reload(config, 'is the same');
    expect(agent.log).not.toContain('is in force');
    expect(await page(port)).toContain('system_memory');
  });

  it.each<[string, object | string, string]>([
    ['a period without a unit', { ...SOURCE, period: '1' }, 'has no unit'],
    ['broken syntax', '{"period": ', 'not valid JSON or YAML'],
    ['a key that does not exist', { ...SOURCE, exportes: {} }, 'did you mean'],
    ['a web configuration that is missing', { ...SOURCE, exporters: { prometheus: { web_config_file: '/none' } } }, 'ENOENT'],
    ['sockets that systemd did not pass', { ...SOURCE, exporters: { prometheus: { systemd_socket: true } } }, 'systemd passed no socket'],
  ])('with %s is refused, and the agent goes on as before', async (_name, config, reason) => {
    const port = await freePort();
    const agent = await started({ ...SOURCE, period: '50ms', exporters: { prometheus: { port } } });
    await agent.reload(config, 'the one before stays in force');
    expect(agent.log).toContain(reason);
    const before = valueOf(await page(port), 'neuron_collection_points');
    expect(before).toBeGreaterThan(0);
  });

  it('of a new period and new groups takes effect', async () => {
    const agent = await started({ ...SOURCE, period: '40ms', system_metrics: [{ type: 'vcpu_usage' }] });
    await vi.waitFor(() => expect(agent.stdout).toContain('"vcpu_usage":{'));
    expect(agent.stdout).not.toContain('"memory_info":{');
    await agent.reload({ ...SOURCE, period: '60ms', system_metrics: [{ type: 'memory_info' }] });
    await vi.waitFor(() => expect(agent.stdout).toContain('"memory_info":{'));
  });

  it('of the log takes effect', async () => {
    const port = await freePort();
    const config = { ...SOURCE, period: '1s', exporters: { prometheus: { port } } };
    const agent = await started(config);
    await agent.reload({ ...config, telemetry: { log: { format: 'json', verbosity: 4 } } });
    await agent.reload(
      { ...config, telemetry: { log: { format: 'json', verbosity: 3 } } },
      '"msg":"the configuration was read again and is in force"',
    );
    expect(agent.log).toContain('"level":"info"');
  });

  it('keeps the page open, with the connections of its readers, when its settings are the same', async () => {
    const port = await freePort();
    const agent = await started({ ...SOURCE, period: '50ms', exporters: { prometheus: { port } } });
    await agent.reload({ ...SOURCE, period: '70ms', exporters: { prometheus: { port }, json_stdout: {} } });
    expect(agent.log.match(/serving metrics/g)).toHaveLength(1);
    await vi.waitFor(() => expect(agent.stdout).toContain('memory_info'));
    expect(await page(port)).toContain('system_memory');
  });

  it('opens the page anew when its settings changed, on the same port', async () => {
    const port = await freePort();
    const agent = await started({ ...SOURCE, period: '50ms', exporters: { prometheus: { port } } });
    await agent.reload({ ...SOURCE, period: '50ms', exporters: { prometheus: { port, naming: 'legacy', telemetry_path: '/old' } } });
    expect(await page(port, '/old')).toContain('system_memory_total_bytes');
    expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(404);
  });

  it('returns to the configuration before when a new exporter cannot be started', async () => {
    const port = await freePort();
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, '127.0.0.1', () => resolve());
    });
    const { port: takenPort } = taken.address() as AddressInfo;
    const agent = await started({ ...SOURCE, period: '50ms', exporters: { prometheus: { port } } });
    await agent.reload({ ...SOURCE, period: '50ms', exporters: { prometheus: { port: takenPort } } }, 'the one before returns');
    await vi.waitFor(async () => expect(await page(port)).toContain('system_memory'), { timeout: 5_000 });
    taken.close();
  });

  it('keeps totals and their start times where the group stays', async () => {
    const port = await freePort();
    const collector = await MisbehavingOtlpServer.start();
    open.push(collector);
    const config = (period: string) => ({
      ...SOURCE,
      period,
      exporters: { prometheus: { port }, otlp: { endpoint: collector.url, protocol: 'http/json' } },
    });
    const agent = await started(config('50ms'));
    await vi.waitFor(() => expect(collector.accepted.length).toBeGreaterThan(2), { timeout: 5_000 });
    const before = valueOf(await page(port), 'neuron_exporter_points_total');
    await agent.reload(config('60ms'));
    const seen = collector.accepted.length;
    await vi.waitFor(() => expect(collector.accepted.length).toBeGreaterThan(seen + 2), { timeout: 5_000 });
    expect(valueOf(await page(port), 'neuron_exporter_points_total')).toBeGreaterThan(before);
    expect(startsOf(collector, 'system.cpu.time').size).toBe(1);
  });

  it('keeps what waits in a queue when its settings are the same', async () => {
    const port = await freePort();
    const silent = await freePort();
    const collectorPort = silent;
    const config = (period: string) => ({
      ...SOURCE,
      period,
      exporters: { prometheus: { port }, otlp: { endpoint: `http://127.0.0.1:${collectorPort}`, protocol: 'http/json' } },
    });
    const agent = await started(config('50ms'));
    await vi.waitFor(async () => expect(valueOf(await page(port), 'neuron_delivery_queue_points')).toBeGreaterThan(20), { timeout: 5_000 });
    const waiting = valueOf(await page(port), 'neuron_delivery_queue_points');
    await agent.reload(config('60ms'));
    expect(valueOf(await page(port), 'neuron_delivery_queue_points')).toBeGreaterThanOrEqual(waiting);
    expect(await page(port)).not.toMatch(/neuron_delivery_dropped_total\{/);
  });

  it('reads on in a stream on stdin, and loses no record', async () => {
    const port = await freePort();
    const stdin = new PassThrough();
    const record = (n: number): string =>
      `${JSON.stringify({ neuron_runtime_data: [], system_data: { memory_info: { period: 1, memory_total_bytes: 10, memory_used_bytes: n, swap_total_bytes: 0, swap_used_bytes: 0, error: '' } }, instance_info: { error: '' }, neuron_hardware_info: { error: '' } })}\n`;
    const config = (period: string) => ({ source: '-', period, exporters: { json_stdout: {}, prometheus: { port } } });
    const agent = await started(config('1s'), stdin);
    for (const n of [1, 2, 3]) stdin.write(record(n));
    const reloaded = agent.reload(config('2s'));
    for (const n of [4, 5, 6]) stdin.write(record(n));
    await reloaded;
    for (const n of [7, 8]) stdin.write(record(n));
    await vi.waitFor(() => expect([...agent.stdout.matchAll(/"memory_used_bytes":(\d)/g)].map(([, n]) => n).join('')).toBe('12345678'));
  });

  it('many at once are one or two', async () => {
    const port = await freePort();
    const agent = await started({ ...SOURCE, period: '1s', exporters: { prometheus: { port } } });
    agent.configure({ ...SOURCE, period: '2s', exporters: { prometheus: { port } } });
    await Promise.all(
      Array.from({ length: 20 }, () => agent.reload({ ...SOURCE, period: '2s', exporters: { prometheus: { port } } }, 'read again')),
    );
    expect(agent.log.match(/read again/g)?.length).toBeLessThanOrEqual(2);
  });
});

describe('fifty reloads', () => {
  it('leave no descriptor and no memory behind', { timeout: 120_000 }, async () => {
    const port = await freePort();
    const collector = await MisbehavingOtlpServer.start();
    open.push(collector);
    const folder = scratchDirectory();
    open.push({ [Symbol.asyncDispose]: () => Promise.resolve(folder[Symbol.dispose]()) });
    // Every reload changes the source, the page, the destination, the groups and the log.
    const config = (round: number) => ({
      period: round % 2 === 0 ? '30ms' : '50ms',
      source: { spec: 'native', imds: { enabled: false }, procfs: round % 2 === 0 ? 'auto' : 'on' },
      metrics: { 'system.cpu.utilization': round % 2 === 0 },
      exporters: {
        prometheus: { port, scope_labels: round % 2 === 0 },
        otlp: { endpoint: collector.url, timeout: `${5 + (round % 2)}s`, queue: { directory: join(folder.path, 'queue') } },
        ...(round % 3 === 0 ? { json_stdout: {} } : {}),
      },
      telemetry: { log: { verbosity: round % 2 === 0 ? 3 : 4 } },
    });
    const agent = await started(config(0));
    const used = async (): Promise<{ heap: number; files: number }> => {
      collector.accepted.splice(0);
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
      return { heap: process.memoryUsage().heapUsed, files: readdirSync('/proc/self/fd').length };
    };
    const rounds = Number(process.env['RELOADS'] ?? 50);
    const warmUp = Math.max(20, rounds / 10);
    for (let round = 1; round <= warmUp; round += 1) await agent.reload(config(round));
    const before = await used();
    for (let round = warmUp + 1; round <= warmUp + rounds; round += 1) await agent.reload(config(round));
    const after = await used();
    console.log(`${rounds} reloads: heap ${before.heap} → ${after.heap} bytes, descriptors ${before.files} → ${after.files}`);
    // A request or a file of the queue may be open at any moment; a leak would stay open.
    const files = (): number => readdirSync('/proc/self/fd').length;
    await vi.waitFor(() => expect(files()).toBeLessThanOrEqual(before.files), { timeout: 10_000, interval: 5 });
    expect(after.heap).toBeLessThan(before.heap * 1.05 + 2 ** 20);
    expect(await page(port)).toContain('system_memory');
  });
});
