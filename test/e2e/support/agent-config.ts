const RUNTIME_GROUPS = ['execution_stats', 'memory_used', 'neuron_runtime_vcpu_usage', 'neuroncore_counters'];
const SYSTEM_GROUPS = ['memory_info', 'neuron_hw_counters', 'vcpu_usage'];

export interface AgentConfigOptions {
  readonly exporters: Readonly<Record<string, object>>;
  /** Long enough that nothing goes stale during a test, unless the test is about that. */
  readonly period?: string;
  readonly source?: object;
  readonly resource?: Readonly<Record<string, string>>;
}

/** Every group of a stream and nothing of this machine: no procfs, no instance metadata. */
export function agentConfig(options: AgentConfigOptions): object {
  return {
    period: options.period ?? '60s',
    neuron_runtimes: [{ tag_filter: '.*', metrics: RUNTIME_GROUPS.map((type) => ({ type })) }],
    system_metrics: SYSTEM_GROUPS.map((type) => ({ type })),
    source: { spec: '-', procfs: 'off', imds: { enabled: false }, ...options.source },
    exporters: options.exporters,
    ...(options.resource === undefined ? {} : { resource: { attributes: options.resource } }),
  };
}
