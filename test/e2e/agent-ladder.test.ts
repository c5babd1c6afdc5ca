import { describe, expect, it } from 'vitest';
import { createVirtualDirectory, createVirtualHost } from '../../simulator/virtual-host.ts';
import { systemClock } from '../../src/host.ts';
import { AgentProcess } from './support/agent.ts';
import { eventually } from './support/eventually.ts';
import { TemporaryFolder } from './support/folder.ts';
import { freePort } from './support/ports.ts';
import { fixture, withPeriod } from './support/recordings.ts';
import { ScriptedMonitor } from './support/scripted-monitor.ts';

const INTERVAL_MS = 200;

describe('a host with neuron-monitor and with the driver', () => {
  it('has ECC counters of the one and devices of the other at once, no series twice, and the driver in for both when the monitor is gone', async () => {
    using folder = new TemporaryFolder();
    using directory = createVirtualDirectory();
    await using virtual = await createVirtualHost({
      instanceType: 'trn1.32xlarge',
      seed: 7,
      directory: directory.path,
      clock: systemClock,
      warmUpMs: 120_000,
    });
    const lines = withPeriod(fixture('trn1-errors').lines, INTERVAL_MS / 1_000);
    const monitor = new ScriptedMonitor(folder, [
      { lines: [...lines, ...Array.from({ length: 25 }, () => lines.at(-1) ?? '')], intervalMs: INTERVAL_MS, exitCode: 1 },
      // From now on it dies whenever it is started.
      { lines: [], intervalMs: INTERVAL_MS, exitCode: 1 },
    ]);
    const port = await freePort();
    const { sysRoot, procRoot, devRoot, fsRoot } = virtual.host;
    await using agent = new AgentProcess([], {
      config: {
        period: `${INTERVAL_MS}ms`,
        source: { spec: `neuron-monitor:${monitor.path}`, imds: { enabled: false } },
        exporters: { prometheus: { port } },
      },
      env: {
        NEURON_OTEL_SYS_ROOT: sysRoot,
        NEURON_OTEL_PROC_ROOT: procRoot,
        NEURON_OTEL_DEV_ROOT: devRoot,
        NEURON_OTEL_FS_ROOT: fsRoot,
      },
    });
    const page = async (isThere: (text: string) => boolean, what: string): Promise<string> =>
      eventually(
        async () => {
          const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined);
          const text = response?.ok === true ? await response.text() : '';
          return isThere(text) ? text : undefined;
        },
        { timeoutMs: 20_000, what, context: () => agent.process.describe() },
      );
    const active = (group: string, source: string): string => `neuron_source_active{neuron_group="${group}",neuron_source="${source}"} 1\n`;

    const both = await page(
      (text) => text.includes(active('neuron_hw_counters', 'neuron-monitor')) && text.includes(active('neuron_device_counters', 'sysfs')),
      'both sources',
    );
    expect(both).toMatch(/^hw_errors_total\{/m);
    expect(both).toMatch(/^hw_status\{.*hw_id="neuron0".*\} /m);
    expect(both).toMatch(/^neuron_device_memory_usage_bytes\{/m);
    expectNoSeriesTwice(both);

    const alone = await page((text) => text.includes(active('neuron_hw_counters', 'sysfs')), 'sysfs to take over');
    expect(alone).toContain(active('neuron_device_counters', 'sysfs'));
    expect(alone).toMatch(/^hw_errors_total\{.*hw_id="neuron15:hbm".*\} /m);
    expectNoSeriesTwice(alone);
    expect(agent.process.stderr).not.toContain('clash');
  });
});

function expectNoSeriesTwice(page: string): void {
  const series = page.split('\n').flatMap((line) => (line === '' || line.startsWith('#') ? [] : [line.slice(0, line.lastIndexOf(' '))]));
  expect(series.length).toBeGreaterThan(100);
  expect(series.length).toBe(new Set(series).size);
}
