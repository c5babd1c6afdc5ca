import type { VirtualInstanceType } from '../../../simulator/instances.ts';
import type { DeviceTruth, ProcessTruth } from '../../../simulator/truth.ts';
import { parsePage } from '../../exporters/prometheus/support/parse.ts';
import type { DecodedPoint } from '../../support/otlp-decode.ts';
import { VirtualAgent } from '../../support/virtual-agent.ts';
import type { Sampled } from '../../support/virtual-agent.ts';
import { keyed } from './expected-process.ts';
import { latenciesOfPage, LatencyLedger, latencyProblems } from './latency-ledger.ts';
import { LegacyLedger, seriesOfLegacyPage } from './legacy-page.ts';
import { expectedOfLine, seriesOfLine } from './line.ts';
import { differences, ownerKey, seriesOfOtlp, seriesOfPage } from './series.ts';
import { TruthLedger } from './truth-ledger.ts';

/** From two minutes after the start to the end of the first five: crash, restart, reset, errors of every kind. */
const WARM_UP_MS = 120_000;
const END_MS = 315_000;
/** More of the same would not help whoever reads it. */
const MAX_PROBLEMS = 20;

const PAGES = { otel: { resource_labels: ['process.creation.time'] }, legacy: { naming: 'legacy' } } as const;

export interface DifferentialOptions {
  readonly instanceType: VirtualInstanceType;
  readonly periodMs: number;
  /** The agent looks for latencies four times a second; new ones are in the files as often as this. */
  readonly stepMs: number;
}

export type Topic = 'page' | 'legacy page' | 'OTLP' | 'JSON' | 'times' | 'latencies' | 'power' | 'conflicts';

/** Minutes of an agent on a simulated host, each output of each sample compared with what was true. */
export class Differential {
  readonly seenStates = new Set<string>();
  readonly seenProcesses = new Set<ProcessTruth>();
  /** Most busy time that a core had still to be shown, and the longest execution, milliseconds. */
  longestLagMs = 0;
  longestExecutionMs = 0;
  leastCoverage = 1;
  mostBusy = 0;
  powerSamples = 0;
  readonly #problems = new Map<Topic, string[]>();
  readonly #agent: VirtualAgent;
  readonly #ledger: TruthLedger;
  readonly #legacy = new LegacyLedger();
  readonly #latencies: LatencyLedger;
  readonly #power = new Map<number, readonly DeviceTruth['power'][]>();
  /** Process → time of its first sample. */
  readonly #firstAtMs = new Map<string, number>();

  private constructor(agent: VirtualAgent, periodMs: number) {
    this.#agent = agent;
    this.#ledger = new TruthLedger(agent.truth, periodMs);
    this.#latencies = new LatencyLedger(agent.truth);
  }

  static async run(options: DifferentialOptions): Promise<Differential> {
    await using agent = await VirtualAgent.start({ ...options, seed: 3, warmUpMs: WARM_UP_MS, pages: PAGES });
    const differential = new Differential(agent, options.periodMs);
    differential.#latencies.step();
    for (let sampled = agent.sampled; agent.truth.elapsedMs < END_MS; sampled = await agent.next(() => differential.#latencies.step()))
      await differential.#compare(sampled);
    differential.#note('conflicts', agent.conflicts);
    return differential;
  }

  problems(topic: Topic): readonly string[] {
    return this.#problems.get(topic) ?? [];
  }

  #note(topic: Topic, problems: readonly string[]): void {
    const second = (this.#agent.truth.elapsedMs / 1000).toFixed(1);
    const all = [...this.problems(topic), ...problems.map((problem) => `${second} s: ${problem}`)];
    this.#problems.set(topic, all.slice(0, MAX_PROBLEMS));
  }

  async #compare(sampled: Sampled): Promise<void> {
    const { otlp, line } = sampled;
    const page = await this.#agent.page('otel');
    const onPage = seriesOfPage(page);
    const { owners, host, processes } = this.#ledger.sample(onPage.owners);
    const points = [...host, ...processes];
    const pushed = seriesOfOtlp(otlp);
    const printed = seriesOfLine(line);
    const legacy = seriesOfLegacyPage(await this.#agent.page('legacy'));
    this.#note('page', [...differences(onPage.series, keyed(points)), ...others([...onPage.owners], owners)]);
    this.#note('OTLP', [...differences(pushed.series, keyed(points)), ...others([...pushed.owners], owners)]);
    const expectedOnLine = expectedOfLine(points, sampled);
    this.#note('JSON', [...differences(printed.series, expectedOnLine), ...others(printed.owners, owners.map(withoutStart))]);
    this.#note('legacy page', differences(legacy, this.#legacy.scrape(points)));
    this.#compareTimes(otlp);
    this.#compareLatencies(page);
    this.#comparePower(page);
    this.#remember(onPage.series);
  }

  /** Tallies count from the first look at a process, CPU time from its start, and every point is of now. */
  #compareTimes(otlp: readonly DecodedPoint[]): void {
    const nowMs = this.#agent.clock.nowMs();
    for (const { resource, metric, startTimeMs, timeMs } of otlp) {
      if (!/^(?:neuron|process)\.(?!collection|series|source|exporter|delivery|reader|scheduler)/.test(metric)) continue;
      if (timeMs !== nowMs) this.#note('times', [`${metric} is of ${timeMs}`]);
      const startedAt = String(resource['process.creation.time']);
      const first = this.#firstAtMs.get(startedAt) ?? nowMs;
      if (resource['process.pid'] !== undefined) this.#firstAtMs.set(startedAt, first);
      if (metric === 'neuron.executions' && startTimeMs !== first) this.#note('times', [`${metric} since ${startTimeMs}, not ${first}`]);
      if (metric === 'process.cpu.time' && startTimeMs !== Date.parse(startedAt)) this.#note('times', [`${metric} since ${startTimeMs}`]);
    }
    this.#note(
      'times',
      otlp.flatMap(({ metric, value, bucketed = value }) =>
        bucketed === value ? [] : [`${metric} has ${bucketed} of ${value} in buckets`],
      ),
    );
  }

