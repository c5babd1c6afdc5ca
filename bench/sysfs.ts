import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { takeInventory } from '../sources/sysfs/inventory.ts';
import { NodeReader, nodeFile } from '../sources/sysfs/node-file.ts';
import { createSysfsSource } from '../sources/sysfs/source.ts';
import { Sweep } from '../sources/sysfs/sweep.ts';
import { findDevices, findEntries } from '../sources/sysfs/walk.ts';
import { createVirtualHost } from '../simulator/virtual-host.ts';
import { systemClock } from '../src/host.ts';
import { silentLogger } from '../src/log.ts';
import { closingLine, describeSummary, summarize } from './statistics.ts';

const WARM_UP_ROUNDS = 10;
const ROUNDS = 41;
const DETAIL = { peaks: false, events: true };

/**
 * What the sysfs source costs on the largest host, beside the least a C program can do and beside reading by path, in two parts: the
 * whole sweep of a virtual trn2.48xlarge, whose files are in memory; and as many reads of attributes of this machine's own kernel,
 * because opening a file of a real sysfs costs far more than one in memory.
 */
export async function run(): Promise<void> {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'neuron-bench-'));
  try {
    const files = await benchVirtualHost(directory);
    await benchKernel(directory, files);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Files to readings, the host at work between the rounds. Returns how many files a sweep has. */
async function benchVirtualHost(directory: string): Promise<number> {
  await using host = await createVirtualHost({ instanceType: 'trn2.48xlarge', seed: 1, directory, clock: systemClock, warmUpMs: 60_000 });
  await using source = createSysfsSource({
    host: host.host,
    logger: silentLogger,
    detail: DETAIL,
    maxKeptFiles: 16_384,
  });
  const paths = filesOfSweep(host.host.sysRoot);
  await using peer = startPeer(paths, directory);
  const samples = await rounds({
    between: () => host.step(1_000),
    ours: () =>
      Promise.resolve(source.read(new Set(['neuron_hw_counters', 'neuron_device_counters'] as const), new AbortController().signal)),
    paths,
    peer,
  });
  report('sysfs/sweep', `files to readings, virtual trn2.48xlarge, ${paths.length} files in memory`, samples, { c: 0.5 });
  return paths.length;
}

/** The source's own way to read a counter, on attributes of this kernel; some of them several times, to be as many. */
async function benchKernel(directory: string, count: number): Promise<void> {
  const found = numbersOfThisKernel();
  if (found.length === 0) throw new Error('no attribute of this kernel is a plain number');
  const paths = Array.from({ length: count }, (_, i) => found[i % found.length] ?? '');
  await using peer = startPeer(paths, directory);
  const files = paths.map((path) => nodeFile(path));
  const reader = new NodeReader(count);
  const samples = await rounds({
    between: () => {},
    ours: () => {
      const sweep = new Sweep(reader, 0, 'neuron_device_counters');
      for (const file of files) sweep.count(file);
    },
    paths,
    peer,
  });
  reader.releaseAll();
  report('sysfs/kernel', `${count} reads of ${found.length} attributes of this kernel`, samples, { c: 0.5, readFileSync: 5 });
}

interface Contest {
  readonly between: () => unknown;
  readonly ours: () => unknown;
  readonly paths: readonly string[];
  readonly peer: Peer;
}

/** Milliseconds of each round. */
interface Samples {
  readonly ours: number[];
  readonly c: number[];
  readonly readFileSync: number[];
  readonly readFileSyncUtf8: number[];
}

async function rounds({ between, ours, paths, peer }: Contest): Promise<Samples> {
  const samples: Samples = { ours: [], c: [], readFileSync: [], readFileSyncUtf8: [] };
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    between();
    const times = [
      [samples.ours, await timed(ours)],
      [samples.c, await peer.sweep()],
      [samples.readFileSync, await timed(() => readByPath(paths, (path) => readFileSync(path).toString('latin1')))],
      [samples.readFileSyncUtf8, await timed(() => readByPath(paths, (path) => readFileSync(path, 'utf8')))],
    ] as const;
    if (round >= WARM_UP_ROUNDS) for (const [list, milliseconds] of times) list.push(milliseconds);
  }
  return samples;
}

