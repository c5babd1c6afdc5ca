import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { takeInventory } from '../sources/sysfs/inventory.ts';
import { createSysfsSource } from '../sources/sysfs/source.ts';
import { findDevices, findFiles } from '../sources/sysfs/walk.ts';
import { createVirtualHost } from '../sources/virtual/virtual-host.ts';
import type { VirtualHost } from '../sources/virtual/virtual-host.ts';
import { systemClock } from '../src/host.ts';
import { silentLogger } from '../src/log.ts';
import { closingLine, describeSummary, summarize } from './statistics.ts';

const WARM_UP_ROUNDS = 10;
const ROUNDS = 41;

/** A sweep over the files of the largest host: the source, the least a C program can do, and reading by path. */
export async function run(): Promise<void> {
  // In memory, so that the file system under the virtual host costs little; sysfs has none at all.
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'neuron-bench-'));
  try {
    await using host = await createVirtualHost({ instanceType: 'trn2.48xlarge', seed: 1, directory, clock: systemClock });
    host.step(60_000);
    await compare(host, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(host: VirtualHost, directory: string): Promise<void> {
  await using source = createSysfsSource({
    host: host.host,
    logger: silentLogger,
    detail: { peaks: false, events: true },
    maxKeptFiles: 16_384,
  });
  const sweep = (): Promise<unknown> => Promise.resolve(source.read(new Set(['neuron_hw_counters']), new AbortController().signal));
  await sweep();
  const paths = filesOfSweep(host.host.sysRoot);
  await using peer = startPeer(paths, directory);
  const samples = { source: [] as number[], c: [] as number[], readFileSync: [] as number[], readFileSyncUtf8: [] as number[] };
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    host.step(1_000);
    const times = {
      source: await timed(sweep),
      c: await peer.sweep(),
      readFileSync: await timed(() => readByPath(paths, (path) => readFileSync(path).toString('latin1'))),
      readFileSyncUtf8: await timed(() => readByPath(paths, (path) => readFileSync(path, 'utf8'))),
    };
    if (round < WARM_UP_ROUNDS) continue;
    for (const name of ['source', 'c', 'readFileSync', 'readFileSyncUtf8'] as const) samples[name].push(times[name]);
  }
  report(paths.length, samples);
}

function report(
  files: number,
  samples: { readonly source: number[]; readonly c: number[]; readonly readFileSync: number[]; readonly readFileSyncUtf8: number[] },
): void {
  console.log(`sweep of a trn2.48xlarge: ${files} files, ${ROUNDS} rounds, all of them in every round, the host at work in between`);
  console.log(describeSummary('source sysfs, files to readings', summarize(samples.source), 'ms'));
  console.log(describeSummary('C, kept descriptors', summarize(samples.c), 'ms'));
  console.log(describeSummary('readFileSync(path)', summarize(samples.readFileSync), 'ms'));
  console.log(describeSummary("readFileSync(path, 'utf8')", summarize(samples.readFileSyncUtf8), 'ms'));
  const sweep = { ours: summarize(samples.source).median, better: 'less' } as const;
  console.log(closingLine({ measure: 'sysfs/sweep-vs-c', ...sweep, peer: summarize(samples.c).median, goal: 'ratio>=0.5' }));
  const byPath = summarize(samples.readFileSync).median;
  console.log(closingLine({ measure: 'sysfs/sweep-vs-readFileSync', ...sweep, peer: byPath, goal: 'ratio>=5' }));
  // Node has a faster way for UTF-8 text; opening a file of a real sysfs costs more than one in memory, which weighs on both.
  const asText = summarize(samples.readFileSyncUtf8).median;
  console.log(closingLine({ measure: 'sysfs/sweep-vs-readFileSync-utf8', ...sweep, peer: asText, goal: 'ratio>=3' }));
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
    const { cores, hostMemory, ecc, health } = takeInventory(findFiles(device));
    const ofCores = [...cores.values()].flatMap(({ memory, status, other }) => [memory.kinds, status, other]);
    return [...ofCores, hostMemory.kinds, ecc, health].flatMap((files) => [...files.values()].map(({ path }) => path));
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