  #compareLatencies(page: string): void {
    const periods = this.#latencies.sample();
    const read = latenciesOfPage(page);
    for (const { process, samples } of this.#ledger.processes) {
      const truth = periods.get(process);
      if (truth === undefined || samples < 2) continue;
      const said = read.get(process.pid) ?? { coverage: undefined, quantiles: { device: new Map(), total: new Map() } };
      this.#note('latencies', latencyProblems(said, truth));
      this.leastCoverage = Math.min(this.leastCoverage, said.coverage ?? 1);
      for (const seconds of truth.deviceSeconds) this.longestExecutionMs = Math.max(this.longestExecutionMs, 1000 * seconds);
    }
  }

  /** The driver publishes a minute at a time, and is asked for it up to a period later. */
  #comparePower(page: string): void {
    for (const { index, power } of this.#agent.truth.devices) {
      const published = this.#power.get(index) ?? [];
      if (published.at(-1)?.epochSeconds !== power?.epochSeconds || published.length === 0)
        this.#power.set(index, [...published.slice(-1), power]);
    }
    const read = parsePage(page).filter(({ name }) => name === 'neuron_device_power_utilization_ratio');
    for (const [statistic, samples] of Map.groupBy(read, ({ labels }) => labels['neuron_power_statistic'])) {
      for (const { labels, value } of samples) {
        const published = this.#power.get(Number(labels['neuron_device_index'])) ?? [];
        const possible = published.map((power) => power && { min: power.min, max: power.max, avg: power.average }[statistic ?? '']);
        this.powerSamples += 1;
        if (!possible.some((percent) => percent !== undefined && Math.abs(percent / 100 - Number(value)) < 1e-12))
          this.#note('power', [`${statistic} of device ${labels['neuron_device_index']}: ${value}, not one of ${possible.join(', ')}`]);
      }
    }
  }

  #remember(series: ReadonlyMap<string, number>): void {
    for (const process of this.#agent.truth.processes) this.seenProcesses.add(process);
    for (const [key, value] of series)
      if (value > 0 && /^(?:hw\.|neuron\.device\.(?:component|core\.(?:reset|executions)))/.test(key)) this.seenStates.add(kindOf(key));
    const cores = [...this.#ledger.processes.flatMap((ledger) => ledger.cores), ...this.#ledger.host.cores];
    for (const { busyMs, shownMs, utilization } of cores) {
      this.longestLagMs = Math.max(this.longestLagMs, busyMs - shownMs);
      this.mostBusy = Math.max(this.mostBusy, utilization);
    }
  }
}

/** A series without what tells one device from another. */
function kindOf(key: string): string {
  return key.replaceAll(/(?:neuron\.device\.index|neuron\.physical_core\.index|hw\.id)=\w*,?/g, '').trim();
}

function withoutStart(owner: string): string {
  const [pid, , tag] = owner.split(' ');
  return ownerKey({ pid: Number(pid), startedAt: '', tag: tag ?? '' });
}

function others(actual: readonly string[], expected: readonly string[]): readonly string[] {
  const [is, should] = [actual.toSorted().join('; '), expected.toSorted().join('; ')];
  return is === should ? [] : [`processes ${is} instead of ${should}`];
}
