import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { AgentProcess, projectRoot } from './support/agent.ts';
import { asObject } from './support/json.ts';
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
    expect(others, agent.process.describe()).toEqual({});
    expect(taken).toBeGreaterThan(10);
  });

  it('runs with the settings of docs/otlp.md, and puts the promoted attributes onto every series of a process', async () => {
    await using prometheus = await Prometheus3.start(documentedSettings());
    await using agent = agentFor(prometheus, 'cumulative');
    const query = 'count({__name__=~"neuron_.*", process_pid!=""})';
    const count = await agent.process.until('points of a process', async () => (await prometheus.query(query))[0]?.value);
    expect(count).toBeGreaterThan(0);
    expect(await prometheus.query('count({__name__=~"neuron_.*", host_id=""})')).toEqual([]);
  });

  it.each(['delta', 'lowmemory'])('refuses %s temporality, as docs/otlp.md states', async (temporality) => {
    await using prometheus = await Prometheus3.start();
    await using agent = agentFor(prometheus, temporality);
    const refused = await agent.process.until('a refusal', async () => (await prometheus.requestsByStatus())['500']);
    expect(refused).toBeGreaterThan(0);
  });
});

function agentFor(prometheus: Prometheus3, temporality: string): AgentProcess {
  const exporters = { otlp: { endpoint: prometheus.otlpEndpoint, temporality } };
  return new AgentProcess(['--source', 'virtual:trn2.3xlarge'], { config: { period: '1s', exporters } });
}

/** The block of docs/otlp.md that begins with `# prometheus.yml`. */
function documentedSettings(): object {
  const page = readFileSync(join(projectRoot, 'docs/otlp.md'), 'utf8');
  return asObject(parse(/```yaml\n(# prometheus.yml.*?)```/s.exec(page)?.[1] ?? ''), 'prometheus.yml');
}
