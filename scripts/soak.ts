/**
 * `npm run soak [-- --records N]`: the whole agent as a process, fed as fast as it takes records, with every output read. Neuron
 * processes come and go all the time. Memory, file descriptors and series must stay where they were after the warm-up.
 */
import { neuronMonitorLine } from '../bench/neuron-monitor-line.ts';
import { startWholeAgent } from '../bench/whole-agent.ts';
import type { WholeAgent } from '../bench/whole-agent.ts';

const DEFAULT_RECORDS = 20_000;
const WARM_UP_SHARE = 0.3;
const SAMPLES = 40;
const RUNTIMES = 4;
/** So often one Neuron process ends and another begins. */
const RECORDS_PER_PROCESS_LIFE = 5;
/** Short enough that a process that has left is missed at once. */
const PERIOD_SECONDS = 0.02;
const MAX_GROWTH_MIB_PER_10K_RECORDS = 1;

interface Sample {
  readonly record: number;
  readonly residentMib: number;
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
  await using agent = await startWholeAgent({ period: `${PERIOD_SECONDS * 1000}ms` });
  const every = Math.max(1, Math.floor(records / SAMPLES));
  for (let record = 1; record <= records; record += 1) {
    await agent.record(`${churningLine(record)}\n`);
    if (record % every === 0) taken.push(sample(agent, record));
  }
  return taken;
}

/** Each record shows a few processes; every now and then the oldest is gone and a new one is there. */
function churningLine(record: number): string {
  const firstPid = 1000 + 7 * Math.floor(record / RECORDS_PER_PROCESS_LIFE);
  return neuronMonitorLine({ runtimes: RUNTIMES, modelsPerRuntime: 2, sequence: record % 64, firstPid, periodSeconds: PERIOD_SECONDS });
}

function sample(agent: WholeAgent, record: number): Sample {
  const series = /^neuron_series_kept\S* (\d+)$/m.exec(agent.page)?.[1];
  const taken = { record, residentMib: agent.residentBytes / 2 ** 20, openFiles: agent.openFiles, series: Number(series) };
  console.log(`soak: record ${record}: ${taken.residentMib.toFixed(1)} MiB resident, ${taken.openFiles} files, ${taken.series} series`);
  return taken;
}

function verdict(all: readonly Sample[]): readonly string[] {
  const steady = all.filter(({ record }) => record > records * WARM_UP_SHARE);
  const growth = slope(steady) * 10_000;
  const files = steady.map(({ openFiles }) => openFiles);
  const series = steady.map((one) => one.series);
  console.log(`soak/memory_mib_per_10k_records ours=${growth.toFixed(2)} peer=- ratio=- goal=<=${MAX_GROWTH_MIB_PER_10K_RECORDS}`);
  console.log(`soak/open_files ours=${Math.min(...files)}…${Math.max(...files)} peer=- ratio=- goal=constant`);
  console.log(`soak/series ours=${Math.min(...series)}…${Math.max(...series)} peer=- ratio=- goal=constant`);
  return [
    ...(growth <= MAX_GROWTH_MIB_PER_10K_RECORDS ? [] : [`memory grows by ${growth.toFixed(2)} MiB in 10,000 records`]),
    // A connection of this process's own client may come and go.
    ...(Math.max(...files) - Math.min(...files) <= 1 ? [] : ['the number of open files changes']),
    ...(Math.max(...series) === Math.min(...series) ? [] : ['the number of series changes']),
  ];
}

/** Least squares: MiB per record. */
function slope(points: readonly Sample[]): number {
  const meanX = mean(points.map(({ record }) => record));
  const meanY = mean(points.map(({ residentMib }) => residentMib));
  const covariance = mean(points.map(({ record, residentMib }) => (record - meanX) * (residentMib - meanY)));
  return covariance / mean(points.map(({ record }) => (record - meanX) ** 2));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function recordsWanted(): number {
  const [flag, value] = process.argv.slice(2);
  if (flag === undefined) return DEFAULT_RECORDS;
  const wanted = Number(value);
  if (flag !== '--records' || !Number.isInteger(wanted) || wanted < 2 * SAMPLES) {
    throw new RangeError(`usage: npm run soak [-- --records N], with N at least ${2 * SAMPLES}`);
  }
  return wanted;
}
