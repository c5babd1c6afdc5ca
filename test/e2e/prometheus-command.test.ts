import { dirname } from 'node:path';
import { connect } from 'node:tls';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { get } from '../exporters/prometheus/support/endpoint.ts';
import { familyTypes, parsePage } from '../exporters/prometheus/support/parse.ts';
import { certificateText } from '../support/web-configs.ts';
import { AgentProcess } from './support/agent.ts';
import { eventually } from './support/eventually.ts';
import { TemporaryFolder } from './support/folder.ts';
import { freePort } from './support/ports.ts';
import { fixture, withPeriod } from './support/recordings.ts';
import { ScriptedMonitor } from './support/scripted-monitor.ts';

/** Starts the command and waits until its page shows a family. */
async function start(args: readonly string[], port: number, family: string, lines: readonly string[]): Promise<AgentProcess> {
  const agent = new AgentProcess(['prometheus', '-p', String(port), ...args], { program: 'bundle' });
  agent.feed(lines);
  const isTls = args.includes('--cert-file');
  await agent.process.until(`a page with ${family}`, async () => {
    const { text } = await get(port, '/', isTls ? { tls: { rejectUnauthorized: false } } : {});
    return text.includes(`\n${family}{`) ? true : undefined;
  });
  return agent;
}

describe('neuron-otel prometheus', () => {
  it('listens on all addresses and answers on any path', async () => {
    const port = await freePort();
    await using agent = await start([], port, 'system_vcpu_count', fixture('inf1').lines);
    for (const host of ['127.0.0.1', '127.0.0.2']) {
      const response = await fetch(`http://${host}:${port}/some/path`);
      expect(await response.text()).toContain('execution_status_total{');
    }
    expect(agent.process.stderr).toContain('without TLS and authentication');
  });

  it('serves HTTPS, and takes renewed files when their content changes', async () => {
    using folder = new TemporaryFolder();
    const port = await freePort();
    const [certFile, keyFile] = [folder.file('a.crt'), folder.file('a.key')];
    const install = (name: string): void => {
      writeFileSync(certFile, certificateText(`${name}.crt`));
      writeFileSync(keyFile, certificateText(`${name}.key`));
    };
    install('server');
    await using agent = await start(['--cert-file', certFile, '--key-file', keyFile], port, 'instance_info', fixture('inf1').lines);
    expect(await subjectAt(port)).toBe('neuron-otel test server');
    install('server-renewed');
    expect(await subjectAt(port)).toBe('neuron-otel test server, renewed');
    await expect(get(port, '/')).rejects.toThrow(/./);
    expect(agent.process.hasExited).toBe(false);
  });

  it('adds pods with --enable-k8s-info, and takes the flag where there are none', async () => {
    for (const name of ['k8s', 'inf1']) {
      const port = await freePort();
      await using _agent = await start(['--enable-k8s-info'], port, 'neuroncore_utilization_ratio', fixture(name).lines);
      const samples = parsePage((await get(port, '/')).text).filter(({ name: family }) => family === 'neuroncore_utilization_ratio');
      expect(samples.map(({ labels }) => labels['pod_name']).some((pod) => pod !== '')).toBe(name === 'k8s');
    }
  });

  it('loses a line to bad JSON, a group to a bad group, and ends with the stream', async () => {
    const port = await freePort();
    const [line = ''] = withPeriod(fixture('inf1').lines, 5);
    const broken = line
      .replace('"memory_info":{', '"memory_info":[],"memory_was":{')
      .replace('"error_summary":{', '"error_summary":7,"x":{');
    await using agent = await start([], port, 'execution_status_total', ['{"neuron_runtime_data":[', '', 'no JSON', broken]);
    const types = familyTypes((await get(port, '/')).text);
    for (const family of ['execution_status_total', 'neuroncore_utilization_ratio', 'system_vcpu_count', 'instance_info']) {
      expect(types.has(family)).toBe(true);
    }
    expect(types.has('system_memory_total_bytes')).toBe(false);
    agent.feedAndEnd('');
    await agent.process.endsWith(0);
    expect(agent.process.stdout.toString()).toBe('');
    await eventually(
      () =>
        get(port, '/').then(
          () => undefined,
          () => true,
        ),
      { timeoutMs: 5_000, what: 'the port to be closed' },
    );
  });

  it.each([
    [['--key-file', 'x'], '--key-file and --cert-file go together'],
    [['--port', 'http'], 'from 0 to 65535'],
    [['--no-such-flag'], 'unknown option'],
  ])('%j is wrong usage', async (args, message) => {
    await using agent = new AgentProcess(['prometheus', ...args], { program: 'bundle' });
    await agent.process.endsWith(2);
    expect(agent.process.stderr).toContain(message);
  });
});

