import { COUNTER } from '../../../simulator/truth.ts';
import type { ProcessTruth, Truth } from '../../../simulator/truth.ts';
import { parsePage } from '../../exporters/prometheus/support/parse.ts';

const TYPES = ['device', 'total'] as const;

/** Executions of one process between two samples. */
interface Period {
  readonly deviceSeconds: number[];
  readonly totalSeconds: number[];
  /** Executions that were the last ones of their core when somebody looked. */
  looked: number;
}

/** What the page said of one process's latencies. */
export interface ReadLatencies {
  readonly coverage: number | undefined;
  /** Quantile → seconds. */
  readonly quantiles: Readonly<Record<(typeof TYPES)[number], ReadonlyMap<number, number>>>;
}

/** Every single latency of every process since the last sample, and what an agent that looks at each step can see of them. */
export class LatencyLedger {
  readonly #truth: Truth;
  readonly #seenUpTo = new Map<ProcessTruth, { count: number; completed: readonly bigint[] }>();
  #periods = new Map<ProcessTruth, Period>();

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  /** To be called after each step of the host. */
  step(): void {
    for (const process of this.#truth.processes) {
      const period = this.#periods.get(process) ?? { deviceSeconds: [], totalSeconds: [], looked: 0 };
      this.#periods.set(process, period);
      const { latency, cores } = process;
      const completed = cores.map(({ counters }) => counters[COUNTER.completed] ?? 0n);
      const before = this.#seenUpTo.get(process) ?? { count: latency.count, completed };
      if (latency.count - before.count > latency.capacity) throw new RangeError('the model does not remember all latencies of a step');
      for (let i = before.count; i < latency.count; i += 1) {
        period.deviceSeconds.push(latency.deviceSeconds[i % latency.capacity] ?? Number.NaN);
        period.totalSeconds.push(latency.totalSeconds[i % latency.capacity] ?? Number.NaN);
      }
      period.looked += completed.filter((count, i) => count !== before.completed[i]).length;
      this.#seenUpTo.set(process, { count: latency.count, completed });
    }
  }

  /** What happened since the sample before; forgets it. */
  sample(): ReadonlyMap<ProcessTruth, Period> {
    const periods = this.#periods;
    this.#periods = new Map();
    return periods;
  }
}

/**
 * Where a reading is not what it has to be: the share that was seen is exact; every value is one that an execution really took; and
 * of a quantile's rank it errs by no more than the executions that were not seen, for only these can stand in a wrong place.
 */
export function latencyProblems(read: ReadLatencies, truth: Period): string[] {
  const executions = truth.deviceSeconds.length;
  if (executions === 0) return read.coverage === undefined && read.quantiles.device.size === 0 ? [] : ['latencies without executions'];
  const problems: string[] = [];
  const coverage = truth.looked / executions;
  if (read.coverage === undefined || Math.abs(read.coverage - coverage) > 1e-12)
    problems.push(`coverage ${read.coverage}, not ${coverage}`);
  for (const type of TYPES) {
    const seconds = type === 'device' ? truth.deviceSeconds : truth.totalSeconds;
    if (read.quantiles[type].size !== 7) problems.push(`${read.quantiles[type].size} percentiles`);
    for (const [quantile, value] of read.quantiles[type]) {
      const rank = Math.floor((executions - 1) * quantile);
      const unseen = executions - truth.looked;
      const [below, upTo] = [seconds.filter((one) => one < value).length, seconds.filter((one) => one <= value).length];
      if (upTo === below) problems.push(`no execution took ${value} s (${type})`);
      if (below > rank + unseen || upTo < rank + 1 - unseen)
        problems.push(`${type} p${100 * quantile} is of rank ${below}…${upTo}, not ${rank} ± ${unseen}`);
    }
  }
  return problems;
}

/** By pid: a sample has one process with it. */
export function latenciesOfPage(page: string): ReadonlyMap<number, ReadLatencies> {
  const read = new Map<
    number,
    { coverage: number | undefined; readonly quantiles: { device: Map<number, number>; total: Map<number, number> } }
  >();
  for (const { name, labels, value } of parsePage(page)) {
    if (name !== 'neuron_execution_latency_seconds' && name !== 'neuron_latency_sampling_coverage_ratio') continue;
    const pid = Number(labels['process_pid']);
    const one = read.get(pid) ?? { coverage: undefined, quantiles: { device: new Map(), total: new Map() } };
    read.set(pid, one);
    if (name === 'neuron_latency_sampling_coverage_ratio') one.coverage = Number(value);
    else
      one.quantiles[labels['neuron_latency_type'] === 'device' ? 'device' : 'total'].set(
        Number(labels['neuron_latency_quantile']),
        Number(value),
      );
  }
  return read;
}
