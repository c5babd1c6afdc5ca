import type { MetricDefinition } from '../src/metric-table.ts';
import type { Receiver } from '../src/receiver.ts';
import type { MetricGroup } from '../src/readings.ts';
import { receiver as executionStats } from './execution_stats/receiver.ts';
import { receiver as instanceInfo } from './instance_info/receiver.ts';
import { receiver as memoryInfo } from './memory_info/receiver.ts';
import { receiver as memoryUsed } from './memory_used/receiver.ts';
import { receiver as neuronDeviceCounters } from './neuron_device_counters/receiver.ts';
import { receiver as neuronHardwareInfo } from './neuron_hardware_info/receiver.ts';
import { receiver as neuronHwCounters } from './neuron_hw_counters/receiver.ts';
import { receiver as neuronK8sInfo } from './neuron_k8s_info/receiver.ts';
import { receiver as neuronRuntimeVcpuUsage } from './neuron_runtime_vcpu_usage/receiver.ts';
import { receiver as neuroncoreCounters } from './neuroncore_counters/receiver.ts';
import { receiver as vcpuUsage } from './vcpu_usage/receiver.ts';

export { runtimeResource } from './runtime-resource.ts';

/** Every receiver, in the order of neuron-monitor's output, the agent's own group after its. Adding a metric group adds one line. */
export const RECEIVERS: readonly Receiver[] = [
  executionStats,
  memoryUsed,
  neuronRuntimeVcpuUsage,
  neuroncoreCounters,
  memoryInfo,
  neuronHwCounters,
  vcpuUsage,
  neuronDeviceCounters,
  instanceInfo,
  neuronHardwareInfo,
  neuronK8sInfo,
];

/** Every row of every table. */
export const ALL_METRICS: readonly MetricDefinition[] = RECEIVERS.flatMap(({ metrics }) => Object.values(metrics));

/** Rows that the configuration can switch. */
export const SWITCHABLE_METRICS: readonly MetricDefinition[] = ALL_METRICS.filter(({ legacyOnly }) => legacyOnly !== true);

export function receiverFor(group: MetricGroup): Receiver | undefined {
  return RECEIVERS.find((receiver) => receiver.group === group);
}
