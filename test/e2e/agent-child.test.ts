import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { agentConfig } from './support/agent-config.ts';
import { AgentProcess } from './support/agent.ts';
import type { Program } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { asObjects, parseObject } from './support/json.ts';
import { freePort } from './support/ports.ts';
import { Prometheus } from './support/prometheus.ts';
import { fixture, withPeriod } from './support/recordings.ts';
import { ScriptedMonitor } from './support/scripted-monitor.ts';

const INTERVAL_MS = 200;
const FIRST_LIFE_RECORDS = 10;
const BOTH: readonly Program[] = ['sources', 'bundle'];

describe.each(BOTH)('the %s with neuron-monitor as a child that dies and returns', (program) => {
  it('hides its points while it is away, goes on with its totals, and leaves no process behind', async () => {
    using folder = new TemporaryFolder();
    const [line = ''] = withPeriod(fixture('trn1-one-runtime').lines.slice(2), INTERVAL_MS / 1000);
    const perRecord = completedOf(line);
    expect(perRecord).toBeGreaterThan(0);
    const monitor = new ScriptedMonitor(folder, [
      { lines: Array.from({ length: FIRST_LIFE_RECORDS }, () => line), intervalMs: INTERVAL_MS, exitCode: 3 },
      // It dies at once: the agent waits longer before the next life.
      { lines: [], intervalMs: INTERVAL_MS, exitCode: 3 },
      { lines: [line], intervalMs: INTERVAL_MS },
    ]);
    const port = await freePort();
    const config = agentConfig({
      period: `${INTERVAL_MS}ms`,
      source: { spec: `neuron-monitor:${monitor.path}` },
      exporters: { prometheus: { port } },
    });
    await using prometheus = await Prometheus.start([{ job: 'neuron', port }]);
    await using agent = new AgentProcess([], { program, config });

    // First life: ten records. Then nothing for some three seconds, then more than before.
    await prometheus.answers('count(neuron_core_utilization_ratio)', ([count]) => (count?.value ?? 0) > 0);
    await prometheus.answers('count(neuron_core_utilization_ratio)', (results) => results.length === 0);
    const [completed] = await prometheus.answers(
      'sum(neuron_executions_total{neuron_execution_outcome="completed"})',
      ([sum]) => (sum?.value ?? 0) > (FIRST_LIFE_RECORDS + 1) * perRecord,
    );
    expect((completed?.value ?? 0) % perRecord).toBe(0);
    expect(monitor.starts()).toHaveLength(3);

    agent.process.kill('SIGTERM');
    await agent.process.endsWith(0);
    for (const { pid } of monitor.starts()) expect(isAlive(pid)).toBe(false);
  });

  it('gives it the effective configuration in a file that only its owner reads', async () => {
    using folder = new TemporaryFolder();
    const line = fixture('trn1-one-runtime').lines[1] ?? '';
    const monitor = new ScriptedMonitor(folder, [{ lines: [line], intervalMs: INTERVAL_MS }]);
    const config = agentConfig({
      period: '7s',
      source: { spec: `neuron-monitor:${monitor.path}` },
      exporters: { json_stdout: {} },
    });
    await using agent = new AgentProcess([], { program, config, env: { SECRET_OF_THE_AGENT: 'canary' } });
    await agent.process.until('first line', () => (agent.process.stdout.includes('\n') ? true : undefined));

    const [start] = monitor.starts();
    const path = start?.args.at(-1) ?? '';
    expect(start?.args.slice(0, -1)).toEqual(['-c']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const written = parseObject(readFileSync(path, 'utf8'));
    const [runtimes] = asObjects(written['neuron_runtimes'], 'neuron_runtimes');
    const groups = [...asObjects(runtimes?.['metrics'], 'metrics'), ...asObjects(written['system_metrics'], 'system_metrics')];
    expect(groups.map(({ type }) => String(type)).toSorted()).toEqual([
      'execution_stats',
      'memory_info',
      'memory_used',
      'neuron_hw_counters',
      'neuron_runtime_vcpu_usage',
      'neuroncore_counters',
      'vcpu_usage',
    ]);
    expect(JSON.stringify(written)).toContain('"7s"');
    expect(start?.environment).not.toHaveProperty('SECRET_OF_THE_AGENT');

    agent.process.kill('SIGTERM');
    await agent.process.endsWith(0);
    expect(() => statSync(path)).toThrow(/ENOENT/);
  });
});

function completedOf(line: string): number {
  const [runtime] = asObjects(parseObject(line)['neuron_runtime_data'], 'neuron_runtime_data');
  return Number(/"completed":(\d+)/.exec(JSON.stringify(runtime))?.[1]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
