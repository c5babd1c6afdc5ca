import { describe, expect, it } from 'vitest';
import { AgentProcess } from './support/agent.ts';

/** What must be there when no binary of AWS's is: from sysfs, from /proc, from datastores, from the metadata service. */
const EXPECTED = {
  sysfs: ['hw_errors_total', 'hw_status', 'neuron_device_memory_usage_bytes', 'neuron_device_core_executions_total'],
  nds: ['neuron_core_utilization_ratio', 'neuron_core_memory_usage_bytes', 'neuron_executions_total'],
  procfs: [
    'system_cpu_time_seconds_total',
    'system_memory_limit_bytes',
    'process_cpu_time_seconds_total',
    'neuron_host_context_switches_total',
  ],
  imds: ['target_info'],
};

describe.each(['sources', 'bundle'] as const)('the %s on a simulated host, without neuron-monitor', (program) => {
  it('collects from all native sources and names the host', async () => {
    const args = ['once', '--format', 'prometheus', '--source', 'virtual:trn2.3xlarge'];
    await using agent = new AgentProcess(args, { program, config: { period: '1s' } });
    await agent.process.endsWith(0);
    const page = agent.process.stdout.toString('utf8');
    const families = new Set([...page.matchAll(/^([a-z_]+)[{ ]/gm)].map(([, family]) => family));
    for (const [source, names] of Object.entries(EXPECTED))
      for (const name of names) expect(families, `${source} serves ${name}`).toContain(name);
    // The region is told by nobody but the metadata service.
    expect(page).toMatch(/^target_info\{.*cloud_region="[a-z0-9-]+".*host_id="i-[0-9a-f]+".*host_type="trn2\.3xlarge"/m);
  });
});
