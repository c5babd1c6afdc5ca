/**
 * Names of neuron-monitor's files before 2.0, and what took their place (user guide of the first beta, September 2020, and of Neuron
 * Runtime 1.x).
 */
export const LEGACY_KEYS: ReadonlyMap<string, string> = new Map([
  ['runtimes', 'neuron_runtimes'],
  ['output_targets', 'exporters'],
]);

export const LEGACY_GROUPS: ReadonlyMap<string, string> = new Map([
  ['nc_counters', 'neuroncore_counters'],
  ['memory', 'memory_used'],
  ['runtime_cpu_usage', 'neuron_runtime_vcpu_usage'],
  ['inference_stats', 'execution_stats'],
  ['hw_counters', 'neuron_hw_counters'],
  ['cpu_usage', 'vcpu_usage'],
]);
