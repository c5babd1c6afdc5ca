import { expect } from 'vitest';
import type { ProcessTruth } from '../../../simulator/truth.ts';
import { VirtualAgent } from '../../support/virtual-agent.ts';
import { keyed } from './expected-process.ts';
import { LegacyLedger, seriesOfLegacyPage } from './legacy-page.ts';
import { expectedOfLine, seriesOfLine } from './line.ts';
import { differences, seriesOfOtlp, seriesOfPage } from './series.ts';
import type { SeriesMap } from './series.ts';
import { TruthLedger } from './truth-ledger.ts';

const PERIOD_MS = 1_000;

/** Every device to themselves: 64 logical cores, and hardly more pids than that. */
const CHURN = {
  devices: Array.from({ length: 16 }, (_, device) => device),
  lifetimeMs: { shortest: 100, longest: 1_600 },
  pids: 68,
};

/** How often a pid had another owner at the next sample, and how often that one had the same tag. */
class Reuse {
  pids = 0;
  tags = 0;
  #before = new Map<number, ProcessTruth>();

  sample(processes: readonly ProcessTruth[]): void {
    for (const process of processes) {
      const before = this.#before.get(process.pid);
      if (before === undefined || before === process) continue;
      this.pids += 1;
      if (before.tag === process.tag) this.tags += 1;
    }
    this.#before = new Map(processes.map((process) => [process.pid, process]));
  }
}

function ofProcesses(series: SeriesMap): SeriesMap {
  return new Map([...series].filter(([key]) => !key.endsWith('} ')));
}

function ofTags(series: SeriesMap): SeriesMap {
  return new Map([...series].filter(([key]) => key.includes('runtime_tag=')));
}

/**
 * Starts and ends `lives` processes under 68 pids. After each sample it compares which processes every output has, and each of their values:
 * so what ended is gone within one period, and no execution, byte, second, tag or container is attributed to another process.
 */
export async function expectChurnInEveryOutput(lives: number): Promise<void> {
  const groups = ['execution_stats', 'memory_used', 'neuron_runtime_vcpu_usage', 'neuroncore_counters'];
  const settings = {
    neuron_runtimes: [{ tag_filter: '.*', metrics: groups.map((type) => ({ type })) }],
    system_metrics: [{ type: 'neuron_hw_counters', period: '10s' }],
  };
  await using agent = await VirtualAgent.start({
    instanceType: 'trn2.48xlarge',
    seed: 5,
    periodMs: PERIOD_MS,
    settings,
    warmUpMs: 1_000,
    churn: CHURN,
    pages: { otel: { resource_labels: ['process.creation.time'] }, legacy: { naming: 'legacy' } },
  });
  const [ledger, legacy, reuse] = [new TruthLedger(agent.truth, PERIOD_MS), new LegacyLedger(), new Reuse()];
  const seen = { once: new Set<ProcessTruth>(), twice: new Set<ProcessTruth>() };
  const forks = agent.truth.host.forks;
  for (let sampled = agent.sampled; agent.truth.host.forks < forks + lives; sampled = await agent.next()) {
    const page = await agent.page('otel');
    const onPage = seriesOfPage(page);
    const { owners, processes } = ledger.sample(onPage.owners);
    const pushed = seriesOfOtlp(sampled.otlp);
    expect([...onPage.owners].toSorted()).toEqual(owners);
    expect(differences(ofProcesses(onPage.series), keyed(processes))).toEqual([]);
    expect([...pushed.owners].toSorted()).toEqual(owners);
    expect(differences(ofProcesses(pushed.series), keyed(processes))).toEqual([]);
    expect(differences(ofProcesses(seriesOfLine(sampled.line).series), expectedOfLine(processes, sampled))).toEqual([]);
    expect(differences(ofTags(seriesOfLegacyPage(await agent.page('legacy'))), legacy.scrape(processes))).toEqual([]);
    expect([...onPage.containers].toSorted()).toEqual(
      agent.truth.processes.map(({ pid, containerId }) => `${pid} ${containerId}`).toSorted(),
    );
    for (const { process, samples } of ledger.processes) (samples > 1 ? seen.twice : seen.once).add(process);
    reuse.sample(agent.truth.processes);
  }
  expect(agent.conflicts).toEqual([]);
  expect(seen.once.size).toBeGreaterThan(0.6 * lives);
  expect(seen.twice.size).toBeGreaterThan(0.1 * lives);
  expect(reuse.pids).toBeGreaterThan(0.5 * lives);
  expect(reuse.tags).toBeGreaterThan(0.1 * lives);
}
