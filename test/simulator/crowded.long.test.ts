import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { VirtualAgent } from '../support/virtual-agent.ts';
import { keyed } from './support/expected-process.ts';
import { differences, seriesOfPage } from './support/series.ts';
import { TruthLedger } from './support/truth-ledger.ts';

const PERIOD_MS = 1_000;

/** All places of a device are taken: the agent steps back from it and cannot know any more whether it sees every process. */
function crowd(agent: VirtualAgent, device: number): void {
  for (let pid = 9_000; pid < 9_015; pid += 1) writeFileSync(join(agent.host.host.devRoot, `neuron${device}/${pid}`), '');
}

test('while one device cannot be read, processes that start on the others keep their totals', async () => {
  await using agent = await VirtualAgent.start({
    instanceType: 'trn2.48xlarge',
    seed: 5,
    periodMs: PERIOD_MS,
    warmUpMs: 20_000,
    settings: {
      neuron_runtimes: [
        { tag_filter: '.*', metrics: ['execution_stats', 'memory_used', 'neuron_runtime_vcpu_usage'].map((type) => ({ type })) },
      ],
    },
    churn: { devices: [4, 5], lifetimeMs: { shortest: 5_000, longest: 12_000 }, pids: 9 },
    pages: { otel: { resource_labels: ['process.creation.time'] } },
  });
  const ledger = new TruthLedger(agent.truth, PERIOD_MS);
  for (let sample = 0; sample < 50; sample += 1) {
    const { series, owners: seen } = seriesOfPage(await agent.page('otel'));
    const { owners, processes } = ledger.sample(seen);
    const counted = new Map([...series].filter(([key]) => key.startsWith('neuron.executions')));
    const expected = keyed(processes.filter(({ metric }) => metric === 'neuron.executions'));
    expect(differences(counted, expected), `sample ${sample}`).toEqual([]);
    expect([...seen].toSorted(), `sample ${sample}`).toEqual(owners);
    if (sample === 5) crowd(agent, 15);
    await agent.next();
  }
});