/** `goals` are ratios; without one the line is for information. */
function report(name: string, title: string, samples: Samples, goals: { readonly c: number; readonly readFileSync?: number }): void {
  console.log(`${name}: ${title}, ${ROUNDS} rounds, all of them in every round`);
  console.log(describeSummary('  this source', summarize(samples.ours), 'ms'));
  console.log(describeSummary('  C, kept descriptors', summarize(samples.c), 'ms'));
  console.log(describeSummary('  readFileSync(path)', summarize(samples.readFileSync), 'ms'));
  console.log(describeSummary("  readFileSync(path, 'utf8')", summarize(samples.readFileSyncUtf8), 'ms'));
  const line = (against: string, peer: readonly number[], goal: number | undefined): void =>
    console.log(
      closingLine({
        measure: `${name}-vs-${against}`,
        ours: summarize(samples.ours).median,
        peer: summarize(peer).median,
        better: 'less',
        goal: goal === undefined ? 'none' : `ratio>=${goal}`,
      }),
    );
  line('c', samples.c, goals.c);
  line('readFileSync', samples.readFileSync, goals.readFileSync);
  line('readFileSync-utf8', samples.readFileSyncUtf8, undefined);
  // One system call for each file is the floor: no reader that makes it can be further ahead of readFileSync than the C program is.
  const most = summarize(samples.readFileSync).median / summarize(samples.c).median;
  console.log(
    `${name}: the C program itself is ${most.toPrecision(3)} times as fast as readFileSync(path) here, with Node ${process.version}`,
  );
}

/** Attributes below these directories are cheap to read and change nothing. */
const KERNEL_DIRECTORIES = ['/sys/block', '/sys/class/net', '/sys/kernel/mm', '/sys/module'];
const MAX_KERNEL_FILES = 2_000;

function numbersOfThisKernel(): readonly string[] {
  const numbers: string[] = [];
  for (const directory of KERNEL_DIRECTORIES) {
    if (!existsSync(directory)) continue;
    // Entries of /sys/block and /sys/class are links: one step further down are the attributes.
    const roots = [directory, ...readdirSync(directory).map((name) => realpathSync(join(directory, name)))];
    for (const path of roots) for (const file of findEntries({ index: 0, path })) if (isNumber(file.path)) numbers.push(file.path);
  }
  return [...new Set(numbers)].slice(0, MAX_KERNEL_FILES);
}

function isNumber(path: string): boolean {
  try {
    return /^\d{1,15}\n$/.test(readFileSync(path, 'latin1'));
  } catch {
    return false;
  }
}

async function timed(work: () => unknown): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

function readByPath(paths: readonly string[], textOf: (path: string) => string): number {
  let sum = 0;
  for (const path of paths) sum += Number.parseInt(textOf(path), 10);
  return sum;
}

/** What the source reads every time. */
function filesOfSweep(sysRoot: string): readonly string[] {
  return findDevices(sysRoot).flatMap((device) => {
    const { cores, hostMemory, ecc, health } = takeInventory(findEntries(device), DETAIL);
    const ofCores = [...cores.values()].flatMap(({ memory, status, other }) => [memory.kinds.files, status.files, Object.values(other)]);
    const all = [...ofCores, hostMemory.kinds.files, ecc.files, [...health.values()]].flat();
    return all.map(({ path }) => path);
  });
}

interface Peer {
  /** Milliseconds of one sweep. */
  sweep(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

function startPeer(paths: readonly string[], directory: string): Peer {
  const binary = join(directory, 'sysfs-sweep');
  const list = join(directory, 'paths');
  writeFileSync(list, `${paths.join('\n')}\n`);
  execFileSync('gcc', ['-O2', '-o', binary, resolve(import.meta.dirname, 'sysfs-sweep.c')], { stdio: 'inherit' });
  const child = spawn(binary, [list], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async sweep() {
      child.stdin.write('\n');
      const answer = await lines.next();
      if (answer.done === true) throw new Error('the C program ended');
      return Number(answer.value.split(' ')[0]) / 1e6;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}
