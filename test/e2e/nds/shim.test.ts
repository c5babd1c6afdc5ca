import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AnyGroupReading, RuntimeRef } from '../../../src/readings.ts';
import { buildDatastore, headerOffset } from '../../support/datastore.ts';
import type { DatastoreContent } from '../../support/datastore.ts';

interface PrintedBatch {
  readonly readings: readonly AnyGroupReading[];
  readonly runtimes?: readonly RuntimeRef[];
  readonly failures: readonly { readonly code: string; readonly message: string }[];
  readonly tookMs: number;
}

let folder: string;
let shim: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'neuron-otel-shim-'));
  shim = join(folder, 'shim.so');
  const source = resolve(import.meta.dirname, 'shim.c');
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', shim, source, '-ldl']);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A host with a driver made of the shim, and a reader on it. */
class ShimHost {
  readonly root = mkdtempSync(join(folder, 'host-'));
  readonly #shimRoot = join(this.root, 'shim');
  #reader: { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } | undefined;

  constructor(devices = 1) {
    for (let device = 0; device < devices; device += 1) {
      mkdirSync(join(this.#shimRoot, `neuron${device}`), { recursive: true });
      mkdirSync(join(this.root, 'dev'), { recursive: true });
      writeFileSync(join(this.root, `dev/neuron${device}`), '');
      mkdirSync(join(this.root, `sys/class/neuron_device/neuron${device}/info/architecture`), { recursive: true });
      writeFileSync(join(this.root, `sys/class/neuron_device/neuron${device}/core_count`), '2');
    }
    onTestFinished(async () => this.#stop());
  }

  /** `pid slab` for each attached process; `-` for no datastore. */
  attach(device: number, ...processes: readonly (readonly [pid: number, slab: number | '-'])[]): void {
    writeFileSync(join(this.#shimRoot, `neuron${device}/attached`), processes.map(([pid, slab]) => `${pid} ${slab}\n`).join(''));
  }

  opens(device: number, how: 'ok' | 'EBUSY' | 'EINVAL' | 'block'): void {
    writeFileSync(join(this.#shimRoot, `neuron${device}/open`), how);
  }

  writeSlab(slab: number, content: DatastoreContent): void {
    writeFileSync(this.slabPath(slab), buildDatastore(content));
  }

  slabPath(slab: number): string {
    return join(this.#shimRoot, `slab${slab}`);
  }

  /** What the reader did to the driver. */
  log(): readonly string[] {
    const path = join(this.#shimRoot, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
  }

  async read(): Promise<PrintedBatch> {
    this.#reader ??= this.#start();
    this.#reader.child.stdin?.write('read\n');
    const { value, done } = await this.#reader.lines.next();
    if (done === true) throw new Error('the reader has ended');
    return JSON.parse(value) as PrintedBatch;
  }

  /** Resolves with the reader's exit code. */
  async exit(code: number): Promise<number | null> {
    const child = this.#reader?.child;
    if (child === undefined) throw new Error('no reader');
    child.stdin?.write(`exit ${code}\n`);
    await once(child, 'exit');
    return child.exitCode;
  }

  #start() {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'reader.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        LD_PRELOAD: shim,
        NDS_SHIM: this.#shimRoot,
        NEURON_OTEL_DEV_ROOT: join(this.root, 'dev'),
        NEURON_OTEL_SYS_ROOT: join(this.root, 'sys'),
        NEURON_OTEL_FS_ROOT: join(this.root, 'fs'),
      },
    });
    if (child.stdout === null) throw new Error('no stdout');
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  }

  #stop(): void {
    const child = this.#reader?.child;
    if (child?.exitCode === null) child.kill('SIGKILL');
  }
}

const CONTENT = { shortTag: 'train', runtimeVersion: [2, 34, 10] } as const;

/** Adds to a counter in a slab that is mapped elsewhere. */
async function setCounter(slab: FileHandle, core: number, counter: number, value: bigint | number): Promise<void> {
  const bytes = Buffer.alloc(8);
  if (typeof value === 'bigint') bytes.writeBigUInt64LE(value);
  else bytes.writeDoubleLE(value);
  await slab.write(bytes, 0, 8, headerOffset(core, counter));
}

describe('the datastore through koffi', () => {
  test('a process of its own is read from live memory, under its identity', async () => {
    const host = new ShimHost(2);
    const workload = spawn('sleep', ['60'], { env: { NEURON_PROCESS_TAG: 'environment' } });
    onTestFinished(() => void workload.kill());
    const pid = workload.pid ?? 0;
    host.writeSlab(3, { ...CONTENT, cores: { 0: { 1: 1_000n, 23: 4_096n } } });
    host.attach(0, [99, '-'], [pid, 3]);
    const first = await host.read();
    expect(first).toMatchObject({
      failures: [],
      runtimes: [{ pid, tag: 'train', attributes: { 'process.executable.name': 'sleep', 'neuron.runtime.version': '2.34.10' } }],
      readings: [{ group: 'memory_used', data: { neuron_device: 4_096 } }],
    });
    const slab = await open(host.slabPath(3), 'r+');
    for (let execution = 1; execution <= 20; execution += 1) {
      await setCounter(slab, 0, 13, 0.01);
      await setCounter(slab, 0, 14, 0.02);
      await setCounter(slab, 0, 0, BigInt(execution * 10_000));
      await setCounter(slab, 0, 29, BigInt(execution * 1_000));
      await setCounter(slab, 0, 1, 1_000n + BigInt(execution));
      await new Promise((done) => {
        setTimeout(done, 10);
      });
    }
    await slab.close();
    const second = await host.read();
    const [executions, , cores] = second.readings;
    expect(second.readings.map(({ group }) => group)).toEqual(['execution_stats', 'memory_used', 'neuroncore_counters']);
    expect(executions?.data).toMatchObject({
      execution_summary: { completed: 20 },
      latency_stats: { device_latency: { p50: 0.01 }, total_latency: { p99: 0.02 } },
    });
    const periodSeconds = cores?.periodSeconds ?? Number.NaN;
    expect(cores?.data).toMatchObject({
      neuroncores_in_use: {
        0: { neuroncore_utilization: expect.closeTo(Math.min(100, 20 / periodSeconds), 6) },
        1: { neuroncore_utilization: 0 },
      },
    });
    expect(await host.exit(0)).toBe(0);
    expect(host.log()).toEqual([
      'open neuron0 flags=80000',
      'mmap length=262144 protection=1 flags=1',
      'open neuron1 flags=80000',
      'close neuron0',
      'close neuron1',
    ]);
  });

  test('EBUSY, EINVAL and a device without file cost that device only', async () => {
    const host = new ShimHost(3);
    host.opens(0, 'EBUSY');
    host.opens(1, 'EINVAL');
    host.writeSlab(0, CONTENT);
    host.attach(2, [41, 0]);
    const batch = await host.read();
    expect(batch.failures).toEqual([
      { code: 'source_denied', message: expect.stringContaining('all 16 slots') },
      { code: 'source_absent', message: expect.stringContaining('invalid state') },
    ]);
    expect(batch.readings).toMatchObject([{ group: 'memory_used', runtime: { pid: 41, tag: 'train' } }]);
    expect(batch).not.toHaveProperty('runtimes');
  });

  test('ENOENT: attached processes without datastore are no runtimes', async () => {
    const host = new ShimHost();
    host.attach(0, [41, '-'], [42, '-']);
    expect(await host.read()).toMatchObject({ readings: [], failures: [], runtimes: [] });
  });

  test('a datastore that moved, or changed hands, begins anew', async () => {
    const host = new ShimHost();
    host.writeSlab(0, { ...CONTENT, cores: { 0: { 1: 10n } } });
    host.writeSlab(1, { ...CONTENT, shortTag: 'next', cores: { 0: { 1: 9_999n } } });
    host.attach(0, [41, 0]);
    await host.read();
    host.attach(0, [41, 1]);
    const moved = await host.read();
    expect(moved.runtimes).toMatchObject([{ pid: 41, tag: 'next' }]);
    expect(moved.readings.map(({ group }) => group)).toEqual(['memory_used']);
    expect((await host.read()).readings[0]?.data).toMatchObject({ execution_summary: { completed: 0 } });
  });

  test('the last of sixteen slots is given back', async () => {
    const host = new ShimHost();
    host.attach(0, ...Array.from({ length: 15 }, (_, i) => [101 + i, '-'] as const));
    expect(await host.read()).toMatchObject({ failures: [{ code: 'source_denied', message: expect.stringContaining('stepping back') }] });
    expect(host.log()).toEqual(['open neuron0 flags=80000', 'close neuron0']);
  });

  test('a blocking open holds up neither the reader nor its exit, and heals', async () => {
    const host = new ShimHost();
    host.opens(0, 'block');
    host.writeSlab(0, CONTENT);
    host.attach(0, [41, 0]);
    expect(await host.read()).toMatchObject({
      readings: [],
      failures: [{ code: 'source_timeout', message: expect.stringContaining('reset') }],
    });
    const meanwhile = await host.read();
    expect(meanwhile).toMatchObject({ readings: [], failures: [] });
    expect(meanwhile).not.toHaveProperty('runtimes');
    host.opens(0, 'ok');
    for (;;) {
      const batch = await host.read();
      if (batch.readings.length === 0) continue;
      expect(batch).toMatchObject({ failures: [], runtimes: [{ pid: 41 }] });
      break;
    }
  });

  test('exit with a thread inside the driver: at once, with the code that was asked for', async () => {
    const host = new ShimHost();
    host.opens(0, 'block');
    await host.read();
    expect(await host.exit(5)).toBe(5);
    // It is still blocked: nothing let it go.
    expect(host.log()).toEqual(['open neuron0 flags=80000']);
  });

  test('a datastore that is rewritten all the time is read whole or not at all', async () => {
    const host = new ShimHost();
    const model = (name: string, core: number) => ({ slot: 0, modelId: core, name, uuid: '00'.repeat(16), core, subgraph: 0 });
    const contents = [
      { ...CONTENT, shortTag: 'a'.repeat(31), longTag: 'a'.repeat(200), models: [model('A'.repeat(255), 0)] },
      { ...CONTENT, shortTag: 'b'.repeat(31), longTag: 'b'.repeat(200), models: [model('B'.repeat(255), 1)] },
    ].map((content) => buildDatastore(content));
    writeFileSync(host.slabPath(0), contents[1] ?? '');
    host.attach(0, [41, 0]);
    await host.read();
    const slab = await open(host.slabPath(0), 'r+');
    let rewrites = 0;
    const stop = new AbortController();
    const writer = (async () => {
      for (; !stop.signal.aborted; rewrites += 1) {
        // In small pieces, as a runtime writes field by field.
        const bytes = contents[rewrites % 2] ?? Buffer.alloc(0);
        for (let at = 1248; at < 44_588; at += 7_000) await slab.write(bytes, at, Math.min(7_000, 44_588 - at), at);
      }
    })();
    const outcomes = new Set<string>();
    for (let round = 0; round < 300; round += 1) {
      const { runtimes, readings, failures } = await host.read();
      for (const { code } of failures) outcomes.add(code);
      for (const { tag } of runtimes ?? []) outcomes.add(tag.slice(0, 1));
      for (const reading of readings) {
        if (reading.group !== 'memory_used') continue;
        const tag = reading.runtime?.tag ?? '';
        const names = reading.data.loaded_models?.map(({ name }) => name) ?? [];
        // A record that is half written fails its checksum and is left out; what is there is of one write.
        expect(['a'.repeat(200), 'b'.repeat(200), 'a'.repeat(31), 'b'.repeat(31), '41']).toContain(tag);
        for (const name of names) expect(['A'.repeat(255), 'B'.repeat(255)]).toContain(name);
      }
    }
    stop.abort();
    await writer;
    await slab.close();
    expect(rewrites).toBeGreaterThan(20);
    expect(outcomes).toContain('a');
    expect(outcomes).toContain('b');
  });
});
