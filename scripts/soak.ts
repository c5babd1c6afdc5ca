/**
 * `npm run soak [-- --records N]`: the whole agent as a process, fed as fast as it takes records, with every output read. Neuron
 * processes come and go all the time. Memory in use, file descriptors and series must stay where they were after the warm-up.
 */
import { join } from 'node:path';
import { neuronMonitorLine } from '../bench/neuron-monitor-line.ts';
import { summarize } from '../bench/statistics.ts';
import { startWholeAgent } from '../bench/whole-agent.ts';
import type { WholeAgent } from '../bench/whole-agent.ts';

const DEFAULT_RECORDS = 20_000;
const WARM_UP_SHARE = 0.3;
const SAMPLES = 40;
const RUNTIMES = 4;
/** After so many records one Neuron process ends and another begins. */
const RECORDS_PER_CHANGE = 20;
/** Short enough that a process that has left is missed at once. */
const PERIOD_SECONDS = 0.02;
const MAX_GROWTH_MIB_PER_10K_RECORDS = 1;

interface Sample {
  readonly record: number;
  /** In use after a garbage collection. */
  readonly heapMib: number;
  readonly openFiles: number;
  readonly series: number;
}

const records = recordsWanted();
const samples = await soak();
const failures = verdict(samples);
for (const failure of failures) console.error(`soak: FAILED: ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;

async function soak(): Promise<readonly Sample[]> {
  const taken: Sample[] = [];
  await using agent = await startWholeAgent({
    settings: { period: `${PERIOD_SECONDS * 1000}ms` },
    nodeArgs: ['--import', join(import.meta.dirname, '../bench/memory-probe.ts')],
  });
  const every = RECORDS_PER_CHANGE * Math.ceil(records / SAMPLES / RECORDS_PER_CHANGE);
  for (let record = 1; record <= records; record += 1) {
    await agent.record(`${churningLine(record)}\n`);
    // Right before a change: who left at the last one is long gone.
    if (record % every === every - 1) taken.push(await sample(agent, record));
  }
  return taken;
}

/** Each record shows a few processes; every now and then the oldest is gone and a new one is there. */
function churningLine(record: number): string {
  const firstPid = 1000 + 7 * Math.floor(record / RECORDS_PER_CHANGE);
  return neuronMonitorLine({ runtimes: RUNTIMES, modelsPerRuntime: 2, sequence: record % 64, firstPid, periodSeconds: PERIOD_SECONDS });
}

async function sample(agent: WholeAgent, record: number): Promise<Sample> {
  const series = /^neuron_series_kept\S* (\d+)$/m.exec(agent.page)?.[1];
  const residentMib = (agent.residentBytes / 2 ** 20).toFixed(1);
  const { heapBytes, externalBytes } = await agent.usedMemory();
  const taken = { record, heapMib: heapBytes / 2 ** 20, openFiles: agent.openFiles, series: Number(series) };
  const memory = `${taken.heapMib.toFixed(2)} MiB of heap, ${(externalBytes / 2 ** 20).toFixed(1)} of buffers, ${residentMib} resident`;
  console.log(`soak: record ${record}: ${memory}, ${taken.openFiles} files, ${taken.series} series`);
  return taken;
}

function verdict(all: readonly Sample[]): readonly string[] {
  const steady = all.filter(({ record }) => record > records * WARM_UP_SHARE);
  const growth = slope(steady) * 10_000;
  const files = steady.map(({ openFiles }) => openFiles);
  const series = steady.map((one) => one.series);
  console.log(`soak/heap_mib_per_10k_records ours=${growth.toFixed(2)} peer=- ratio=- goal=<=${MAX_GROWTH_MIB_PER_10K_RECORDS}`);
  console.log(`soak/open_files ours=${Math.min(...files)}…${Math.max(...files)} peer=- ratio=- goal=constant`);
  console.log(`soak/series ours=${Math.min(...series)}…${Math.max(...series)} peer=- ratio=- goal=constant`);
  return [
    ...(growth <= MAX_GROWTH_MIB_PER_10K_RECORDS ? [] : [`memory grows by ${growth.toFixed(2)} MiB in 10,000 records`]),
    // A connection of this process's own client may come and go.
    ...(Math.max(...files) - Math.min(...files) <= 1 ? [] : ['the number of open files changes']),
    ...(Math.max(...series) === Math.min(...series) ? [] : ['the number of series changes']),
  ];
}

/** MiB per record between the first and the last third. Medians: one sample may fall into the middle of a large record. */
function slope(points: readonly Sample[]): number {
  const third = Math.ceil(points.length / 3);
  const [first, last] = [points.slice(0, third), points.slice(-third)];
  const median = (of: readonly Sample[], key: 'heapMib' | 'record'): number => summarize(of.map((one) => one[key])).median;
  return (median(last, 'heapMib') - median(first, 'heapMib')) / (median(last, 'record') - median(first, 'record'));
}

function recordsWanted(): number {
  const [flag, value] = process.argv.slice(2);
  if (flag === undefined) return DEFAULT_RECORDS;
  const wanted = Number(value);
  if (flag !== '--records' || !Number.isInteger(wanted) || wanted < RECORDS_PER_CHANGE * SAMPLES) {
    throw new RangeError(`usage: npm run soak [-- --records N], with N at least ${RECORDS_PER_CHANGE * SAMPLES}`);
  }
  return wanted;
}
