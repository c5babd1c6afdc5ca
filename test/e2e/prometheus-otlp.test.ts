import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AgentProcess } from './support/agent.ts';
import { Prometheus3 } from './support/prometheus-3.ts';

const ROUNDS = 60;
const STOPPED_MS = 350;
const RUNNING_MS = 100;

describe('Prometheus 3 as an OTLP receiver', () => {
  it('takes every request of an agent whose sources are slow, because it is stopped most of the time', async () => {
    await using prometheus = await Prometheus3.start();
    const config = { period: '1s', exporters: { otlp: { endpoint: prometheus.otlpEndpoint } } };
    await using agent = new AgentProcess(['--source', 'virtual:trn2.48xlarge'], { config });
    await agent.process.until('its first request to be taken', async () => {
      const taken = (await prometheus.requestsByStatus())['200'] ?? 0;
      return taken > 0 ? true : undefined;
    });
    for (let round = 0; round < ROUNDS; round += 1) {
      agent.process.kill('SIGSTOP');
      await delay(STOPPED_MS);
      agent.process.kill('SIGCONT');
      await delay(RUNNING_MS);
    }
    await delay(1500);
    const { '200': taken = 0, ...others } = await prometheus.requestsByStatus();
    console.log(`${taken} requests taken, refused: ${JSON.stringify(others)}`);
    expect(others, prometheus.process.describe()).toEqual({});
    expect(taken).toBeGreaterThan(10);
  });
});