function subjectAt(port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('neuron-otel prometheus --neuron-monitor-config', () => {
  const MONITOR_JSON = {
    period: '1s',
    neuron_runtimes: [{ tag_filter: '.*', metrics: [{ type: 'neuroncore_counters' }, { type: 'execution_stats' }] }],
    system_metrics: [{ type: 'memory_info', period: '2s' }, { type: 'neuron_hw_counters' }],
  };

  function monitorConfig(folder: TemporaryFolder, config: object = MONITOR_JSON): readonly string[] {
    writeFileSync(folder.file('monitor.json'), JSON.stringify(config));
    return ['--neuron-monitor-config', folder.file('monitor.json')];
  }

  function starts(args: readonly string[], port: number, env: Readonly<Record<string, string>>): AgentProcess {
    return new AgentProcess(['prometheus', '--port', String(port), ...args], { program: 'bundle', env });
  }

  async function pageWith(agent: AgentProcess, port: number, family: string): Promise<string> {
    return agent.process.until(`a page with ${family}`, async () => {
      const { text } = await get(port, '/');
      return text.includes(`\n${family}{`) || text.includes(`\n${family} `) ? text : undefined;
    });
  }

  it('starts the neuron-monitor of PATH and serves what it prints', async () => {
    using folder = new TemporaryFolder();
    const port = await freePort();
    const monitor = new ScriptedMonitor(folder, [{ lines: withPeriod(fixture('inf1').lines, 1), intervalMs: 100 }]);
    await using agent = starts(monitorConfig(folder), port, { PATH: dirname(monitor.path) });
    expect(await pageWith(agent, port, 'neuroncore_utilization_ratio')).toContain('execution_status_total{');
    expect(monitor.starts()).toHaveLength(1);
    expect(monitor.starts()[0]?.args).toEqual(['-c', expect.any(String)]);
  });

  it('leaves out the groups that the configuration leaves out', async () => {
    using folder = new TemporaryFolder();
    const port = await freePort();
    const monitor = new ScriptedMonitor(folder, [{ lines: withPeriod(fixture('inf1').lines, 1), intervalMs: 100 }]);
    const args = monitorConfig(folder, { ...MONITOR_JSON, system_metrics: [] });
    await using agent = starts(args, port, { PATH: dirname(monitor.path) });
    expect(await pageWith(agent, port, 'execution_status_total')).not.toContain('\nsystem_memory_total_bytes');
  });

  it('starts neuron-monitor again when it ends', async () => {
    using folder = new TemporaryFolder();
    const port = await freePort();
    const lines = withPeriod(fixture('inf1').lines, 1);
    const monitor = new ScriptedMonitor(folder, [
      { lines: [], intervalMs: 10, exitCode: 1 },
      { lines, intervalMs: 100 },
    ]);
    await using agent = starts(monitorConfig(folder), port, { PATH: dirname(monitor.path) });
    expect(await pageWith(agent, port, 'execution_status_total')).toContain('neuroncore_utilization_ratio');
    expect(monitor.starts()).toHaveLength(2);
  });

  it('serves natively where neuron-monitor is not installed', async () => {
    using folder = new TemporaryFolder();
    const port = await freePort();
    await using agent = starts(monitorConfig(folder), port, { PATH: folder.file('nowhere') });
    expect(await pageWith(agent, port, 'system_memory_total_bytes')).not.toContain('\nneuroncore_utilization_ratio');
  });

  it.each([
    ['a group that does not exist', { ...MONITOR_JSON, system_metrics: [{ type: 'temperature' }] }, 'system_metrics[0].type'],
    ['a period without a unit', { ...MONITOR_JSON, period: '1' }, 'period: "1" has no unit'],
    ['a key that does not exist', { ...MONITOR_JSON, neuron_runtime: [] }, 'did you mean "neuron_runtimes"?'],
  ])('refuses %s with 78', async (_name, config, message) => {
    using folder = new TemporaryFolder();
    await using agent = starts(monitorConfig(folder, config), await freePort(), {});
    await agent.process.endsWith(78);
    expect(agent.process.stderr).toContain(message);
  });

  it('names its flag and ends with 78 when the file is missing', async () => {
    await using agent = starts(['--neuron-monitor-config', '/nonexistent/monitor.json'], await freePort(), {});
    await agent.process.endsWith(78);
    expect(agent.process.stderr).toContain('--neuron-monitor-config: "/nonexistent/monitor.json" cannot be read: ENOENT');
  });

  it('ends with 78 when a certificate is missing', async () => {
    using folder = new TemporaryFolder();
    await using agent = starts([...monitorConfig(folder), '--cert-file', '/none.crt', '--key-file', '/none.key'], await freePort(), {});
    await agent.process.endsWith(78);
    expect(agent.process.stderr).toContain('/none.crt');
  });
});
